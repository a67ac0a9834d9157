"""A ``.keras`` file: the version of Keras that wrote it, its inputs, and of its outputs what their layers say.

Shapes are computed by Keras and stand in no file; but the channels that a convolution or a dense layer gives do, and
with which type it computes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from modelstac.registry.facts.records.record import Record, Slot
from modelstac.registry.inspecting.folders import words

_CONVOLUTIONS = words(
    "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose SeparableConv1D SeparableConv2D"
)
_CHANNELS = MappingProxyType({"Dense": "units"} | dict.fromkeys(_CONVOLUTIONS, "filters"))
"""Layers of which the last axis is as long as a setting says."""
_SAME_RANK = words(
    """Activation BatchNormalization Dropout ELU GroupNormalization LayerNormalization LeakyReLU PReLU ReLU Softmax
    SpatialDropout1D SpatialDropout2D SpatialDropout3D"""
)
"""Layers that give as many axes as they take."""
_TYPES = MappingProxyType(
    {name: name for name in ("float16", "bfloat16", "float32", "float64")}
    | {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
)
"""With which type a policy computes."""


def read(data: bytes) -> Record:
    """Read the record of a ``.keras`` file; what a subclass of ``keras.Model`` takes and gives is in none."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        metadata, config = (json.loads(archive.read(name)) for name in ("metadata.json", "config.json"))
    version, saved = metadata.get("keras_version"), metadata.get("date_saved")
    details = {"date_saved": saved} if isinstance(saved, str) else {}
    inputs, outputs = interface(config.get("class_name"), config.get("config") or {})
    return Record("keras", version if isinstance(version, str) else None, inputs, outputs, details=details)


def interface(kind: Any, config: Mapping[str, Any]) -> tuple[tuple[Slot, ...] | None, tuple[Slot, ...] | None]:
    """Read inputs and outputs of a model of a class, by the names that its runtime gives them; None where it has none.

    Raises
    ------
    ValueError, LookupError, TypeError, AttributeError
        If the configuration makes no sense.
    """
    layers = {str((layer.get("config") or {}).get("name")): layer for layer in config.get("layers") or ()}
    if kind == "Sequential" and layers:
        first, last = next(iter(layers)), next(reversed(layers))
        known = layers[first].get("class_name") == "InputLayer"
        return ((_slot(first, layers[first]),) if known else None), (_made(last, layers[last]),)
    if kind != "Functional" or "input_layers" not in config or "output_layers" not in config:
        return None, None
    inputs, outputs = (
        [(key, layer) for key, layer, _, _ in ends(config[name])] for name in ("input_layers", "output_layers")
    )
    named = [layer if key is None else key for key, layer in outputs]
    counts = dict.fromkeys(named, 0)
    made = []
    for name, (_, layer) in zip(named, outputs, strict=True):  # a layer that gives several numbers them
        alone = named.count(name) == 1
        made.append(_made(name, layers.get(layer, {})) if alone else Slot(f"{name}_{counts[name]}"))
        counts[name] += 1
    return tuple(_slot(key or layer, layers.get(layer, {})) for key, layer in inputs), tuple(made)


def ends(found: Any) -> Iterator[tuple[str | None, str, int, int]]:
    """Yield key, where there is one, layer, call and number of each end: one, a list of them, or a dictionary."""
    if isinstance(found, dict):
        for key in sorted(found):
            yield key, *_end(found[key])
    elif found and isinstance(found[0], str):
        yield None, *_end(found)
    else:
        for end in found or ():
            yield from ends(end)


def _end(found: Any) -> tuple[str, int, int]:
    layer, call, number = found
    return str(layer), int(call), int(number)


def _slot(name: str, layer: Mapping[str, Any]) -> Slot:
    config = layer.get("config") or {}
    shape, dtype = config.get("batch_shape"), config.get("dtype")
    return Slot(
        name,
        tuple(n if isinstance(n, int) else None for n in shape) if isinstance(shape, list) else None,
        dtype if isinstance(dtype, str) else None,
        optional=config.get("optional") is True,
    )


def _made(name: str, layer: Mapping[str, Any]) -> Slot:
    """Say of an output what its layer says: how many axes and channels, and of which type."""
    kind, config = str(layer.get("class_name")), layer.get("config") or {}
    if (kind not in _CHANNELS and kind not in _SAME_RANK) or not str(layer.get("module")).startswith("keras."):
        return Slot(name)
    given = _taken(layer)
    channels = config.get(_CHANNELS.get(kind, ""))
    dtype = policy_type(config) if kind in _CHANNELS else None  # whole numbers stay such in an activation
    if given is None:
        return Slot(name, None, dtype)
    length = channels if isinstance(channels, int) and config.get("data_format") != "channels_first" else None
    return Slot(name, (*[None] * (len(given) - 1), length), dtype)


def _taken(layer: Mapping[str, Any]) -> list[Any] | None:
    """Give the shape that a layer is called on; None where it is called on several, or nothing says it."""
    nodes = layer.get("inbound_nodes")
    if not nodes:  # of a Sequential
        found = (layer.get("build_config") or {}).get("input_shape")
    elif len(nodes) == 1 and isinstance(nodes[0], dict) and len(nodes[0].get("args") or ()) == 1:
        [tensor] = nodes[0]["args"]
        found = (tensor.get("config") or {}).get("shape") if isinstance(tensor, dict) else None
    else:
        return None
    return found if isinstance(found, list) and found and not isinstance(found[0], list) else None


def policy_type(config: Mapping[str, Any]) -> str | None:
    """Tell with which type a layer computes."""
    policy = config.get("dtype")
    found = (policy.get("config") or {}).get("name") if isinstance(policy, dict) else policy
    return _TYPES.get(found) if isinstance(found, str) else None
