"""Small descriptions and items, which differ in everything that can be searched for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog.items.description import ExtraAsset, ModelDescription, Parity, Provider, Source
from modelstac.catalog.items.mlm import Clip, InputStructure, ModelInput, ModelOutput, ResultStructure, Scale
from modelstac.catalog.items.writing import write_item

AXES = ("batch", "time", "height", "width", "variables")
SHAPE = (-1, 18, -1, -1, 1)

TORCH = "convlstm-knmi-1.0.0-torch"
NEWER = "convlstm-knmi-1.1.0-torch"
KERAS = "convlstm-knmi-1.0.0-keras-tensorflow"
ONNX = "convlstm-knmi-1.0.0-onnx-from-torch"
UNET = "unet-2.0.0-torch"


def example_fields(artifact: Path, metrics: Path) -> dict[str, Any]:
    """Return the fields of a small description; the catalog never looks into the two files."""
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


class Examples:
    """Items whose files are a few bytes each.

    Parameters
    ----------
    folder
        Where the files are made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._artifact, self._metrics = folder / "model.bin", folder / "metrics.json"
        self._artifact.write_bytes(b"weights")
        self._metrics.write_text('{"rmse": 0.9}\n')

    def item(self, **changes: Any) -> pystac.Item:
        """Return an item; the keyword arguments replace fields of its description."""
        return write_item(ModelDescription(**(example_fields(self._artifact, self._metrics) | changes)))

    def various(self) -> list[pystac.Item]:
        """Return items that differ in everything that can be searched for, in an order that can be published."""
        parity = Parity(
            source=TORCH,
            max_absolute_difference=2e-7,
            max_relative_difference=1e-5,
            root_mean_square_difference=1e-8,
            cases=8,
            absolute_tolerance=1e-5,
            relative_tolerance=1e-4,
            passed=True,
        )
        keras = {"format": "keras", "framework_version": "3.15.1", "entrypoint": None}
        onnx = {
            "format": "onnx",
            "framework_version": "1.22.0",
            "entrypoint": None,
            "sources": (Source(item_id=TORCH),),
        }
        square = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [0, 4], [0, 0]]]}
        items = [
            self.item(),
            self.item(version="1.1.0", framework_version="2.7.1", parameters=5_000_000),
            self.item(version="1.10.0", framework_version="2.7.1-rc1", geometry=square),
            self.item(variant="keras-tensorflow", backend="tensorflow", backend_version="2.19.1", **keras),
            self.item(variant="keras-torch", backend="torch", backend_version="2.13.0", **keras),
            self.item(variant="onnx-from-torch", parity=parity, **onnx),
            self.item(name="unet", version="2.0.0", architecture="U-Net", tasks=("segmentation",), keywords=("Über",)),
            self.item(
                name="unet",
                version="2.1.0",
                framework_version="3.0.0",
                geometry={"type": "Point", "coordinates": [100, 10]},
                start=datetime(2011, 1, 1),
                end=datetime(2011, 12, 31, 23, 59, 59, 500_000),
                title="50% 'quoted' \"words\"",
            ),
            self.item(
                name="pacific",
                geometry={
                    "type": "MultiPolygon",
                    "coordinates": [
                        [[[170, -10], [180, -10], [180, 10], [170, 10], [170, -10]]],
                        [[[-180, -10], [-170, -10], [-170, 10], [-180, 10], [-180, -10]]],
                    ],
                },
                bbox=(170, -10, -170, 10),
            ),
        ]
        environment = {"python": "3.11.7", "packages": {"torch": "2.13.0", "numpy": "2.1.3"}}
        older = {"python": "3.12.1", "packages": {"torch": "2.6.0"}, "max_absolute_difference": 1e-7}
        items[0].properties["interop:verified"] = [older, environment | {"max_absolute_difference": 2e-5}]
        items[3].properties["interop:verified"] = [{"python": "3.11.7", "packages": {"keras": "3.15.1"}}]
        return items
