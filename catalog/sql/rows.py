"""From an item's document to its rows, and back to what the rows say beside it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from modelstac.catalog.documents import Document
from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.geometry import bounding_box, flat, spans
from modelstac.catalog.matching import moments, searched_text
from modelstac.catalog.sql.functions import microseconds
from modelstac.catalog.versions import version_key

Box = tuple[float, float, float, float]


def dumps(document: Any) -> str:
    """Return the JSON text that is stored."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def insert(connection: sqlite3.Connection, documents: Iterable[Document]) -> None:
    """Store items that are not there yet."""
    (last_key,) = connection.execute("SELECT coalesce(max(key), 0) FROM items").fetchone()
    numbered = list(enumerate(documents, last_key + 1))
    connection.executemany(
        "INSERT INTO items (key, id, collection, variant, version_key, first, last, document) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (_columns(key, document) for key, document in numbered),
    )
    connection.executemany(
        "INSERT INTO texts (rowid, body) VALUES (?, ?)",
        ((key, searched_text(document)) for key, document in numbered),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO tasks VALUES (?, ?)",
        (
            (task, key)
            for key, document in numbered
            for task in document["properties"].get("mlm:tasks") or ()
            if isinstance(task, str)
        ),
    )
    connection.executemany(
        "INSERT INTO boxes (west, east, south, north, item, bbox, w, e, s, n) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((w, e, s, n, key, own, w, e, s, n) for key, document in numbered for own, (w, s, e, n) in _boxes(document)),
    )


def _columns(key: int, document: Document) -> tuple[Any, ...]:
    properties = document["properties"]
    time = moments(document)
    first, last = (microseconds(time[0]), microseconds(time[1])) if time else (None, None)
    version, variant = _key(properties.get("version")), properties.get("interop:variant")
    return key, document["id"], document["collection"], variant, version, first, last, dumps(document)


def known(connection: sqlite3.Connection, ids: Iterable[str]) -> set[str]:
    """Return those ids that items have."""
    wanted = json.dumps(list(ids))
    return {
        i for (i,) in connection.execute("SELECT id FROM items WHERE id IN (SELECT value FROM json_each(?))", (wanted,))
    }


def delete(connection: sqlite3.Connection, item_id: str) -> None:
    """Remove an item; nothing happens when it is not there."""
    row = connection.execute("SELECT key FROM items WHERE id = ?", (item_id,)).fetchone()
    if row is not None:
        for statement in (
            "DELETE FROM boxes WHERE key IN (SELECT key FROM boxes WHERE item = ?)",
            "DELETE FROM texts WHERE rowid = ?",
            "DELETE FROM tasks WHERE item = ?",
            "DELETE FROM items WHERE key = ?",
        ):
            connection.execute(statement, row)


def put_collection(connection: sqlite3.Connection, document: Document) -> None:
    """Store or replace a collection."""
    connection.execute(
        "INSERT OR REPLACE INTO collections (id, document) VALUES (?, ?)",
        (document["id"], dumps(document)),
    )


def get_collection(connection: sqlite3.Connection, name: str) -> Document | None:
    """Return a collection as stored."""
    row = connection.execute("SELECT document FROM collections WHERE id = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def get_item(connection: sqlite3.Connection, item_id: str) -> Document | None:
    """Return an item as stored."""
    row = connection.execute("SELECT document FROM items WHERE id = ?", (item_id,)).fetchone()
    return None if row is None else json.loads(row[0])


def by_key(connection: sqlite3.Connection, key: int) -> Document:
    """Return the item of a row as stored."""
    (text,) = connection.execute("SELECT document FROM items WHERE key = ?", (key,)).fetchone()
    document: Document = json.loads(text)
    return document


def aliases_of(connection: sqlite3.Connection, item_id: str) -> list[str]:
    """Return the aliases that point to an item."""
    return [
        alias for (alias,) in connection.execute("SELECT alias FROM aliases WHERE item = ? ORDER BY alias", (item_id,))
    ]


def names_digest(connection: sqlite3.Connection, digest: str) -> bool:
    """Tell whether an item has an asset with this SHA-256."""
    (found,) = connection.execute("SELECT EXISTS (SELECT 1 FROM items WHERE instr(document, ?))", (digest,)).fetchone()
    return bool(found)


def relatives(connection: sqlite3.Connection, document: Document) -> dict[str, str]:
    """Return the ids of the item's other versions, by relation of the version extension."""
    properties = document["properties"]
    key = _key(properties.get("version"))
    variant = properties.get("interop:variant")
    if key is None or variant is None:
        return {}
    found = {}
    for rel, condition, order in (
        ("predecessor-version", "version_key < ?", "DESC"),
        ("successor-version", "version_key > ?", "ASC"),
        ("latest-version", "version_key > ?", "DESC"),
    ):
        row = connection.execute(
            f"SELECT id FROM items WHERE collection = ? AND variant = ? AND {condition} "
            f"ORDER BY version_key {order} LIMIT 1",
            (document["collection"], variant, key),
        ).fetchone()
        if row is not None:
            found[rel] = row[0]
    return found


def _key(version: Any) -> str | None:
    try:
        return version_key(version) if isinstance(version, str) else None
    except InvalidItemError:
        return None


def _boxes(document: Document) -> Iterator[tuple[bool, Box]]:
    """Yield the parts of the item's box, and the geometry's where it reaches beyond (others may have written it)."""
    parts: list[Box] = []
    bbox: Sequence[float] | None = document.get("bbox")
    if bbox:
        west, south, east, north = flat(bbox)
        parts = [(w, south, e, north) for w, e in spans(west, east)]
        yield from ((True, part) for part in parts)
    geometry = document.get("geometry")
    if isinstance(geometry, dict) and geometry.get("type") != "GeometryCollection":
        w, s, e, n = bounding_box(geometry)
        if not any(p[0] <= w and e <= p[2] and p[1] <= s and n <= p[3] for p in parts):
            yield False, (w, s, e, n)
