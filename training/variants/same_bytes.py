"""Equal models as equal bytes: the archive that Keras writes, without the time of writing."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

_METADATA, _DATE, _CONFIG = "metadata.json", "date_saved", "config.json"
_SHARED = re.compile(r'("shared_object_id": )(\d+)')
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip archive can name


def same_bytes(path: Path) -> None:
    """Write a ``.keras`` file anew with one date for all, in place; the model that it holds stays as it is."""
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(part, "w") as written:
        for entry in archive.infolist():
            content = archive.read(entry)
            if entry.filename == _METADATA:
                said = json.loads(content)
                content = json.dumps({**said, _DATE: "1980-01-01@00:00:00"}).encode()
            if entry.filename == _CONFIG:
                content = _renumbered(content.decode()).encode()
            same = zipfile.ZipInfo(entry.filename, _EPOCH)
            same.compress_type, same.external_attr, same.create_system = entry.compress_type, 0o600 << 16, 3
            written.writestr(same, content)
    part.replace(path)


def _renumbered(config: str) -> str:
    """Give objects that layers share numbers from 1 on; Keras names them by their addresses in memory."""
    numbers: dict[str, int] = {}
    return _SHARED.sub(lambda match: f"{match[1]}{numbers.setdefault(match[2], len(numbers) + 1)}", config)
