"""What the notebooks begin with: radar frames and a catalog with one trained model, made on first use in seconds.

Put radar files into a folder ``frames`` beside the notebooks to use your own; otherwise rain is generated, and scores
say nothing about real rain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

import modelstac
from modelstac.catalog import Catalog
from modelstac.training.data import Preparation, synthetic
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.train import train
from modelstac.training.spec import ConvLSTMSpec

xr.set_options(display_style="text")  # which reads as well where a page of HTML has no styles of xarray's

STEPS = 6
"""Frames that the model reads, and forecasts: half an hour each."""


def frames() -> Path:
    """Return the folder of radar frames."""
    folder = Path("frames")
    if not folder.is_dir():
        synthetic.generate(folder, 60)
    return folder


def job(*, version: str = "1.0.0", **fit: Any) -> TrainJob:
    """Return the job that trains the small model; keyword arguments change how it is fitted."""
    return TrainJob(
        name="nowcast",
        version=version,
        variant="torch",
        data=str(frames()),
        architecture=ConvLSTMSpec(filters=(8,), kernels=(5,), cell_activation="tanh", frames=STEPS),
        preparation=Preparation(coarsen=4, transform="log", newest_first=True),
        fit=FitSpec(**({"epochs": 4, "batch_size": 4, "learning_rate": 0.01} | fit)),
    )


def catalog() -> Catalog:
    """Return the notebooks' catalog, with ``nowcast-1.0.0-torch`` in it."""
    found = modelstac.open("catalog", create=True)
    train(job(), found)  # the second time it finds its item and does nothing
    return found
