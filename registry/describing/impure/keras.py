"""Layers of a ``.keras`` file that keep a state between calls.

Random layers are none: Keras calls each with ``training=False`` in a prediction, also one that was called with
``training=True`` when the model was made.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from modelstac.registry.inspecting.archives import objects

INDIFFERENT = frozenset({"CenterCrop", "Resizing"})
"""Layers that Keras writes ``training=True`` of, and that do the same without."""


def overridden(data: bytes) -> list[str]:
    """Name layers that were called with ``training=True`` when the model was made, which no prediction heeds."""
    return [
        str(value.get("name"))
        for value in _objects(data)
        if value.get("class_name") not in INDIFFERENT
        for node in value.get("inbound_nodes") or ()
        if isinstance(node, dict) and isinstance(node.get("kwargs"), dict) and node["kwargs"].get("training") is True
    ]


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return objects(json.loads(archive.read("config.json")))


def read(data: bytes) -> list[str]:
    """Name recurrent layers that begin where the last batch ended."""
    found = []
    for value in _objects(data):
        inner = value.get("config")
        if isinstance(inner, dict) and inner.get("stateful") is True:
            found.append(
                f"the layer {inner.get('name')!r} ({value.get('class_name')}, stateful=True) begins where the last call"
                " ended"
            )
    return list(dict.fromkeys(found))
