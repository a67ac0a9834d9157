"""Text of others on a terminal: shown, and without effect."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from modelstac.catalog.terminal import harmless
from modelstac.cli.common import progress

Command = Callable[..., subprocess.CompletedProcess[str]]
GREEN = "\x1b[32m"
ACTS = (
    f"Rain{GREEN}\x1b]0;title\x07\x1b]8;;https://evil.example\x1b\\\r\n  signature       signed\x9b1A\u202e\x1b[2J\x1bc"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä, 雨, 🌧", "plain, ä, 雨, 🌧"),
        ("two\nlines\tand tabs", "two\nlines\tand tabs"),
        (f"{GREEN}signed\x1b[0m", "signed"),
        ("\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\", "here"),
        ("\x1b]52;c;Y3VybA==\x07clipboard", "clipboard"),
        ("\x9b31mred\x85", "red"),
        ("over\rwritten", "over\nwritten"),
        ("a\x08b\x07c\x00d\x7f", "abcd"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("\x1bP+q\x1b\\dcs\x1b7saved", "dcssaved"),
        ("half\ud83c of a sign", "half of a sign"),
    ],
)
def test_what_acts_is_left_out(text: str, shown: str) -> None:
    assert harmless(text) == shown


@pytest.fixture
def acting(item_file: Path, modelstac_command: Command, tmp_path: Path) -> Path:
    """A catalog with an item whose title and description act."""
    document = json.loads(item_file.read_text())
    document["properties"] |= {"title": ACTS, "description": ACTS, "mlm:architecture": f"Conv{GREEN}\n  parity"}
    item_file.write_text(json.dumps(document))
    done = modelstac_command("publish", item_file, "--catalog", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    return tmp_path / "new"


@pytest.mark.parametrize("command", [("show", "damped-1.0.0-onnx"), ("search",), ("resolve", "damped-1.0.0-onnx")])
def test_no_command_passes_it_on(command: tuple[str, ...], acting: Path, modelstac_command: Command) -> None:
    done = modelstac_command(*command, "--catalog", acting)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert said == harmless(said)
    assert not any(line.strip().startswith("signature") for line in said.splitlines())  # each value on its line


def test_json_stays_as_it_is(acting: Path, modelstac_command: Command) -> None:
    done = modelstac_command("show", "damped-1.0.0-onnx", "--json", "--catalog", acting)
    assert json.loads(done.stdout)["properties"]["title"] == ACTS
    assert done.stdout == harmless(done.stdout)  # JSON writes what acts by number


def test_errors_and_notes_too(modelstac_command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = modelstac_command("show", f"no{GREEN}\x1b]0;x\x07such", "--catalog", tmp_path)
    assert done.returncode != 0
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1
    progress._only_notes(progress.Note(ACTS))
    assert capfd.readouterr().err == harmless(f"note: {ACTS}\n")


@pytest.mark.parametrize("command", [("show", "damped-1.0.0-onnx"), ("search",), ("search", "--text", "rain")])
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_half_a_sign_and_links_of_odd_names(
    command: tuple[str, ...], as_json: tuple[str, ...], acting: Path, modelstac_command: Command
) -> None:
    [file] = acting.glob("*/*/damped-1.0.0-onnx.json")
    document = json.loads(file.read_text())
    document["properties"]["title"] = "Rain\ud83c"
    file.write_text(json.dumps(document))
    collection = file.parents[1] / "collection.json"
    links = json.loads(collection.read_text())
    links["links"].append({"rel": "item", "href": f"./{GREEN}\x9b2J/odd.json"})
    collection.write_text(json.dumps(links))
    done = modelstac_command(*command, *as_json, "--catalog", acting)
    said = done.stdout + done.stderr
    assert said == harmless(said)
    # A search leaves the item out and names it; it is not to be shown.
    if command[0] == "show":
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    else:
        assert done.returncode == 0, done.stderr
    if as_json and done.stdout:
        json.loads(done.stdout)
