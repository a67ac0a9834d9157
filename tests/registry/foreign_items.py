"""Items as other people publish them: after the official MLM examples and what mlstac, fAIr and stac-model write.

Written for these tests from the public specification and its examples, and shorter than those:
https://github.com/stac-extensions/mlm/tree/main/examples (Apache 2.0), https://github.com/hotosm/fAIr-models,
https://github.com/tacofoundation/mlstac. Where a file is there to run, it is made by its real framework.
"""

from __future__ import annotations

from typing import Any

BOX = [-7.88, 37.13, 27.91, 58.21]
_RING = [[-7.88, 37.13], [27.91, 37.13], [27.91, 58.21], [-7.88, 58.21], [-7.88, 37.13]]
CHECKPOINT = "https://huggingface.co/torchgeo/resnet18_sentinel2_all_moco/resolve/main/resnet18-59bfdff9.pth"
RGB = {"shape": [-1, 3, 8, 8], "dim_order": ["batch", "channel", "height", "width"], "data_type": "float32"}
CLASSES = {"shape": [-1, 10], "dim_order": ["batch", "class"], "data_type": "float32"}


def item(name: str, mlm: str, assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Return an item that declares a version of MLM; ``_`` in a property's name is ``:``."""
    given = {key.replace("_", ":", 1) if key.startswith("mlm_") else key: value for key, value in properties.items()}
    plain = {
        "description": name,
        "datetime": None,
        "start_datetime": "1900-01-01T00:00:00Z",
        "end_datetime": "9999-12-31T23:59:59Z",
        "mlm:name": name,
        "mlm:tasks": ["segmentation"],
        "mlm:architecture": "ResNet",
        "mlm:input": [{"name": "RGB", "bands": [], "input": RGB}],
        "mlm:output": [{"name": "same", "tasks": ["segmentation"], "result": RGB}],
    }
    known = {key: value for key, value in (plain | given).items() if value is not ...}
    return {
        "type": "Feature",
        "stac_version": "1.0.0" if mlm < "1.5" else "1.1.0",
        "stac_extensions": [f"https://stac-extensions.github.io/mlm/v{mlm}/schema.json"],
        "id": name,
        "collection": "others",
        "geometry": {"type": "Polygon", "coordinates": [_RING]},
        "bbox": BOX,
        "properties": known,
        "assets": assets,
        "links": [{"rel": "collection", "href": "./collection.json", "type": "application/json"}],
    }


def weights(**fields: Any) -> dict[str, Any]:
    """Return the asset of most official examples: a PyTorch checkpoint."""
    plain = {
        "href": CHECKPOINT,
        "type": "application/octet-stream; application=pytorch",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": "torch.save",
    }
    return {key: value for key, value in (plain | fields).items() if value is not None}


BANDS = [f"B{number:02}" for number in range(1, 14)]
_PYTORCH = {"mlm_framework": "pytorch", "mlm_framework_version": "2.1.2+cu121"}
_THIRTEEN = {"shape": [-1, 13, 64, 64], "dim_order": ["batch", "channel", "height", "width"], "data_type": "float32"}
_CLASSIFIED = [{"name": "classification", "tasks": ["classification"], "result": CLASSES}]
# name → document: all of their files are pickles, elsewhere.
OFFICIAL: dict[str, dict[str, Any]] = {
    "item_basic": item(
        "item_basic",
        "1.0.0",
        {"model": {"href": "https://huggingface.co/example/model-card", "type": "text/html", "roles": ["mlm:model"]}},
    ),
    "item_bands_expression": item(
        "item_bands_expression",
        "1.3.0",
        {"weights": weights(**{"mlm:artifact_type": None})},
        mlm_input=[
            {
                "name": "RGB+NDVI",
                "bands": [{"name": "B04"}, {"name": "NDVI", "format": "rio-calc", "expression": "(B08-B04)/(B08+B04)"}],
                "input": RGB | {"shape": [-1, 4, 64, 64]},
            }
        ],
        **_PYTORCH,
    ),
    "item_raster_bands": item(
        "item_raster_bands",
        "1.3.0",
        {"weights": weights(), "source_code": {"href": "https://github.com/microsoft/torchgeo", "roles": ["code"]}},
        mlm_input=[
            {
                "name": "13 bands",
                "bands": BANDS,
                "input": _THIRTEEN,
                "norm_by_channel": True,
                "norm_type": "z-score",
                "statistics": [{"mean": 1354.4, "stddev": 245.7}] * 13,
                "scaling": None,
                "resize_type": None,
                "pre_processing_function": {"format": "python", "expression": "torchgeo.datamodules.EuroSAT.collate"},
            }
        ],
        mlm_output=_CLASSIFIED,
        **_PYTORCH,
    ),
    "item_eo_bands": item(
        "item_eo_bands",
        "1.4.0",
        {"weights": weights(**{"eo:bands": [{"name": name} for name in BANDS]})},
        mlm_input=[
            {
                "name": "13 bands",
                "bands": BANDS,
                "input": _THIRTEEN,
                "value_scaling": [{"type": "z-score", "mean": 1.0, "stddev": 2.0}] * 13,
            }
        ],
        mlm_output=_CLASSIFIED,
        mlm_accelerator="cuda",
        mlm_accelerator_constrained=False,
        mlm_memory_size=1,
        **_PYTORCH,
    ),
    "item_multi_io": item(
        "item_multi_io",
        "1.3.0",
        {"weights": weights()},
        mlm_input=[{"name": name, "bands": [], "input": RGB, "scaling": None} for name in ("RGB", "NDVI", "DEM")],
        **_PYTORCH,
    ),
    "item_datacube_variables": item(
        "item_datacube_variables",
        "1.4.0",
        {"weights": weights(), "model": {"href": "https://example.org/Network.py", "roles": ["mlm:source_code"]}},
        mlm_input=[
            {
                "name": "coarse",
                "variables": ["t2m", "u10"],
                "input": {
                    "shape": [-1, 2, 8, 8],
                    "dim_order": ["time", "variables", "lat", "lon"],
                    "data_type": "float32",
                },
            }
        ],
        **_PYTORCH,
    ),
    "item_pytorch_geo_unet": item(
        "item_pytorch_geo_unet",
        "1.4.0",
        {"model": weights()},
        mlm_framework="segmentation_models_pytorch.decoders.unet.model",
        mlm_output=[{"name": "out", "variables": [], "bands": [], "tasks": [], "result": CLASSES}],
    ),
}
