"""A kind of job: a training, found again by the item that it published."""

from __future__ import annotations

import json
from typing import Any

import pystac

from modelstac.catalog import Catalog, open_catalog
from modelstac.catalog.messages import Report
from modelstac.jobs.kinds import Result, Task
from modelstac.training.fitting.checkpoints import Checkpoints
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.train import train


def find(task: Task, recorded: Result | None) -> Result | None:  # noqa: ARG001 - what is published counts
    """Give what was published by this job."""
    job = job_of(task.parameters["job"], task)
    item = catalog_of(task).find(job.item_id)
    if item is None or item.properties.get("interop:job") != job.digest(prepared(task)["data"]):
        return None
    return result_of(item)


def run(task: Task, *, report: Report) -> Result:
    """Train and publish; go on from the checkpoint in the job's folder."""
    checkpoints = Checkpoints(task.folder / "checkpoints", minutes=task.parameters["checkpoint_minutes"])
    job = job_of(task.parameters["job"], task)
    return result_of(train(job, catalog_of(task), checkpoints=checkpoints, report=report))


def job_of(fields: dict[str, Any], task: Task) -> TrainJob:
    """Read a training job, to run on the prepared frames."""
    return TrainJob.from_json(json.dumps(fields | {"data": prepared(task)["store"]}))


def catalog_of(task: Task) -> Catalog:
    """Open the catalog; it is made where there is none."""
    return open_catalog(task.parameters["catalog"], create=True)


def result_of(item: pystac.Item) -> Result:
    """Say what was published."""
    properties = item.properties
    result = {"item": item.id, "job": properties["interop:job"], "scores": properties.get("interop:scores") or {}}
    if (parity := properties.get("interop:parity")) is not None:
        result["difference"] = parity["max_absolute_difference"]
    return result


def prepared(task: Task) -> Result:
    """Give the result of the job that prepared the frames."""
    return next(result for result in task.inputs.values() if "store" in result)
