"""A model of everything that a page shows: bands, classes, halo, versions, variants, a card, pictures."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog.items.description import ExtraAsset, Parity, Provider, Source, Timing
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure, Scale, ZScore
from modelstac.catalog.items.provenance import KeptLink, Step
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.testing import Examples

NAME = "land-cover"
CARD = """\
Says of each 10 m pixel of a Sentinel-2 scene which of five classes of land cover it shows. Made for central Europe.

# Use

Do **not** use it for *clouds*; see [the paper](https://example.org/paper) or [this](javascript:alert(1)).

| Class | IoU |
| --- | ---: |
| water | 0.93 |
| forest | 0.88 |

<script>document.title = "hostile"</script>

![a plot](https://example.org/plot.png)

### Training

1. scenes of two summers
2. `60` epochs
"""
CLASSES = (
    {"value": 0, "name": "water", "description": "water", "color_hint": "1F77B4"},
    {"value": 1, "name": "forest", "description": "forest & wood", "color_hint": "2CA02C"},
    {"value": 2, "name": "field", "description": "field <b>", "color_hint": "E6C619"},
    {"value": 3, "name": "town", "description": "town", "color_hint": "D62728"},
    {"value": 4, "name": "bare", "description": "bare soil"},
)
SCORES = {
    "accuracy": 0.921,
    "F1_water": 0.96,
    "F1_forest": 0.94,
    "IoU_water": 0.93,
    "IoU_forest": 0.88,
    "kappa": 0.87,
    "loss": 0.231,
    "miou": 0.714,
    "precision": 0.9,
    "recall": 0.91,
}
BANDS = ("B02", "B03", "B04", "B08")


def picture(size: tuple[int, int] = (480, 240)) -> bytes:
    """Draw a small map."""
    from PIL import Image, ImageDraw

    drawn = Image.new("RGB", size, "#2CA02C")
    draw = ImageDraw.Draw(drawn)
    draw.polygon([(0, 60), (200, 100), (480, 40), (480, 80), (210, 140), (0, 100)], fill="#1F77B4")
    draw.rectangle((260, 130, 380, 220), fill="#D62728")
    draw.rectangle((40, 150, 180, 230), fill="#E6C619")
    stream = io.BytesIO()
    drawn.save(stream, "PNG")
    return stream.getvalue()


def land_cover(folder: Path) -> list[pystac.Item]:
    """Return the items of the model in an order in which they can be published; their files are in the folder."""
    examples = Examples(folder)
    (folder / "thumbnail.png").write_bytes(picture())
    (folder / "confusion.png").write_bytes(picture((300, 300)))
    drawn = {
        "thumbnail": ExtraAsset(
            path=folder / "thumbnail.png", media_type="image/png", roles=("thumbnail",), title="A map of the Rhine"
        ),
        "confusion": ExtraAsset(
            path=folder / "confusion.png", media_type="image/png", roles=("overview",), title="Confusion matrix"
        ),
    }
    scaling = tuple(ZScore(mean=1000 + 100 * i, stddev=400 + 10 * i) for i in range(4))
    fields: dict[str, Any] = {
        "name": NAME,
        "title": "Land cover (PyTorch)",
        "model_title": "Land cover of central Europe",
        "description": CARD,
        "license": "CC-BY-4.0",
        "keywords": ("land cover", "Sentinel-2"),
        "providers": (
            Provider(name="Ada Lovelace", roles=("producer",), url="https://example.org/ada"),
            Provider(name="ESA", roles=("licensor",)),
        ),
        "architecture": "U-Net",
        "tasks": ("semantic-segmentation",),
        "inputs": (
            ModelInput(
                name="image",
                bands=BANDS,
                input=InputStructure(
                    shape=(-1, 4, -1, -1), dim_order=("batch", "bands", "height", "width"), data_type="float32"
                ),
                value_scaling=scaling,
            ),
        ),
        "outputs": (
            ModelOutput(
                name="classes",
                tasks=("semantic-segmentation",),
                result=ResultStructure(
                    shape=(-1, 5, -1, -1), dim_order=("batch", "class", "height", "width"), data_type="float32"
                ),
                **{"classification:classes": [dict(one) for one in CLASSES]},
            ),
        ),
        "sizes": {"image": {"height": Size(16, 16), "width": Size(16, 16)}},
        "halo": {"image": {"height": 92, "width": 92}},
        "cube_dimensions": {},
        "cube_variables": {},
        "band_details": {band: {"unit": "1"} for band in BANDS},
        "region": "Rhineland",
        "months": (6, 7, 8),
        "parameters": 1_942_853,
        "scores": SCORES,
        "main_metric": "miou",
        "common": {"sci:doi": "10.5281/zenodo.1234567", "sci:citation": "Lovelace (2026), Land cover & more."},
        "links": (KeptLink(rel="cite-as", href="https://doi.org/10.5281/zenodo.1234567"),),
        "hyperparameters": {"epochs": 40, "optimizer": {"name": "adam", "learning_rate": 1e-3}},
    }
    source = f"{NAME}-1.1.0-torch"
    parity = Parity(
        source=source,
        max_absolute_difference=2.4e-6,
        max_relative_difference=1e-5,
        root_mean_square_difference=1e-8,
        cases=8,
        absolute_tolerance=1e-5,
        relative_tolerance=1e-4,
        passed=True,
    )
    onnx = {
        "variant": "onnx-from-torch",
        "format": "onnx",
        "framework_version": "1.22.0",
        "entrypoint": None,
        "sources": (Source(item_id=source),),
        "title": "Land cover (ONNX)",
    }
    older = {"scores": SCORES | {"miou": 0.68, "accuracy": 0.9}, "hyperparameters": {"epochs": 20}}
    items = [
        examples.item(**fields | older | {"version": "1.0.0", "inputs": _scaled_by_one(fields)}),
        examples.item(**fields | {"version": "1.1.0", "assets": drawn}),
        examples.item(
            **fields
            | onnx
            | {
                "version": "1.1.0",
                "parity": parity,
                "route": (Step(source_format="torch", target_format="onnx", tool="torch.onnx", version="2.13.0"),),
                "timing": Timing(
                    conversion_seconds=3.0, latency_seconds=0.021, source_latency_seconds=0.04, shape=(1, 4, 64, 64)
                ),
            }
        ),
    ]
    items[2].properties["interop:verified"] = [
        {"python": "3.11.7", "packages": {"onnxruntime": "1.32.0", "numpy": "2.1.3"}, "max_absolute_difference": 2e-7},
        {"python": "3.13.1", "packages": {"openvino": "2026.4.1"}, "max_absolute_difference": 0.0},
    ]
    signature = b'{"signed": true}'
    items[2].assets["signature"] = pystac.Asset(
        href=f"data:application/json;base64,{base64.b64encode(signature).decode()}", media_type="application/json"
    )
    return items


def _scaled_by_one(fields: dict[str, Any]) -> tuple[ModelInput, ...]:
    [image] = fields["inputs"]
    return (image.model_copy(update={"value_scaling": (Scale(value=10000),)}),)
