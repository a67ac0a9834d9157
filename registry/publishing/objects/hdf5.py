"""Whole models in HDF5, as Keras 2 and 3 write them (``.h5``): translated into ``.keras``, or into a SavedModel.

HDF5 is no pickle: it holds numbers and a configuration. Both are looked into here. What the model computes is what the
Keras that wrote it makes of it, in an environment of its own; what is published gave the same on random numbers.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from modelstac.catalog.errors import (
    DownloadError,
    InvalidItemError,
    MissingPackageError,
    NotFoundError,
    StorageError,
    UntrustedError,
    WorkerError,
)
from modelstac.registry.inspecting.archives import CODE_CLASSES, FILE_FIELDS, MODULES, objects
from modelstac.registry.inspecting.folders import pack
from modelstac.registry.inspecting.weights import inspect_hdf5
from modelstac.registry.isolated.environments import Environment, Environments
from modelstac.registry.isolated.requirements import Pin, Requirements, here
from modelstac.registry.publishing.objects.apart.running import Answer, ask
from modelstac.registry.publishing.objects.saved import Arrays, Saved
from modelstac.registry.trust.policy import TrustPolicy, within

BANDS_FIRST = False
SUFFIXES = (".h5", ".hdf5", ".hdf")
CONFIG, VERSION, BACKEND = "model_config", "keras_version", "backend"
APART = 1e-5
"""By how much of the largest value what is published may differ from what Keras of old gives."""
# Keras of TensorFlow's own release -> that release, and the newest Python that it has packages for.
_RELEASES = MappingProxyType(
    {
        "2.5": ("2.5.3", "3.9"),
        "2.6": ("2.6.5", "3.9"),
        "2.7": ("2.7.4", "3.10"),
        "2.8": ("2.8.4", "3.10"),
        "2.9": ("2.9.3", "3.10"),
        "2.10": ("2.10.1", "3.10"),
        "2.11": ("2.11.1", "3.10"),
        "2.12": ("2.12.1", "3.11"),
        "2.13": ("2.13.1", "3.11"),
        "2.14": ("2.14.1", "3.11"),
        "2.15": ("2.15.1", "3.11"),
    }
)
_BEFORE_BOUNDS = (2, 12)  # from then on TensorFlow says itself which NumPy and protobuf it needs
_OLD_PROTOBUF, _OLD_NUMPY, _NUMPY_WITHOUT_BOUND = "3.19.6", "1.23.5", (2, 7)
_LAST_OF_KERAS_2 = ("2.19.0", "2.19.1") if sys.version_info < (3, 13) else ("2.20.1", "2.20.0")
_OLDEST_PYTHON = (3, 7)  # that the program is written for
# What a layer made of a function of TensorFlow may call: arithmetic on arrays.
_FUNCTIONS = (
    *("math", "nn", "linalg", "__operators__", "keras.backend", "image.resize", "concat", "reshape", "cast", "stack"),
    *("unstack", "expand_dims", "squeeze", "transpose", "tile", "split", "clip_by_value", "identity", "shape", "pad"),
    *("ones_like", "zeros_like", "gather", "strided_slice", "reverse", "broadcast_to", "where", "convert_to_tensor"),
)


@dataclass(frozen=True)
class WholeModel:
    """A file that was looked into, and the Keras that wrote it."""

    path: Path
    version: str
    backend: str


def look_into(path: Path, policy: TrustPolicy) -> WholeModel | None:
    """Look into a file; give None where it holds weights alone.

    Raises
    ------
    UntrustedError
        If it leads to other files, or names classes that run code or are not Keras' own; by name.
    InvalidItemError
        If it is no HDF5 file of Keras.
    MissingPackageError
        If h5py is not installed.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"no model file {path}: check the path") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
    with file:
        inspect_hdf5(file, path, max_bytes=policy.max_bytes)
        import h5py

        with h5py.File(file, "r") as opened:
            attributes = {
                name: _text(opened.attrs[name]) for name in (CONFIG, VERSION, BACKEND) if name in opened.attrs
            }
    if CONFIG not in attributes:
        return None
    try:
        config = json.loads(attributes[CONFIG])
    except (ValueError, RecursionError) as error:
        raise InvalidItemError(f"{path} has a configuration that is no JSON ({error}): save the model anew") from error
    for value in objects(config):
        _check(value, path)
    return WholeModel(path, attributes.get(VERSION, "2.2.4").partition("-")[0], attributes.get(BACKEND, "tensorflow"))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check(value: dict[str, Any], path: Path) -> None:
    """Refuse a layer that runs code, is not Keras' own, or reads another file."""
    name, inner = value.get("class_name"), value.get("config")
    inner = inner if isinstance(inner, dict) else {}
    if isinstance(name, str):
        module, registered = value.get("module"), value.get("registered_name")
        called = inner.get("function") if "OpLambda" in name else None
        own = not isinstance(module, str) or module == "keras" or within(module, MODULES)
        custom = isinstance(registered, str) and ">" in registered
        harmless = called is None or (
            isinstance(called, str) and any(called == one or called.startswith(f"{one}.") for one in _FUNCTIONS)
        )
        if name in CODE_CLASSES or name == "TensorFlowOpLayer" or not own or custom or not harmless:
            shown = f"{name} of {called}" if called else name
            layer = f" as {inner['name']!r}" if isinstance(inner.get("name"), str) else ""
            raise UntrustedError(
                f"{path} wants {shown}{layer}, which runs code that is not Keras' own: build the model of Keras' own "
                "layers, or export it as ONNX where that code is"
            )
    for field in FILE_FIELDS:
        if isinstance(file := value.get(field), str):
            raise UntrustedError(f"{path} would read its {field} from the file {file!r}: save the model with it inside")


def input_names(model: WholeModel, given: Collection[str] = ()) -> Sequence[str] | None:  # noqa: ARG001 - the file tells
    """Leave it to the file."""
    return None


def save(model: WholeModel, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:  # noqa: ARG001
    """Translate a model, and prove that it computes the same.

    Raises
    ------
    InvalidItemError
        If the Keras of old cannot read it, or nothing that is made of it gives the same; says by how much.
    MissingPackageError, DownloadError, NotFoundError
        If no environment with a Keras that reads it can be made.
    """
    environment, keras, notes = environment_of(model)
    request = {"path": str(model.path), "keras": keras}

    def run(arrays: Arrays, save: Path | None = None) -> Answer:
        asked = request | ({"save": str(save)} if save else {})
        return ask("keras_program", asked, what=str(model.path), arrays=arrays, environment=environment)

    answer = run({})
    try:
        path = _archived(model.path, folder / "model.keras", answer)
        known = {"backend": _backend(), "backend_version": _backend_version()}
        told = f"{model.path.name} of Keras {model.version} was saved anew as .keras"
    except (InvalidItemError, MissingPackageError) as error:
        reason = str(error)
        run({}, folder / "saved")
        path = folder / "model.savedmodel.zip"
        with suppress(OSError):
            (folder / "saved" / "fingerprint.pb").unlink()
        pack(folder / "saved", path)
        known = {}
        told = f"{model.path.name} of Keras {model.version} became a SavedModel ({reason})"
    said_by = answer.said["keras"]
    notes.append(f"{told}, and held against what Keras {said_by} makes of it")
    order = list(answer.said["inputs"])
    return Saved(path, known, lambda arrays: run(_ordered(arrays, order)).outputs, None, tuple(notes))


def _ordered(arrays: Arrays, order: Sequence[str]) -> Arrays:
    return {name: arrays[name] for name in order} if set(order) == set(arrays) else arrays


def _archived(source: Path, target: Path, answer: Answer) -> Path:
    """Save a model as ``.keras`` by the Keras that is installed here, if it gives the same."""
    try:
        import keras
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("keras", "keras", f"publishing {source.name}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = keras.saving.load_model(source, compile=False, safe_mode=True)
            found = model(list(answer.inputs) if len(answer.inputs) > 1 else answer.inputs[0], training=False)
            model.save(target)
    except Exception as error:  # what Keras raises of a file that it does not know is of any class
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"Keras {keras.__version__} cannot read it: {reason[:120]}") from error
    parts = [found[name] for name in sorted(found)] if isinstance(found, dict) else found
    parts = parts if isinstance(parts, list | tuple) else [parts]
    given = [np.asarray(keras.ops.convert_to_numpy(one)) for one in parts]
    if (differs := _differs(given, answer.outputs)) is not None:
        raise InvalidItemError(f"Keras {keras.__version__} makes other numbers of it, {differs}")
    return target


def _differs(found: Sequence[np.ndarray[Any, Any]], wanted: Sequence[np.ndarray[Any, Any]]) -> str | None:
    if [one.shape for one in found] != [one.shape for one in wanted]:
        return f"of shapes {[one.shape for one in found]} and not {[one.shape for one in wanted]}"
    for one, other in zip(found, wanted, strict=True):
        one, other = one.astype(np.float64), other.astype(np.float64)  # noqa: PLW2901
        away = float(np.abs(one - other).max(initial=0))
        if not away <= APART * max(1.0, float(np.abs(other).max(initial=0))):
            return f"by {away:.2g} at most"
    return None


def _backend() -> str:
    import keras

    return str(keras.config.backend())


def _backend_version() -> str:
    from modelstac.catalog.items.versions import semver
    from modelstac.registry.runtimes.backends import PACKAGES

    return semver(importlib.import_module(PACKAGES[_backend()]).__version__)


def environment_of(model: WholeModel) -> tuple[Environment | None, str, list[str]]:
    """Give the environment of the Keras that wrote a file, or of the nearest that there is, and how it is imported."""
    if model.version == _installed("keras"):
        return None, "keras", []
    purpose = f"reading {model.path.name} by Keras {model.version}"
    wanted = _requirements(model.version)
    reason = "none of its packages are for a Python of today"
    if wanted is not None:
        try:
            made = Environments().provide(wanted, purpose=purpose, oldest=_OLDEST_PYTHON)
        except (NotFoundError, DownloadError, StorageError, WorkerError) as error:
            reason = str(error).removeprefix(f"{purpose}: ")
        else:
            return made, "keras" if model.version.startswith("3.") else "tensorflow.keras", []
    if model.version.startswith("3."):
        return None, "keras", [f"Keras {model.version} cannot be had here ({reason[:160]})"]
    keras, tensorflow = _LAST_OF_KERAS_2
    pins = (Pin(here("tensorflow"), tensorflow), Pin("tf-keras", keras))
    last = Requirements(f"{sys.version_info.major}.{sys.version_info.minor}", tuple(sorted(pins)))
    note = f"Keras {model.version} cannot be had here ({reason[:160]}): tf-keras {keras}, the last of Keras 2, reads it"
    return Environments().provide(last, purpose=purpose), "tf_keras", [note]


def _requirements(version: str) -> Requirements | None:
    parts = version.split(".")
    if parts[0] == "3":
        pins = [Pin("keras", version), Pin(here("tensorflow")), Pin("h5py"), Pin("numpy")]
        return Requirements(f"{sys.version_info.major}.{sys.version_info.minor}", tuple(sorted(pins)))
    if (found := _RELEASES.get(".".join(parts[:2]))) is None:
        return None
    release, python = found
    minor = tuple(map(int, parts[:2]))
    pins = [Pin(here("tensorflow"), release)]
    if minor < _BEFORE_BOUNDS:
        pins.append(Pin("protobuf", _OLD_PROTOBUF))
        pins += [Pin("numpy", _OLD_NUMPY)] if minor >= _NUMPY_WITHOUT_BOUND else []
    if minor >= (2, 6):  # before, Keras was a part of TensorFlow
        pins.append(Pin("keras", version))
    return Requirements(python, tuple(sorted(pins, key=lambda pin: pin.name)))


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
