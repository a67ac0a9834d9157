"""A ``.keras`` file: the version of Keras that wrote it, its inputs, and the names of its outputs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from modelstac.registry.facts.records.record import Record, Slot


def read(data: bytes) -> Record:
    """Read the record of a ``.keras`` file; what a subclass of ``keras.Model`` takes and gives is in none."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        metadata, config = (json.loads(archive.read(name)) for name in ("metadata.json", "config.json"))
    version, saved = metadata.get("keras_version"), metadata.get("date_saved")
    details = {"date_saved": saved} if isinstance(saved, str) else {}
    inputs, outputs = _interface(config.get("class_name"), config.get("config") or {})
    return Record("keras", version if isinstance(version, str) else None, inputs, outputs, details=details)


def _interface(kind: Any, config: dict[str, Any]) -> tuple[tuple[Slot, ...] | None, tuple[Slot, ...] | None]:
    layers = {str((layer.get("config") or {}).get("name")): layer for layer in config.get("layers") or ()}
    if kind == "Sequential" and layers:
        first, last = next(iter(layers)), next(reversed(layers))
        known = layers[first].get("class_name") == "InputLayer"
        return ((_slot(first, layers[first]),) if known else None), (Slot(last),)
    if kind != "Functional" or "input_layers" not in config or "output_layers" not in config:
        return None, None
    inputs, outputs = (list(_ends(config[name])) for name in ("input_layers", "output_layers"))
    named = [layer if key is None else key for key, layer in outputs]
    counts = dict.fromkeys(named, 0)
    made = []
    for name in named:  # a layer that gives several numbers them
        made.append(Slot(name if named.count(name) == 1 else f"{name}_{counts[name]}"))
        counts[name] += 1
    return tuple(_slot(key or layer, layers.get(layer, {})) for key, layer in inputs), tuple(made)


def _ends(found: Any) -> Iterator[tuple[str | None, str]]:
    """Yield key, where there is one, and layer of each end: one, a list of them, or a dictionary."""
    if isinstance(found, dict):
        for key in sorted(found):
            yield key, str(found[key][0])
    elif found and isinstance(found[0], str):
        yield None, found[0]
    else:
        for end in found or ():
            yield from _ends(end)


def _slot(name: str, layer: dict[str, Any]) -> Slot:
    config = layer.get("config") or {}
    shape, dtype = config.get("batch_shape"), config.get("dtype")
    return Slot(
        name,
        tuple(n if isinstance(n, int) else None for n in shape) if isinstance(shape, list) else None,
        dtype if isinstance(dtype, str) else None,
        optional=config.get("optional") is True,
    )
