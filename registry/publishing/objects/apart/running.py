"""A program of this folder, run in a process that has no credentials, a home of its own, and nothing else to read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError, WorkerError
from modelstac.registry import telemetry
from modelstac.registry.isolated.environments import Environment, timeout_of
from modelstac.registry.isolated.model import PASSED, PATIENCE, TIMEOUT
from modelstac.registry.isolated.processes import ended
from modelstac.registry.isolated.trusted import ThisEnvironment
from modelstac.registry.publishing.objects.apart import asking

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Answer:
    """What a program says.

    Parameters
    ----------
    said
        By name.
    inputs, outputs
        What the model was run on, and what it gave, in its order; none where it was not run.
    """

    said: Mapping[str, Any]
    inputs: tuple[np.ndarray[Any, Any], ...]
    outputs: tuple[np.ndarray[Any, Any], ...]


def ask(
    program: str,
    request: Mapping[str, Any],
    *,
    what: str,
    arrays: Arrays | None = None,
    environment: Environment | None = None,
) -> Answer:
    """Run a program once, and give its answer.

    Parameters
    ----------
    program
        Name of its module in this folder.
    request
        What it is told, as JSON takes it; the ``path`` of the file, and where it writes, which are absolute.
    what
        The file that it opens, for errors.
    arrays
        What the model is fed, in its order.
    environment
        Whose Python runs it; by default this one.

    Raises
    ------
    InvalidItemError
        If the program cannot do it; says why in the framework's own words.
    WorkerError
        If it ends early, or does not end within ``MODELSTAC_WORKER_TIMEOUT``.
    """
    where = environment or ThisEnvironment.here()
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name, where.in_use():
        folder = Path(name)
        told = dict(request) | {"path": str(Path(request["path"]).absolute())}  # it runs in a folder of its own
        (folder / asking.REQUEST).write_text(json.dumps(told), encoding="utf-8")
        if arrays is not None:
            asking.write_arrays(folder / asking.GIVEN, list(arrays.values()))
        _run(program, folder, where, what)
        said = json.loads((folder / asking.ANSWER).read_text(encoding="utf-8"))
        if "error" in said:
            raise InvalidItemError(f"{what}: {said['error']}")
        return Answer(said, *(tuple(asking.read_arrays(folder / part)) for part in (asking.GIVEN, asking.FOUND)))


def _run(program: str, folder: Path, where: Environment, what: str) -> None:
    root = Path(asking.__file__).resolve().parents[4]
    path = Path(asking.__file__).with_name(f"{program}.py")
    mine = {name: os.environ[name] for name in PASSED if name in os.environ}
    places = {name: str(folder) for name in ("HOME", "TMPDIR", "TEMP", "TMP")}
    fixed = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUTF8": "1", "CUDA_VISIBLE_DEVICES": "", "HDF5_PLUGIN_PRELOAD": "::"}
    seconds = timeout_of(TIMEOUT, PATIENCE)
    try:
        command = [str(where.interpreter), "-I", "-B", str(path), str(folder), str(root), *_packages(where)]
        done = ended(command, mine | telemetry.said() | places | fixed, folder, seconds)
    except subprocess.TimeoutExpired as error:
        raise WorkerError(f"{what}: its process did not end within {seconds:g} s; set {TIMEOUT} higher") from error
    if done.returncode or not (folder / asking.ANSWER).is_file():
        last = [line for line in done.stderr.strip().splitlines() if line.strip()][-1:]
        raise WorkerError(f"{what}: its process ended with exit code {done.returncode}: {' '.join(last)[:300]}")


def _packages(where: Environment) -> list[str]:
    """Give the folders of packages that this process has and its interpreter alone does not, such as a user's own."""
    return [part for part in sys.path if part] if isinstance(where, ThisEnvironment) else []
