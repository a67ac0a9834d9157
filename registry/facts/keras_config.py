"""What a ``.keras`` file says about itself, read without Keras: of its configuration and the header of its weights.

What its last layers give is in no file; it is computed of their settings, or the file is refused.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError, SpecError
from modelstac.catalog.items.sizes import ANY, Size
from modelstac.catalog.items.versions import semver
from modelstac.registry.facts import Facts, Tensor
from modelstac.registry.facts.keras_shapes import FLOATS, WRAPPERS, Shape, given
from modelstac.registry.facts.records.keras import ends, interface, policy_type
from modelstac.registry.facts.records.record import Slot
from modelstac.registry.inspecting.archives import inspect_archive, objects, open_weights
from modelstac.registry.trust.policy import TrustPolicy

_FRACTIONS = ("float", "bfloat")
_NO_WEIGHTS = "generator"
"""With this ends the name of what holds the state of random numbers."""
_TWICE = "SpectralNormalization"
"""A layer that has the weights of the one within it as its own: they stand in the file twice."""
Layer = Mapping[str, Any]


def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts:
    """Read the facts of a ``.keras`` file; see :func:`modelstac.registry.facts.read_facts`."""
    inspect_archive(data, path, max_bytes=policy.max_bytes)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        metadata, config = (json.loads(archive.read(name)) for name in ("metadata.json", "config.json"))
    try:
        version = semver(metadata["keras_version"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidItemError(f"{path} does not say which Keras wrote it ({error!r}): save it anew") from error
    if any(layer.get("class_name") == _TWICE for layer in objects(config)):
        raise SpecError(f"{path.name}: how many weights {_TWICE} has, {_ALONE}")
    saved = metadata.get("date_saved")
    try:
        inputs, outputs = _tensors(config, path)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, (InvalidItemError, SpecError)):
            raise
        raise InvalidItemError(f"{path} has a configuration without sense ({error!r:.200}): save it anew") from error
    return Facts(
        format="keras",
        framework_version=version,
        inputs=inputs,
        outputs=outputs,
        parameters=_parameters(data, path),
        details={"date_saved": saved} if isinstance(saved, str) else {},
    )


def _tensors(config: Layer, path: Path) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    kind, settings = str(config["class_name"]), config["config"]
    taken, named = interface(kind, settings)
    if not taken or not named or not _is_of_keras(config):
        raise SpecError(f"{path.name}: what a model of the class {kind!r} takes, {_ALONE}")
    return tuple(map(_taken, taken)), tuple(
        _given(slot.name, found, layer, path)
        for slot, (layer, found) in zip(named, _results(kind, settings), strict=True)
    )


_ALONE = "Keras alone tells: leave out --unproved"


def _taken(slot: Slot) -> Tensor:
    return Tensor(slot.name, _sizes(list(slot.shape or ())), str(slot.dtype), slot.optional)


def _given(name: str, found: tuple[Shape, str] | None, layer: Layer, path: Path) -> Tensor:
    if found is None:
        raise SpecError(f"{path.name}: what the output {name!r} is of its layer {layer.get('class_name')}, {_ALONE}")
    shape, dtype = found
    return Tensor(name, _sizes(shape), dtype)


def _sizes(shape: Shape) -> tuple[Size, ...]:
    return tuple(ANY if length is None else Size.fixed(length) for length in shape)


def _results(kind: str, config: Layer) -> Iterator[tuple[Layer, tuple[Shape, str] | None]]:
    """Yield the layer of each output of a model, with the shape and type that it gives, where its settings say them."""
    if kind == "Sequential":
        layers = config["layers"]
        yield layers[-1], _of_sequence(layers)
        return
    layers = {str(layer["config"]["name"]): layer for layer in config["layers"]}
    for _, name, call, number in ends(config["output_layers"]):
        layer = layers[name]
        yield layer, _of_call(layer, call) if number == 0 else None


def _of_sequence(layers: Sequence[Layer]) -> tuple[Shape, str] | None:
    """Compute what a sequence of layers gives, one after the other from its input."""
    first, *rest = layers
    found: tuple[Shape, str] | None = (first["config"]["batch_shape"], str(first["config"]["dtype"]))
    for layer in rest:
        found = _of_layer(layer, [found]) if found is not None else None
        if found is None and isinstance(shape := (layer.get("build_config") or {}).get("input_shape"), list):
            found = _of_layer(layer, [(shape, "")])
    return found


def _of_call(layer: Layer, call: int) -> tuple[Shape, str] | None:
    """Compute what a layer gives in one of its calls."""
    if layer["class_name"] == "InputLayer":
        return layer["config"]["batch_shape"], str(layer["config"]["dtype"])
    arguments = layer["inbound_nodes"][call]["args"]
    tensors = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
    if not tensors or any(not isinstance(one, dict) or one.get("class_name") != "__keras_tensor__" for one in tensors):
        return None
    return _of_layer(layer, [(one["config"]["shape"], str(one["config"]["dtype"])) for one in tensors])


def _of_layer(layer: Layer, taken: Sequence[tuple[Shape, str]]) -> tuple[Shape, str] | None:
    """Compute what a layer, or a model as one, gives of shapes and types; a type that nobody knows is empty."""
    kind, config = str(layer["class_name"]), layer["config"]
    if not _is_of_keras(layer):
        return None
    if kind in {"Functional", "Sequential"}:
        return _of_model(kind, config, taken)
    shape = given(kind, config, [one for one, _ in taken])
    inner = config["layer"] if kind in WRAPPERS else layer
    floats = inner["class_name"] in FLOATS or all(dtype.startswith(_FRACTIONS) for _, dtype in taken)
    dtype = policy_type(inner["config"]) if floats else None
    return None if shape is None or dtype is None else (shape, dtype)


def _is_of_keras(layer: Layer) -> bool:
    return str(layer.get("module")).partition(".")[0] == "keras"


def _of_model(kind: str, config: Layer, taken: Sequence[tuple[Shape, str]]) -> tuple[Shape, str] | None:
    """Say what a model within a model gives, where it is called on just what it was made for."""
    inputs, _ = interface(kind, config)
    results = list(_results(kind, config))
    if inputs is None or len(results) != 1 or [list(slot.shape or ()) for slot in inputs] != [one for one, _ in taken]:
        return None
    return results[0][1]


def _parameters(data: bytes, path: Path) -> int:
    """Count the weights in the header of the HDF5 file: without the optimizer's, and states of random numbers."""
    import h5py

    total = 0
    with open_weights(data, path) as file, h5py.File(file, "r") as opened:
        stack, known = [opened[name] for name in ("layers", "vars") if name in opened], set[int]()
        while stack:
            group = stack.pop()
            for name, value in group.items():
                if not isinstance(value, h5py.Group):
                    total += int(value.size)
                elif not name.endswith(_NO_WEIGHTS) and (place := h5py.h5o.get_info(value.id).addr) not in known:
                    known.add(place)
                    stack.append(value)
    return total
