"""Pickles of scikit-learn and of trees: opened in a process of their own, by the scikit-learn that wrote them.

Only for one who trusts their publisher: a pickle runs code when it is read.
"""

from __future__ import annotations

import importlib.metadata
import pickletools
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import (
    DownloadError,
    MissingPackageError,
    NotFoundError,
    SpecError,
    StorageError,
    UntrustedError,
)
from modelstac.registry.isolated.environments import Environment, Environments
from modelstac.registry.isolated.requirements import Pin, Requirements
from modelstac.registry.publishing.objects.apart.running import ask
from modelstac.registry.publishing.objects.saved import Arrays, Saved
from modelstac.registry.trust.policy import PICKLE, TrustPolicy

BANDS_FIRST = False
SUFFIXES = (".pkl", ".pickle", ".joblib", ".sav", ".dat")
_VERSION = "_sklearn_version"
_OF_NUMPY_1 = "1.26.4"
_FIRST_OF_NUMPY_2 = (1, 4, 2)
_OLDEST = (1, 2)  # that has packages for the Pythons that run what is ours
_READ = 200_000  # operations of a pickle that are looked through


@dataclass(frozen=True)
class Pickle:
    """A pickle whose publisher is trusted, and the scikit-learn that wrote it."""

    path: Path
    version: str | None


def is_pickle(path: Path) -> bool:
    """Tell whether a file begins as a pickle of today or a file of joblib does."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError:
        return False
    return head[:1] == b"\x80" or head in {b"\x1f\x8b", b"x\x9c", b"BZ", b"\xfd7"}  # joblib compresses


def trusted(path: Path, policy: TrustPolicy) -> Pickle:
    """Give a pickle that may be opened.

    Raises
    ------
    UntrustedError
        If nobody says that its publisher is trusted.
    """
    if PICKLE not in policy.code:
        raise UntrustedError(
            f"{path} is a pickle, which runs code when it is read: publish the object itself from Python "
            f"(modelstac.publish(model, …)); if you trust its publisher, publish the file with --trust {PICKLE}: it is "
            "opened in a process of its own"
        )
    return Pickle(path, _written_by(path))


def _written_by(path: Path) -> str | None:
    """Read the version of scikit-learn from a pickle, without running it; None where it does not say."""
    last = ""
    try:
        with path.open("rb") as file:
            for number, (operation, argument, _) in enumerate(pickletools.genops(file)):
                if operation.name in {"SHORT_BINUNICODE", "BINUNICODE"}:
                    if last == _VERSION:
                        return str(argument)
                    last = str(argument)
                if number > _READ:
                    break
    except (ValueError, OSError):  # compressed by joblib, or not a pickle all through
        pass
    return None


def input_names(model: Pickle, given: Collection[str] = ()) -> Sequence[str] | None:  # noqa: ARG001
    """Name the one input: a table of numbers."""
    from modelstac.registry.publishing.objects.classical import INPUT

    return [INPUT]


def save(model: Pickle, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:
    """Open the pickle in a process of its own, and give the ONNX graph that computes what it does.

    Raises
    ------
    InvalidItemError
        If it cannot be read, or is no fitted model.
    SpecError
        If the environment is none that can be made.
    """
    environment, note = _environment(model)
    plain = {name: said[name] for name in ("bands", "classes") if isinstance(said.get(name), str | list | tuple)}
    request = {"path": str(model.path), "folder": str(folder), "said": plain}
    answer = ask("sklearn_program", request, what=str(model.path), arrays=example or None, environment=environment)
    known = {name: _as_said(value) for name, value in answer.said["known"].items()}

    def run(arrays: Arrays) -> Sequence[Any]:
        import numpy as np

        found = ask("sklearn_program", request, what=str(model.path), arrays=arrays, environment=environment)
        outputs: list[Any] = [np.empty(0, object)] * int(found.said["count"])  # texts, which are not compared
        for place, array in zip(found.said["places"], found.outputs, strict=True):
            outputs[place] = array
        return outputs

    labels, missing = answer.said["labels"], answer.said["missing"]
    notes = tuple(filter(None, [note]))
    path = folder / answer.said["path"]
    return Saved(path, known, run, None, notes, labels=labels, table=True, missing=missing)


def _as_said(value: Any) -> Any:
    """Undo what JSON does to what is known: axes are tuples."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if isinstance(value, dict):
        return {name: _as_said(one) for name, one in value.items()}
    return value


def _environment(model: Pickle) -> tuple[Environment | None, str | None]:
    """Make the environment of the scikit-learn that wrote it; this one where that is the same, or none can be made."""
    here = _installed("scikit-learn")
    if model.version is None or model.version == here:
        return None, None
    wanted = tuple(int(part) for part in model.version.split(".")[:3] if part.isdecimal())
    reason = ""
    if wanted >= _OLDEST:
        try:
            return _made(model, wanted), None
        except (NotFoundError, DownloadError, MissingPackageError, StorageError) as error:
            reason = f": {error}"
    if here is None:
        raise MissingPackageError(
            f"{model.path.name} is of scikit-learn {model.version}, and none is installed{reason}"
        )
    return None, (
        f"{model.path.name} was written by scikit-learn {model.version} and read by {here}, as the former cannot be "
        f"had here{reason}"
    )


def _made(model: Pickle, wanted: tuple[int, ...]) -> Environment:
    pins = [Pin("scikit-learn", model.version), Pin("skl2onnx", _installed("skl2onnx"))]
    pins += [Pin("onnx", _installed("onnx")), Pin("protobuf", _installed("protobuf"))]
    pins += [Pin("numpy", _OF_NUMPY_1 if wanted < _FIRST_OF_NUMPY_2 else None)]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if any(pin.version is None for pin in pins[:4]):
        raise SpecError(f"publishing {model.path.name} takes skl2onnx: pip install 'modelstac[classical]'")
    purpose = f"reading {model.path.name}"
    return Environments().provide(Requirements(python, tuple(sorted(pins, key=lambda p: p.name))), purpose=purpose)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
