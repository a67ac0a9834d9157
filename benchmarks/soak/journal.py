"""What each writer and reader did, one JSON object a line; a line that is written survives whoever wrote it."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARAMETERS = 1_000
CONTENTS = 12


def parameters_of(item_id: str) -> int:
    """Return how many parameters an item says it has: known by its id to whoever judges a filter."""
    return zlib.crc32(item_id.encode()) % PARAMETERS + 1


def content_of(item_id: str) -> int:
    """Return which of the few files an item has; many share each."""
    return zlib.crc32(f"content {item_id}".encode()) % CONTENTS


class Journal:
    """One file, appended to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, **fields: Any) -> None:
        """Write a line in one step, with the time, which is the same for all processes of a machine."""
        os.write(self._file, json.dumps(fields | {"t": time.monotonic()}).encode() + b"\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a journal."""
    if path.exists():
        for line in path.read_bytes().split(b"\n"):
            if line:
                yield json.loads(line)
