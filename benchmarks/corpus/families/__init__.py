"""The architectures, a module a family; a module imports its framework where it builds with it.

Order, each importing only from those before it: keras_vision, keras_applications, keras_series · keras_segmentation ·
onnx_parts, torch_parts, torch_segmentation, torch_series, torch_vision, zoo · onnx_by_hand, onnx_of_tables,
onnx_of_tools.
"""

from __future__ import annotations

import importlib

from benchmarks.corpus.entries import Entry

MODULES = (
    *("keras_vision", "keras_segmentation", "keras_series", "keras_applications"),
    *("torch_vision", "torch_segmentation", "torch_series", "zoo"),
    *("onnx_by_hand", "onnx_of_tools", "onnx_of_tables"),
)


def entries() -> dict[str, Entry]:
    """Give all by their names: what they are called, after what they are built of."""
    found: dict[str, Entry] = {}
    for name in MODULES:
        for entry in importlib.import_module(f"{__name__}.{name}").model.entries:
            key = f"{FORMATS[entry.kind]}: {entry.name}"
            if key in found:
                raise ValueError(f"two architectures are called {key!r}")
            found[key] = entry
    return found


FORMATS = {"keras": "keras", "torch": "torch-export", "zoo": "torch-export", "onnx": "onnx", "tools": "onnx"}
"""Format of the file, by what builds it."""
