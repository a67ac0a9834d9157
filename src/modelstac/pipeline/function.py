"""A kind of job: a training by a function of somebody's, found again by the item that it published."""

from __future__ import annotations

from typing import Any

from modelstac.catalog import open_catalog
from modelstac.catalog.messages import Report
from modelstac.jobs.kinds import Result, Task
from modelstac.pipeline.functions import FunctionJob
from modelstac.pipeline.functions import run as train
from modelstac.pipeline.train import result_of


def find(task: Task, recorded: Result | None) -> Result | None:  # noqa: ARG001 - what is published counts
    """Give what was published by this job."""
    job = FunctionJob(**task.parameters["job"])
    item = job.published(_catalog(task), job.digest())
    return None if item is None else result_of(item)


def run(task: Task, *, report: Report) -> Result:
    """Train and publish; the function finds what it kept in the job's folder."""
    job = FunctionJob(**task.parameters["job"])
    return result_of(train(job, _catalog(task), checkpoints=task.folder / "checkpoints", report=report))


def _catalog(task: Task) -> Any:
    return open_catalog(task.parameters["catalog"], create=True)
