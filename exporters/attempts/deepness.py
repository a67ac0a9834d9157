"""What an ONNX file says to Deepness, the QGIS plugin: its kind, its classes, how it is tiled and what it is fed.

Deepness reads one image of bands first, divides it by 255, subtracts a mean and divides by a deviation. Whatever
scaling is a straight line for each band is exactly that with other numbers; what is none is left out, and a person sets
it there.

Source: https://qgis-plugin-deepness.readthedocs.io, "Adding metadata to ONNX model", and its model_base.py of version
0.7: the documentation calls the size of a tile ``tiles_size``, the program reads ``tile_size``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import BAND_AXES, ModelInput, ModelOutput
from modelstac.registry.inspecting.wire import texts, written
from modelstac.registry.running.values.scaling import scale

_TYPES = {
    "semantic-segmentation": "Segmentor",
    "segmentation": "Segmentor",
    "regression": "Regressor",
    "super-resolution": "Superresolution",
}
_HEIGHTS, _WIDTHS = ("height", "y", "lat", "latitude"), ("width", "x", "lon", "longitude")
METADATA = 14
"""Number of metadata_props in a ModelProto of ONNX."""
_BYTE = 255.0
_TILE, _MOST = 512, 80
"""Pixels of a tile where any size will do, and the greatest overlap of two, in per cent."""
_POINTS = np.array([0.0, 1.0, 100.0, 10_000.0])


def with_metadata(description: ModelDescription) -> ModelDescription:
    """Write into the ONNX file of a description what Deepness reads, where the file does not say it already.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    found = metadata(description)
    path = Path(description.artifact)
    if found:
        with explained(f"write {path}"):
            known = _known(path.read_bytes())
            with path.open("ab") as file:
                # Protobuf takes the entries of a repeated field wherever they stand.
                for name, value in found.items():
                    if name not in known:
                        entry = written(1, name.encode()) + written(2, json.dumps(value).encode())
                        file.write(written(METADATA, entry))
    return description


def _known(data: bytes) -> set[str]:
    """Return the keys that a file has already."""
    return set(texts([memoryview(data)], METADATA, 1))


def metadata(description: ModelDescription) -> dict[str, Any]:
    """Return what Deepness reads of a model, by its keys; nothing of a model that it cannot open."""
    kind = next((_TYPES[task] for task in description.tasks if task in _TYPES), None)
    if kind is None or description.format != "onnx" or len(description.inputs) != 1:
        return {}
    image = description.inputs[0]
    order = image.input.dim_order
    if len(order) != 4 or order[1] not in BAND_AXES or order[2] not in _HEIGHTS or order[3] not in _WIDTHS:
        return {}  # it takes bands first alone
    found: dict[str, Any] = {"model_type": kind} | _classes(description.outputs) | _tiles(description, image)
    if (gsd := description.common.get("gsd")) is not None:
        found["resolution"] = float(gsd) * 100  # centimetres
    return found | _standardization(image)


def _classes(outputs: tuple[ModelOutput, ...]) -> dict[str, Any]:
    named = []
    for output in outputs:
        stated = getattr(output, "model_extra", None) or {}
        classes = stated.get("classification:classes") or ()
        values = [one.get("value") for one in classes]
        if not values or values != list(range(len(values))):
            return {}  # it wants every number from 0 on
        named.append({str(one["value"]): str(one.get("name") or one.get("description")) for one in classes})
    return {"class_names": named[0] if len(named) == 1 else named}


def _tiles(description: ModelDescription, image: ModelInput) -> dict[str, Any]:
    lengths = dict(zip(image.input.dim_order, image.input.shape, strict=True))
    sizes = description.sizes.get(image.name, {})
    tiles = []
    for axis in image.input.dim_order[2:]:
        size = sizes.get(axis)
        if lengths[axis] > 0:
            tiles.append(lengths[axis])
        elif size is None or size.step == 0:
            tiles.append(_TILE)
        else:
            steps = max(0, (_TILE - size.at_least) // size.step)
            length = size.at_least + steps * size.step
            tiles.append(length if size.at_most is None else min(length, size.at_most))
    tile = min(tiles)
    found: dict[str, Any] = {"tile_size": tile, "tiles_size": tile}
    halo = [value for value in (description.halo or {}).get(image.name, {}).values() if isinstance(value, int)]
    if halo and len(halo) == 2:
        found["tiles_overlap"] = min(_MOST, math.ceil(200 * max(halo) / tile))
    return found


def _standardization(image: ModelInput) -> dict[str, Any]:
    """Return mean and deviation after a division by 255, band by band, where the scaling is a straight line."""
    bands = image.input.shape[1]
    steps = [step.model_dump() for step in image.value_scaling or ()]
    if not steps or bands < 1:
        return {}
    raw = np.broadcast_to(_POINTS, (1, bands, 1, len(_POINTS))).copy()
    scaled = np.asarray(scale(raw, steps, image.input.dim_order, of=image.name), np.float64)[0, :, 0]
    slope = scaled[:, 1] - scaled[:, 0]
    offset = scaled[:, 0]
    line = slope[:, None] * _POINTS + offset[:, None]
    if not np.all(slope) or not np.allclose(line, scaled, rtol=1e-5, atol=1e-6):
        return {}
    deviation = 1 / (_BYTE * slope)
    return {
        "standardization_mean": [float(f"{value:.9g}") for value in -offset * deviation],
        "standardization_std": [float(f"{value:.9g}") for value in deviation],
    }
