"""What a model file says about itself: shapes, types, parameters, framework and version, read without running its code.

One module a format, each with the same verb, imported when a file of its format is read::

    def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts

It looks into the file as the loader would, and so refuses what the loader would refuse. What a file does not say (what
the model is for, what its axes mean, its licence, the place and time of its data) is nobody's to guess.

Order, each importing only from those before it: keras, keras_shapes, lengths, onnx_graph · onnx_interface,
torch_export · records · keras_config, onnx, recorded, comparing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, NotFoundError, StorageError, UntrustedError
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.sizes import Size
from modelstac.registry.inspecting.precision import FULL, precision_of
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy


@dataclass(frozen=True)
class Tensor:
    """One input or output as the file describes it.

    Parameters
    ----------
    name
        Its name in the file, which is the one that its runtime gives it.
    sizes
        Lengths that each axis may have, as far as the file says. Axes of one symbol grow together; where a length
        depends on values (boxes of a detector) it is :data:`modelstac.catalog.items.sizes.BY_DATA`.
    dtype
        NumPy name of the data type.
    optional
        Whether the model runs without it: it has a default.
    """

    name: str
    sizes: tuple[Size, ...]
    dtype: str
    optional: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis as MLM writes it; -1 where it is open."""
        return tuple(size.mlm for size in self.sizes)

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.sizes))}]"


@dataclass(frozen=True)
class Facts:
    """What a file says.

    Parameters
    ----------
    format
        A key of :data:`modelstac.catalog.items.formats.FORMATS`.
    framework_version
        Of what wrote the file or, where that is not recorded, the first release that can read it; semantic.
    inputs, outputs
        What the model takes and gives, in the order of the file.
    parameters
        Numbers that the file holds as weights, statistics of normalisations included.
    details
        Facts of this format alone, such as the opset.
    precision
        In which it computes, where that is less than float32.
    notes
        What its publisher should know of it.
    """

    format: str
    framework_version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parameters: int
    details: Mapping[str, Any] = field(default_factory=dict)
    precision: str | None = None
    notes: tuple[str, ...] = ()


class Reader(Protocol):
    """What a module of this package offers."""

    def read(self, data: bytes, path: Path, policy: TrustPolicy) -> Facts:  # pragma: no cover - a shape, not code
        """Read the facts of a file."""
        ...


# Suffix of a file -> format, which is also the module that reads it, the package it takes and its extra.
SUFFIXES = MappingProxyType(
    {
        ".keras": ("keras", "keras", "keras"),
        ".onnx": ("onnx", None, None),
        ".pt2": ("torch-export", None, None),
        ".tflite": ("litert", None, None),
        ".savedmodel.zip": ("saved-model", "tensorflow", "tensorflow"),
        ".openvino.zip": ("openvino", None, None),
    }
)
ALONE = tuple(suffix for suffix in SUFFIXES if suffix != ".savedmodel.zip")
"""Of files that can be read without their framework; TensorFlow alone tells the variables of a SavedModel."""
RECORDED = frozenset({"litert", "openvino", "saved-model"})
"""Formats whose record says all that there is to say."""
TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
"""What NumPy has numbers of; it has no bfloat16."""
PICKLES = frozenset({".bin", ".ckpt", ".h5", ".hdf5", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})


def read_facts(path: Path, *, policy: TrustPolicy = DEFAULT_POLICY, alone: bool = False) -> Facts:
    """Read what a model file says about itself.

    Parameters
    ----------
    path
        The file.
    policy
        What may be in it.
    alone
        Whether no framework is imported; its suffix is one of :data:`ALONE`.

    Raises
    ------
    NotFoundError
        If it is not there.
    SpecError
        If its framework is needed to tell what it gives.
    StorageError
        If it cannot be read.
    UntrustedError
        If it is a pickle or the like, or holds what the policy refuses: custom layers, Lambda layers, operators of
        somebody's own, each by name.
    InvalidItemError
        If it is no model file, or a damaged one, or one that takes or gives more than arrays of numbers: sequences,
        texts, complex numbers, single numbers without an axis, each by name.
    MissingPackageError
        If the package that reads it is not installed.
    """
    form = find_format(path)
    try:
        if path.stat().st_size > policy.max_bytes:
            raise UntrustedError(f"{path} is larger than the limit of {policy.max_bytes} bytes")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"no model file {path}: check the path") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check the path and who may read it") from error
    facts = _reader(form, path, alone=alone).read(data, path, policy)
    for kind, tensors in (("input", facts.inputs), ("output", facts.outputs)):
        _check(tensors, kind, path)
    found = precision_of(data, FORMATS[facts.format].artifact_type)
    return facts if found == FULL else replace(facts, precision=found)


def _check(tensors: tuple[Tensor, ...], kind: str, path: Path) -> None:
    """Refuse what no item can describe, by name."""
    if not tensors:
        raise InvalidItemError(f"{path} has no {kind}: a model takes arrays and gives arrays")
    names = [tensor.name for tensor in tensors]
    for tensor in tensors:
        what = f"{path}: the {kind} {tensor.name!r}"
        if not tensor.name:
            raise InvalidItemError(f"{path} has an {kind} without a name: export it with one")
        if names.count(tensor.name) > 1:
            raise InvalidItemError(
                f"{what} is there {names.count(tensor.name)} times: give each {kind} a name of its own"
            )
        if tensor.dtype not in TYPES:
            raise InvalidItemError(
                f"{what} is of {tensor.dtype}, and an array here is of {TYPES[0]}, {', '.join(TYPES[1:])}: "
                f"convert it {'from one' if kind == 'input' else 'to one'} of these within the model"
            )
        if not tensor.sizes and not tensor.optional:
            raise InvalidItemError(
                f"{what} is a single number without axes, and MLM describes arrays of one axis at least: give it one "
                "(unsqueeze or reshape to [1]) within the model, and export it anew"
            )


def find_format(path: Path) -> str:
    """Tell the format of a file by its suffix.

    Raises
    ------
    UntrustedError
        If it is of a format that runs code when it is read.
    InvalidItemError
        If its suffix is that of no format.
    """
    suffix = path.suffix.lower()
    for known, (form, _, _) in SUFFIXES.items():
        if path.name.lower().endswith(known):
            return form
    if suffix in PICKLES:
        raise UntrustedError(
            f"{path} may be a pickle, which runs code when it is read, or holds weights alone: save the model with "
            "torch.export.save as .pt2, with Keras as .keras, or export it as .onnx"
        )
    known = ", ".join(SUFFIXES)
    raise InvalidItemError(
        f"{path} is no model file that is known here: give a STAC item (.json), one of {known}, or what is translated "
        "(.safetensors, .pth, .h5, .skops, trees of XGBoost and LightGBM)"
    )


def _reader(form: str, path: Path, *, alone: bool) -> Reader:
    module = importlib.import_module  # a name for mypy's sake would hide what is imported
    package, extra = next((p, e) for f, p, e in SUFFIXES.values() if f == form)
    try:
        name = "recorded" if form in RECORDED else form.replace("-", "_")
        name = "keras_config" if form == "keras" and alone else name
        return cast(Reader, module(f"{__name__}.{name}"))
    except ModuleNotFoundError as error:
        if package is None or error.name != package:  # a broken installation is not a missing extra
            raise
        raise MissingPackageError.extra(package, str(extra), f"reading {path.name}") from error
