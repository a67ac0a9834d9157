"""Small descriptions of models, whose artifacts are a few bytes: the catalog never looks inside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from modelstac.catalog.items import ExtraAsset, ModelDescription, Provider
from modelstac.catalog.mlm import Clip, InputStructure, ModelInput, ModelOutput, ResultStructure, Scale

Describe = Callable[..., ModelDescription]

AXES = ("batch", "time", "height", "width", "variables")
SHAPE = (-1, 18, -1, -1, 1)


def fields(artifact: Path, metrics: Path) -> dict[str, Any]:
    return {
        "name": "convlstm-knmi",
        "version": "1.0.0",
        "variant": "torch",
        "title": "ConvLSTM rain nowcasting (PyTorch)",
        "description": "Reads 18 radar frames of rain rate and forecasts the next 18.",
        "license": "MIT",
        "model_title": "ConvLSTM rain nowcasting",
        "keywords": ("nowcasting", "radar"),
        "providers": (Provider(name="KNMI", roles=("producer",), url="https://www.knmi.nl"),),
        "geometry": {"type": "Polygon", "coordinates": [[[0, 49], [10, 49], [10, 55], [0, 55], [0, 49]]]},
        "start": datetime(2010, 8, 26),
        "end": datetime(2010, 8, 26, 7, 35),
        "format": "torch",
        "framework_version": "2.13.0+cpu",
        "architecture": "ConvLSTM",
        "tasks": ("regression",),
        "inputs": (
            ModelInput(
                name="frames",
                variables=("rainfall_rate",),
                input=InputStructure(shape=SHAPE, dim_order=AXES, data_type="float32"),
                value_scaling=(Clip(minimum=0, maximum=30.6), Scale(value=30.6)),
            ),
        ),
        "outputs": (
            ModelOutput(
                name="forecast",
                tasks=("regression",),
                variables=("rainfall_rate",),
                result=ResultStructure(shape=SHAPE, dim_order=AXES, data_type="float32"),
            ),
        ),
        "hyperparameters": {"architecture": {"filters": [4, 4]}, "epochs": 2},
        "parameters": 1234,
        "entrypoint": "modelstac.training.architectures.convlstm_torch:build",
        "cube_dimensions": {
            "x": {"type": "spatial", "axis": "x", "extent": [0, 256000], "reference_system": "+proj=stere"},
            "time": {"type": "temporal", "extent": ["2010-08-26T00:00:00Z", "2010-08-26T07:35:00Z"], "step": "PT5M"},
        },
        "cube_variables": {"rainfall_rate": {"dimensions": ["time", "x"], "variable_type": "data", "unit": "mm/h"}},
        "scores": {"rmse_mm_per_h": 0.9},
        "job": "f" * 64,
        "artifact": artifact,
        "assets": {
            "metrics": ExtraAsset(path=metrics, media_type="application/json", roles=("metadata",), title="Scores"),
        },
    }


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """Return a function that describes a model; its keyword arguments replace fields."""
    folder = tmp_path / "made"
    folder.mkdir()
    artifact, metrics = folder / "model.bin", folder / "metrics.json"
    artifact.write_bytes(b"weights")
    metrics.write_text('{"rmse": 0.9}\n')

    def make(**changes: Any) -> ModelDescription:
        return ModelDescription(**(fields(artifact, metrics) | changes))

    return make
