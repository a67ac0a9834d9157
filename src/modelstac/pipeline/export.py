"""A kind of job: a conversion, found again by the item that it published."""

from __future__ import annotations

import json

from modelstac.catalog.messages import Report
from modelstac.exporters.jobs import ExportJob, export
from modelstac.jobs.kinds import Result, Task
from modelstac.pipeline.train import catalog_of, prepared, result_of


def find(task: Task, recorded: Result | None) -> Result | None:
    """Give what was published by this job; with real windows, whose digest is costly, by the job that ran here."""
    job = _job(task)
    item = catalog_of(task).find(task.parameters["item"])
    digest = job.digest if job.data is None else (recorded or {}).get("job")
    if item is None or item.properties.get("interop:job") != digest:
        return None
    return result_of(item)


def run(task: Task, *, report: Report) -> Result:
    """Convert, compare and publish."""
    return result_of(export(_job(task), catalog_of(task), report=report))


def _job(task: Task) -> ExportJob:
    data = {"data": prepared(task)["store"]} if task.parameters["real_windows"] else {}
    return ExportJob.from_json(json.dumps(task.parameters["job"] | data))
