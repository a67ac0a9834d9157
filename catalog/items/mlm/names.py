"""The words of the Machine Learning Model (MLM) extension, and of what we write beside it.

Source: MLM 1.5.2, https://github.com/stac-extensions/mlm/tree/v1.5.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

MLM_SCHEMA_URI = "https://stac-extensions.github.io/mlm/v1.5.2/schema.json"
FILE_SCHEMA_URI = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
VERSION_SCHEMA_URI = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
DATACUBE_SCHEMA_URI = "https://stac-extensions.github.io/datacube/v2.3.0/schema.json"
SCIENTIFIC_SCHEMA_URI = "https://stac-extensions.github.io/scientific/v1.0.0/schema.json"
RASTER_SCHEMA_URI = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"

MODEL_ROLE = "mlm:model"
DTYPE_FIELD = "interop:data_type"
BANDS_FIELD = "interop:bands"
"""In an input or output: names along an axis of bands that is not called ``bands``, where MLM wants no list."""
CLASSES_FIELD = "classification:classes"
CLASSES_FIELDS = (CLASSES_FIELD, "classification_classes", "classes")
"""What publishers call the same list: the second is in most examples of MLM itself."""
RANGE_FIELD = "interop:range"
"""In an input: lowest and highest value that the model is fed, after scaling; or such a pair for each band."""
GAPS_FIELD = "interop:gaps"
"""In an input: true of one that is fed NaN where something is missing, as trees are that were trained with gaps."""
TENSOR_FIELD = "interop:tensor"
"""In an input or output: its name in the file, where the item calls it otherwise."""
BAND_AXES = ("bands", "band", "channel", "channels", "c")
"""What publishers call the axis of bands; MLM reserves the first for it."""

Task = Literal[
    "regression",
    "classification",
    "scene-classification",
    "detection",
    "object-detection",
    "segmentation",
    "semantic-segmentation",
    "instance-segmentation",
    "panoptic-segmentation",
    "similarity-search",
    "generative",
    "image-captioning",
    "super-resolution",
    "downscaling",
]
TASKS: tuple[str, ...] = get_args(Task)

# "Framework", the notable names; any other name is allowed by the schema.
FRAMEWORKS = (
    "PyTorch",
    "TensorFlow",
    "scikit-learn",
    "Hugging Face",
    "Keras",
    "ONNX",
    "rgee",
    "spatialRF",
    "JAX",
    "Flax",
    "MXNet",
    "Caffe",
    "PyMC",
    "Weka",
    "Paddle",
)

Accelerator = Literal["amd64", "cuda", "xla", "amd-rocm", "intel-ipex-cpu", "intel-ipex-gpu", "macos-arm"]

DataType = Literal[
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "cint16",
    "cint32",
    "cfloat32",
    "cfloat64",
    "other",
]

ResizeType = Literal[
    "crop",
    "pad",
    "interpolation-nearest",
    "interpolation-linear",
    "interpolation-cubic",
    "interpolation-area",
    "interpolation-lanczos4",
    "interpolation-max",
    "wrap-fill-outliers",
    "wrap-inverse-map",
]

# Semantic Versioning 2.0.0, the pattern of mlm:framework_version.
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?",
    re.ASCII,
)


def colour_digits(colour: Any) -> Any:
    """Write a colour of three numbers, as in the first examples of MLM, in the six digits that are meant."""
    if not isinstance(colour, list) or [*map(type, colour)] != [int] * 3 or not all(0 <= one <= 255 for one in colour):
        return colour
    return bytes(colour).hex().upper()


def band_axis(dim_order: Sequence[str]) -> str | None:
    """Name the axis of the bands, as somebody calls it; None if there is none."""
    return next((axis for axis in BAND_AXES if axis in dim_order), None)
