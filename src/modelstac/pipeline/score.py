"""A kind of job: a published model, loaded by its id and scored on the frames that no training saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.messages import Report
from modelstac.jobs.kinds import Result, Task
from modelstac.pipeline.train import catalog_of, job_of

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model
    from modelstac.training.variants.variant import Forecast


def find(task: Task, recorded: Result | None) -> Result | None:
    """Give the scores of an earlier run, as long as the item is what was scored."""
    item = catalog_of(task).find(task.parameters["item"])
    if recorded is None or item is None or item.properties.get("interop:job") != recorded.get("job"):
        return None
    return recorded


def run(task: Task, *, report: Report) -> Result:
    """Load and score."""
    from modelstac.registry.loading import load
    from modelstac.training.data import read_frames
    from modelstac.training.scoring.held_out import evaluate

    item_id, catalog = task.parameters["item"], catalog_of(task)
    job = job_of(task.parameters["job"], task)
    _, windows = job.split(job.preparation.apply(read_frames(job.data)))
    with load(item_id, catalog=catalog, report=report) as model:
        scores = evaluate(_forecast(model), windows, job.preparation, report=report).summary()
        digest = model.item.properties.get("interop:job")
    return {"item": item_id, "job": digest, "windows": len(windows), "scores": scores}


def _forecast(model: Model) -> Forecast:
    from modelstac.training.data.layouts import frames_from_layout, frames_to_layout

    before, after = model.signature.inputs[0].dim_order, model.signature.outputs[0].dim_order

    def forecast(values: NDArray[np.float32]) -> NDArray[np.float32]:
        made = [frames_from_layout(model.predict(frames_to_layout(one, before)), after) for one in values]
        return np.stack(made)

    return forecast
