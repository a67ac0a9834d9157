"""Items of catalogs on the web, kept in the cache once they were loaded: so that the same loads without a network.

``items/<digest>.json`` is an item as it was, by the catalog's address and by what it was asked for. The files that it
names are kept by their digests, and what is loaded is verified against the item as ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelstac.catalog.credentials import shown, without_secrets
from modelstac.registry.files.cache import Cache


@dataclass(frozen=True)
class KeptItem:
    """An item as it was when it was last loaded from the web.

    Parameters
    ----------
    document
        The item as JSON, with absolute addresses.
    day
        On which day that was (UTC).
    """

    document: dict[str, Any]
    day: str


def is_remote(href: str) -> bool:
    """Tell whether a catalog or an item lies on another machine."""
    return "://" in href and not href.startswith("file://")


def keep(catalog: str, asked: str, document: dict[str, Any]) -> None:
    """Keep an item by the address of its catalog and what it was asked for, if the cache can be written."""
    path = _path(catalog, asked)
    content = {"asked": shown(asked), "kept": datetime.now(UTC).date().isoformat(), "item": without_secrets(document)}
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    with contextlib.suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            temporary.write_text(json.dumps(content, allow_nan=False))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def kept(catalog: str, asked: str) -> KeptItem | None:
    """Return what was kept of an item; None where there is nothing, or nothing that can be read."""
    try:
        content = json.loads(_path(catalog, asked).read_bytes())
        return KeptItem(dict(content["item"]), str(content["kept"]))
    except (OSError, RecursionError, ValueError, KeyError, TypeError):
        return None


def _path(catalog: str, asked: str) -> Path:
    name = hashlib.sha256(f"{shown(catalog).rstrip('/')}\n{shown(asked)}".encode()).hexdigest()
    return Cache().root / "items" / f"{name}.json"
