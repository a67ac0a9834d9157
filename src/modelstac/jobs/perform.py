"""Do a job in this process, unless it is done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.jobs.job import Job
from modelstac.jobs.kinds import Result, find_kind
from modelstac.jobs.records import LOCK, read_result, task_of, write_result

_POLL = 0.5  # seconds between looks whether another process is done


def found(job: Job) -> Result | None:
    """Give the result of a job that is done, None otherwise.

    Raises
    ------
    ModelStacError
        When that cannot be known: a job that it needs is not done, or the catalog does not answer.
    """
    recorded = read_result(job.folder)
    result = find_kind(job.kind).find(task_of(job), recorded)
    if result is not None and result != recorded:
        write_result(job.folder, result)  # for the jobs that need it
    return result


def perform(job: Job, *, report: Report = ignore) -> Result:
    """Do a job, or give its result when it is there; while another process is at it, wait for that.

    Raises
    ------
    ModelStacError
        Why it cannot be done; frameworks raise others.
    """
    kind, task = find_kind(job.kind), task_of(job)
    with explained(f"write to {job.folder}"):
        job.folder.mkdir(parents=True, exist_ok=True)
    with _alone(job.folder / LOCK, report):
        if (there := found(job)) is not None:
            return there
        result = kind.run(task, report=report)
        write_result(job.folder, result)
    return result


@contextlib.contextmanager
def _alone(path: Path, report: Report) -> Iterator[None]:
    """Let nobody else into the folder; the operating system frees the lock when its process dies."""
    import filelock

    lock = filelock.FileLock(path)
    with explained(f"lock {path}"):
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            report(Note(f"another process works in {path.parent}: waiting for it"))
            lock.acquire(poll_interval=_POLL)
    try:
        yield
    finally:
        lock.release()
