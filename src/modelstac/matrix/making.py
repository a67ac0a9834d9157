"""A kind of job: make one environment, where the machine has room for it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import MappingProxyType

from modelstac.catalog.errors import DownloadError, ModelStacError, StorageError
from modelstac.catalog.messages import Report
from modelstac.jobs.kinds import Result, Task
from modelstac.matrix.opening import said
from modelstac.registry.isolated.environments import Environment, Environments, number_of
from modelstac.registry.isolated.requirements import Requirements, parse

ROOM = MappingProxyType({"torch": 5.6e9, "jax": 1.0e9, "tensorflow": 1.5e9, "tensorflow-cpu": 1.5e9})
"""Bytes that an environment takes with these, as measured on Linux with the files of PyPI (PyTorch's bring CUDA)."""
ROOM_OF_OTHERS = 0.3e9
KEEP_FREE, SPARE = "MODELSTAC_KEEP_FREE", 1.0


def find(task: Task, recorded: Result | None) -> Result | None:  # noqa: ARG001 - what is there is what counts
    """Give the environment if it is there; one that could not be made is tried again."""
    environment = Environments().find(_requirements(task))
    return None if environment is None else _facts(environment)


def run(task: Task, *, report: Report) -> Result:
    """Make it; a reason why it cannot be is a result, too."""
    requirements, environments = _requirements(task), Environments()
    needed, free = room(requirements), _free(environments.root)
    if free < needed + 1e9 * number_of(KEEP_FREE, SPARE):
        return {
            "reason": f"the environment takes about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free "
            f"in {environments.root} (GB to keep free: {KEEP_FREE})"
        }
    try:
        return _facts(environments.provide(requirements, purpose=task.parameters["name"], report=report))
    except (DownloadError, StorageError):
        raise  # may pass
    except ModelStacError as error:
        return {"reason": f"no environment {said(error)}"}


def room(requirements: Requirements) -> float:
    """Estimate the bytes that an environment takes."""
    return max((ROOM.get(pin.name, ROOM_OF_OTHERS) for pin in requirements.pins), default=ROOM_OF_OTHERS)


def _requirements(task: Task) -> Requirements:
    given = task.parameters
    return parse(given["environment"], source=given["name"], trusted=given["trusted"])


def _facts(environment: Environment) -> Result:
    return {"python": environment.python, "packages": list(environment.packages)}


def _free(folder: Path) -> int:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free
