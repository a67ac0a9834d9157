"""How the command line ends, whatever happens inside."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from modelstac.catalog.errors import ModelStacError, ParityError
from modelstac.cli import main
from modelstac.cli.common.errors import Guarded

Command = Callable[..., subprocess.CompletedProcess[str]]


def ending(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    @click.group(cls=Guarded)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        group(["fail"])
    return end.value.code, capsys.readouterr().err


def test_errors_on_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(ModelStacError("what\nto do"), capsys) == (2, "error: what to do\n")
    assert ending(ParityError("apart"), capsys) == (1, "error: apart\n")


def test_unexpected_error_is_one_line_and_says_that_it_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = ending(ZeroDivisionError("by\nzero"), capsys)
    assert code == 1
    assert text.startswith("error: ZeroDivisionError: by zero; this is a bug")
    assert text.count("\n") == 1


def test_a_disk_that_is_full_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    wanted = "error: [Errno 28] No space left on device: free some space and run it again\n"
    assert ending(full, capsys) == (2, wanted.replace("28", str(errno.ENOSPC)))
    assert "this is a bug" in ending(OSError(errno.EIO, "Input/output error"), capsys)[1]


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_DEBUG", "1")
    assert "Traceback" in ending(ZeroDivisionError("by zero"), capsys)[1]
    monkeypatch.setenv("MODELSTAC_DEBUG", "0")
    assert "Traceback" not in ending(ZeroDivisionError("by zero"), capsys)[1]


def test_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = ending(KeyboardInterrupt(), capsys)
    assert (code, text.strip()) == (130, "error: interrupted")


def test_command_that_is_not_there(fresh_command: Command) -> None:
    done = fresh_command("serch")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "search" in done.stderr


def test_without_a_command_there_is_help(fresh_command: Command) -> None:
    done = fresh_command()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == fresh_command("--help").stdout


@pytest.mark.parametrize("group", ["cache", "data", "keys"])
def test_a_group_without_a_command_shows_its_help(modelstac_command: Command, group: str) -> None:
    done = modelstac_command(group)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == modelstac_command(group, "--help").stdout


@pytest.mark.parametrize("words", [["search", "--framework"], ["cache", "prune", "--limit"]])
def test_an_option_without_its_value_leads_to_the_help_of_its_command(
    modelstac_command: Command, words: list[str]
) -> None:
    done = modelstac_command(*words)
    assert done.returncode == 2
    assert done.stderr.endswith(f"(see '{' '.join(['modelstac', *words[:-1]])} --help')\n")


def test_every_option_is_explained() -> None:
    waiting: list[tuple[str, click.Command]] = [("modelstac", main)]
    for path, command in waiting:
        unsaid = [one.opts for one in command.params if isinstance(one, click.Option) and not (one.help or one.hidden)]
        assert not unsaid, path
        if isinstance(command, click.Group):
            waiting += [(f"{path} {name}", command.commands[name]) for name in command.commands]


def test_reader_of_the_output_that_goes_away_is_met_with_silence(catalog: Path) -> None:
    source = str(Path(sys.modules["modelstac"].__file__).parents[1])
    done = subprocess.run(
        f"{sys.executable} -m modelstac show damped-1.0.0-onnx --json -c {catalog} | true",
        shell=True,
        executable="/bin/bash",
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [(signal.SIGINT, 130, "error: interrupted"), (signal.SIGTERM, 143, "error: ended by SIGTERM")],
)
def test_a_signal_while_waiting_leaves_nothing(
    catalog: Path, tmp_path: Path, sent: signal.Signals, code: int, said: str
) -> None:
    # The radar file is a pipe that nobody writes to, so the command is surely at work when the signal comes.
    os.mkfifo(tmp_path / "x.npy")
    source = str(Path(sys.modules["modelstac"].__file__).parents[1])
    command = [
        "predict",
        "damped-1.0.0-onnx",
        str(tmp_path / "x.npy"),
        "-o",
        str(tmp_path / "y.npy"),
        "-c",
        str(catalog),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "modelstac", *command],
        env=os.environ | {"PYTHONPATH": source},
        stderr=subprocess.PIPE,
        text=True,
    )
    with (tmp_path / "x.npy").open("wb"):  # returns once the command has opened the pipe for reading
        time.sleep(0.5)
        process.send_signal(sent)
        _, text = process.communicate(timeout=60)
    assert process.returncode == code
    assert text.strip() == said
    assert sorted(path.name for path in tmp_path.glob("*y.npy*")) == []
