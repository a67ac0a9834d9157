"""A safetensors file: the framework whose layout its tensors have, where its writer says so."""

from __future__ import annotations

import json

from modelstac.registry.facts.records.record import Record

MAX_HEADER = 100 << 20
FRAMEWORKS = {"pt": "PyTorch", "torch": "PyTorch", "tf": "TensorFlow", "flax": "Flax", "mlx": "MLX"}
"""What writers put into ``__metadata__.format``."""


def is_safetensors(data: bytes) -> bool:
    """Tell whether the bytes begin with the length of a header and the header."""
    length = int.from_bytes(data[:8], "little")
    return 2 <= length <= min(MAX_HEADER, len(data) - 8) and data[8:9] == b"{"


def read(data: bytes) -> Record:
    """Read the record of a safetensors file, which knows neither inputs nor outputs."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.get("__metadata__")
    layout = metadata.get("format") if isinstance(metadata, dict) else None
    known = FRAMEWORKS.get(layout) if isinstance(layout, str) else None
    return Record("torch", details={"layout": known} if known else {})
