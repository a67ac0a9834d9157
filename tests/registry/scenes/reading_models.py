"""Models as reading a scene sees them, and rasters on a disk: items of somebody else's, with nothing to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
from rasterio.transform import Affine

from modelstac.catalog.items.description import ModelDescription
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.running.signature import Signature

UTM = "EPSG:32633"
CORNER = Affine(10, 0, 600_000, 0, -10, 5_800_000)


@dataclass
class Read:
    """What reading wants of a model."""

    item: pystac.Item
    description: ModelDescription
    signature: Signature


def tensor(
    bands: list[str],
    shape: tuple[int, ...] = (-1, -1, -1, -1),
    order: tuple[str, ...] = ("batch", "bands", "height", "width"),
    dtype: str = "float32",
    name: str = "image",
    **more: Any,
) -> dict[str, Any]:
    """Write an entry of ``mlm:input``."""
    lengths = [len(bands) if dim == "bands" and bands else size for dim, size in zip(order, shape, strict=True)]
    layout = {"shape": lengths, "dim_order": list(order), "data_type": dtype}
    return {"name": name, "bands": bands, "input": layout, **more}


def model(*inputs: dict[str, Any], **properties: Any) -> Read:
    """Make a model of these inputs."""
    output = {"shape": [-1, 2, -1, -1], "dim_order": ["batch", "class", "height", "width"], "data_type": "float32"}
    item = pystac.Item.from_dict(
        {
            "type": "Feature",
            "stac_version": "1.1.0",
            "stac_extensions": ["https://stac-extensions.github.io/mlm/v1.5.1/schema.json"],
            "id": "somebodys",
            "geometry": {"type": "Point", "coordinates": [5, 52]},
            "bbox": [5, 52, 5, 52],
            "properties": {
                "datetime": "2024-01-01T00:00:00Z",
                "mlm:name": "somebodys",
                "mlm:architecture": "U-Net",
                "mlm:tasks": ["semantic-segmentation"],
                "mlm:framework": "ONNX",
                "mlm:input": list(inputs),
                "mlm:output": [{"name": "mask", "tasks": ["semantic-segmentation"], "result": output}],
                **properties,
            },
            "links": [],
            "assets": {
                "model": {
                    "href": "https://example.com/model.onnx",
                    "type": "application/octet-stream; framework=onnx",
                    "roles": ["mlm:model"],
                    "mlm:artifact_type": "onnx",
                }
            },
        }
    )
    description, _ = described(item, model_assets(item)[0], None)
    return Read(item, description, Signature.of(description))


def tif(path: Path, values: np.ndarray[Any, Any], *, names: list[str] | None = None, **more: Any) -> Path:
    """Write a GeoTIFF of bands, rows and columns."""
    values = values if values.ndim == 3 else values[None]
    scales, offsets, mask = (more.pop(key, None) for key in ("scales", "offsets", "mask"))
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": values.shape[0], "height": values.shape[1], "width": values.shape[2],
        "dtype": str(values.dtype), "crs": UTM, "transform": CORNER,
    } | more  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
        for number, name in enumerate(names or [], 1):
            file.set_band_description(number, name)
        if scales is not None:
            file.scales = scales
        if offsets is not None:
            file.offsets = offsets
        if mask is not None:
            file.write_mask(mask)
    return path


def scene_item(folder: Path, assets: dict[str, dict[str, Any]], **properties: Any) -> dict[str, Any]:
    """Write a STAC item of a scene."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": properties.pop("id", "scene"),
        "geometry": {"type": "Point", "coordinates": [16.5, 52.3]},
        "bbox": [16.5, 52.3, 16.5, 52.3],
        "properties": {"datetime": "2023-06-01T10:00:00Z"} | properties,
        "links": [],
        "assets": {
            key: {"href": f"./{key}.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]} | asset
            for key, asset in assets.items()
        },
    }


def whole(source: Any, name: str = "image") -> Any:
    """Read all of an input."""
    height, width = source.grids[name].shape
    return source.read(name, (slice(0, height), slice(0, width)))
