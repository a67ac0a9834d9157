"""What a model file says about itself: shapes, types, parameters, framework and version, read without running its code.

One module a format, each with the same verb, imported when a file of its format is read::

    def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts

It looks into the file as the loader would, and so refuses what the loader would refuse. What a file does not say (what
the model is for, what its axes mean, its licence, the place and time of its data) is nobody's to guess.

Order, each importing only from those before it: keras, onnx, torch_export.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, NotFoundError, StorageError, UntrustedError
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy


@dataclass(frozen=True)
class Tensor:
    """One input or output as the file describes it.

    Parameters
    ----------
    name
        Its name in the file.
    shape
        Size of each axis; -1 where any will do.
    dtype
        NumPy name of the data type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join('any' if n == -1 else str(n) for n in self.shape)}]"


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
        What the model takes and gives.
    parameters
        Numbers that the file holds as weights, statistics of normalisations included.
    details
        Facts of this format alone, such as the opset.
    """

    format: str
    framework_version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parameters: int
    details: Mapping[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """What a module of this package offers."""

    def read(self, data: bytes, path: Path, policy: TrustPolicy) -> Facts:  # pragma: no cover - a shape, not code
        """Read the facts of a file."""
        ...


# Suffix of a file -> format, which is also the module that reads it, the package it takes and its extra.
SUFFIXES = MappingProxyType(
    {
        ".keras": ("keras", "keras", "keras"),
        ".onnx": ("onnx", "onnx", "onnx"),
        ".pt2": ("torch-export", None, None),
    }
)
PICKLES = frozenset({".bin", ".ckpt", ".h5", ".hdf5", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})


def read_facts(path: Path, *, policy: TrustPolicy = DEFAULT_POLICY) -> Facts:
    """Read what a model file says about itself.

    Parameters
    ----------
    path
        The file.
    policy
        What may be in it.

    Raises
    ------
    NotFoundError
        If it is not there.
    StorageError
        If it cannot be read.
    UntrustedError
        If it is a pickle or the like, or holds what the policy refuses: custom layers, Lambda layers, operators of
        somebody's own, each by name.
    InvalidItemError
        If it is no model file, or a damaged one, or one with several inputs or outputs.
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
    facts = _reader(form, path).read(data, path, policy)
    for kind, tensors in (("input", facts.inputs), ("output", facts.outputs)):
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors[:4])
            raise InvalidItemError(
                f"{path} has {len(tensors)} {kind}s ({names}): a model that can be loaded and compared has one of each"
            )
        if not tensors[0].shape:
            raise InvalidItemError(f"{path} has an {kind} without axes: a model takes and gives arrays")
    return facts


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
    if suffix in SUFFIXES:
        return SUFFIXES[suffix][0]
    if suffix in PICKLES:
        raise UntrustedError(
            f"{path} may be a pickle, which runs code when it is read, or holds weights alone: save the model with "
            "torch.export.save as .pt2, with Keras as .keras, or export it as .onnx"
        )
    known = ", ".join(SUFFIXES)
    raise InvalidItemError(f"{path} is no model file that is known here: give a STAC item (.json) or one of {known}")


def _reader(form: str, path: Path) -> Reader:
    module = importlib.import_module  # a name for mypy's sake would hide what is imported
    package, extra = next((p, e) for f, p, e in SUFFIXES.values() if f == form)
    try:
        return cast(Reader, module(f"{__name__}.{FORMATS[form].name.replace('-', '_')}"))
    except ModuleNotFoundError as error:
        if package is None or error.name != package:  # a broken installation is not a missing extra
            raise
        raise MissingPackageError.extra(package, str(extra), f"reading {path.name}") from error
