"""Runs programs in processes of their own that begin with Keras imported: forks of one process that has imported it.

A process has one Keras backend, so many tests run a program of their own, and importing Keras takes seconds of the
processor, each time. :func:`run` takes what ``subprocess.run([sys.executable, *arguments])`` would, for a program that
would import Keras anyway. The first call for a backend starts a process that imports it, once for all tests of this
session, and then waits; each program is a fork of it, with the variables, folder and files of its own. Neither
TensorFlow nor PyTorch has started a thread by then.

Not for programs that show what is imported when, how long that takes, or what happens where something is missing, and
not for those that are held against each other although their hashes differ: those of forks are the same.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

KEPT = 2
"""How many such processes wait at once: of the tests, one file after another uses one or two, and each takes memory."""
OFTEN = ("matplotlib.figure", "xarray")
"""What most of these programs import, too."""
OWN = ("MODELSTAC_", "PYTEST_", "TMPDIR")
"""How variables begin that no import of a framework reads; those with other values of the rest are other processes."""
_waiting: dict[tuple[Any, ...], tuple[subprocess.Popen[str], IO[bytes]]] = {}


def run(
    arguments: Sequence[object],
    *,
    environment: Mapping[str, str],
    folder: Path | None = None,
    timeout: int = 300,
    network: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run ``python -c CODE …`` or ``python FILE …`` with Keras imported on the ``KERAS_BACKEND`` of its environment."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory(prefix="prepared-") as name:
        printed = [Path(name, stream) for stream in ("stdout", "stderr")]
        task = {"arguments": words, "environment": dict(environment), "folder": str(folder or Path.cwd())}
        process, said = _process(environment, network=network)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(task | {"printed": list(map(str, printed)), "seconds": timeout}) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        imported = os.pread(said.fileno(), 1 << 20, 0).decode()
        assert answer, f"the process that imports Keras ended: {imported}"
        stdout, stderr = (path.read_text("utf-8") for path in printed)
        return subprocess.CompletedProcess(words, int(answer), stdout, imported + stderr)


def _process(environment: Mapping[str, str], *, network: bool) -> tuple[subprocess.Popen[str], IO[bytes]]:
    """Find the process that imported Keras under such variables, or start it; and what it said as it did."""
    from tests import no_network

    key = network, *sorted(item for item in environment.items() if not item[0].startswith(OWN))
    if key in _waiting and _waiting[key][0].poll() is None:
        return _waiting[key]
    while len(_waiting) >= KEPT:
        _end(next(iter(_waiting)))
    command = [sys.executable, *(() if network else [no_network.__file__]), __file__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when the process ends
    _waiting[key] = subprocess.Popen(command, env=dict(environment), stderr=said, **pipes), said
    return _waiting[key]


def _end(key: tuple[Any, ...]) -> None:
    process, said = _waiting.pop(key)
    process.communicate()
    said.close()


@atexit.register
def _end_all() -> None:
    for key in list(_waiting):
        _end(key)


def _serve() -> None:
    """Import Keras, then fork for each task, and answer with its exit code; ends when its tests do."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # frameworks print
    from modelstac.catalog.ahead import seldom_collected
    from modelstac.registry.runtimes.backends import require_keras, spare_beside

    spare_beside()
    require_keras(os.environ["KERAS_BACKEND"], purpose="the tests")
    seldom_collected()
    for name in OFTEN:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answers.close()
            _become(**json.loads(line))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(f"{code}\n")
        answers.flush()
    os._exit(0)


def _become(arguments: list[str], environment: dict[str, str], folder: str, printed: list[str], seconds: int) -> None:
    """Be the program from here on, and end as ``no_network.py`` does: frameworks take seconds to be taken apart."""
    signal.alarm(seconds)
    for stream, path in enumerate([os.devnull, *printed]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # as Python's own is, by itself
    code: Any = 0
    try:
        _program(arguments)
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - as Python does
        traceback.print_exc()
        code = 1
    from modelstac.registry.isolated.answers import leave

    leave(code if isinstance(code, int) else int(code is not None))


def _program(arguments: list[str]) -> None:
    if arguments[0] != "-c":
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")
        return
    sys.argv, sys.path[0] = ["-c", *arguments[2:]], ""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(arguments[1], "<string>", "exec"), vars(main))


if __name__ == "__main__":
    _serve()
