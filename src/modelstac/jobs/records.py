"""The result of a job in its folder: written whole, so that whoever reads sees all of it or nothing."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import UnavailableError
from modelstac.jobs.job import Job
from modelstac.jobs.kinds import Result, Task

RESULT, LOG, LOCK, SPEC = "result.json", "log.txt", "lock", "job.json"


def read_result(folder: Path) -> Result | None:
    """Read a result; None when there is none, or a damaged one (then the job is done again)."""
    path = folder / RESULT
    with explained(f"read {path}"):
        try:
            found = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, RecursionError, ValueError):
            return None
    return found if isinstance(found, dict) else None


def write_result(folder: Path, result: Result) -> None:
    """Keep a result."""
    write_json(folder / RESULT, result)


def write_json(path: Path, value: object) -> None:
    """Write JSON in one step."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # other threads and machines write too
    with explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def task_of(job: Job) -> Task:
    """Collect what a job needs.

    Raises
    ------
    UnavailableError
        If a job that it needs has no result yet, or none that can be seen from here yet.
    """
    inputs = {}
    for name, key in job.needs.items():
        folder = job.folder_of(name, key)
        if (result := read_result(folder)) is None:
            raise UnavailableError(
                f"{job.name} needs the result of {name}, which is not in {folder}: run that job first, where both see"
                " the same folder"
            )
        inputs[name] = result
    return Task(job.parameters, inputs, job.folder)
