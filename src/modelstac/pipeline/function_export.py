"""A kind of job: a conversion of what another job published, whose id is known when that is done."""

from __future__ import annotations

from modelstac.catalog.messages import Report
from modelstac.exporters.jobs import ExportJob, export, variant_of
from modelstac.jobs.kinds import Result, Task
from modelstac.pipeline.train import catalog_of, result_of


def find(task: Task, recorded: Result | None) -> Result | None:  # noqa: ARG001 - what is published counts
    """Give what was published by this job."""
    job, catalog = _job(task), catalog_of(task)
    source = catalog.get(job.source).properties
    item = catalog.find(f"{source['mlm:name']}-{source['version']}-{variant_of(job, source['interop:variant'])}")
    if item is None or item.properties.get("interop:job") != job.digest:
        return None
    return result_of(item)


def run(task: Task, *, report: Report) -> Result:
    """Convert, compare and publish."""
    return result_of(export(_job(task), catalog_of(task), report=report))


def _job(task: Task) -> ExportJob:
    trained = next(result for result in task.inputs.values() if "item" in result)
    return ExportJob(trained["item"], **task.parameters["export"])
