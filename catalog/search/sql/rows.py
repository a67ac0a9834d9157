"""From an item's document to its rows, and back to what the rows say beside it."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from modelstac.catalog.ahead import batches
from modelstac.catalog.errors import AmbiguousError, InvalidItemError
from modelstac.catalog.items.documents import VERSION_RELS, Document
from modelstac.catalog.items.geometry import bounding_box, flat, spans
from modelstac.catalog.items.identity import in_collection
from modelstac.catalog.items.versions import version_key
from modelstac.catalog.search.facts import moments, searched_text
from modelstac.catalog.search.sql.functions import microseconds
from modelstac.catalog.search.sql.schema import STORED

Box = tuple[float, float, float, float]
_AT_A_TIME = 1000
_LARGE = 1 << 63


def dumps(document: Any) -> str:
    """Return the JSON text that is stored."""
    from pydantic_core import to_json  # not at the top: who searches writes nothing, and starts sooner

    text = to_json(document, inf_nan_mode="constants").decode()
    if "NaN" in text or "Infinity" in text:  # which may be words, and are no numbers of JSON
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text


def insert(connection: sqlite3.Connection, documents: Iterable[Document]) -> None:
    """Store items that are not there yet."""
    (last_key,) = connection.execute("SELECT coalesce(max(key), 0) FROM items").fetchone()
    for some in batches(documents, _AT_A_TIME):
        # In the order in which most indexes have them, each of which is then written to in one place after the other.
        _insert_some(connection, list(enumerate(sorted(some, key=itemgetter("id")), last_key + 1)))
        last_key += len(some)


def _insert_some(connection: sqlite3.Connection, numbered: list[tuple[int, Document]]) -> None:
    columns = f"items (key, id, collection, variant, version_key, first, last, {', '.join(STORED.values())}, document)"
    _into(connection, columns, [_columns(key, document) for key, document in numbered])
    _into(connection, "texts (rowid, body)", [(key, searched_text(document)) for key, document in numbered])
    for table, name in (("tasks", "mlm:tasks"), ("keywords", "keywords")):
        values = [(value, key) for key, document in numbered for value in _listed(document["properties"].get(name))]
        _into(connection, table, values, "INSERT OR IGNORE")
    boxes = [(w, e, s, n, key, own, w, e, s, n) for key, document in numbered for own, (w, s, e, n) in _boxes(document)]
    _into(connection, "boxes (west, east, south, north, item, bbox, w, e, s, n)", boxes)


def _into(connection: sqlite3.Connection, columns: str, rows: Sequence[tuple[Any, ...]], verb: str = "INSERT") -> None:
    # One statement for all of them: while SQLite works on it, other threads of Python do too.
    if rows:
        marks = ",".join([f"({','.join('?' * len(rows[0]))})"] * len(rows))
        connection.execute(f"{verb} INTO {columns} VALUES {marks}", [*itertools.chain.from_iterable(rows)])


def _listed(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _columns(key: int, document: Document) -> tuple[Any, ...]:
    properties = document["properties"]
    time = moments(document)
    first, last = (microseconds(time[0]), microseconds(time[1])) if time else (None, None)
    version, variant = _key(properties.get("version")), properties.get("interop:variant")
    stored = [_stored(properties, name) for name in STORED]
    return key, document["id"], document["collection"], variant, version, first, last, *stored, dumps(document)


def _stored(properties: Document, name: str) -> Any:
    """Return a property that has an order, as ``json_extract`` gives it."""
    value: Any = properties
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, (list, dict)):
        return None
    return float(value) if isinstance(value, int) and abs(value) >= _LARGE else value


def known(connection: sqlite3.Connection, ids: Iterable[str]) -> set[tuple[str, str]]:
    """Return collection and id of the items that have one of these ids."""
    found: set[tuple[str, str]] = set()
    for some in batches(ids, _AT_A_TIME):
        marks = ",".join("?" * len(some))
        found.update(connection.execute(f"SELECT collection, id FROM items WHERE id IN ({marks})", some))
    return found


# Found by the item's own list: these tables are in the order of the values.
_UNLISTED = (
    "DELETE FROM {0} WHERE ({1}, item) IN (SELECT listed.value, items.key FROM items, "
    "json_each(document, '$.properties.\"{2}\"') AS listed WHERE items.key = ?)"
)


def delete(connection: sqlite3.Connection, item_id: str, collection: str) -> None:
    """Remove an item; nothing happens when it is not there."""
    row = connection.execute("SELECT key FROM items WHERE collection = ? AND id = ?", (collection, item_id)).fetchone()
    if row is not None:
        for statement in (
            "DELETE FROM boxes WHERE key IN (SELECT key FROM boxes WHERE item = ?)",
            "DELETE FROM texts WHERE rowid = ?",
            _UNLISTED.format("tasks", "task", "mlm:tasks"),
            _UNLISTED.format("keywords", "keyword", "keywords"),
            "DELETE FROM items WHERE key = ?",
        ):
            connection.execute(statement, row)


def put_collection(connection: sqlite3.Connection, document: Document) -> None:
    """Store or replace a collection."""
    connection.execute(
        "INSERT OR REPLACE INTO collections (id, document) VALUES (?, ?)",
        (document["id"], dumps(document)),
    )


def has_items(connection: sqlite3.Connection, name: str) -> bool:
    """Tell whether a collection has items."""
    statement = "SELECT EXISTS (SELECT 1 FROM items WHERE collection = ?)"
    return bool(connection.execute(statement, (name,)).fetchone()[0])


def get_collection(connection: sqlite3.Connection, name: str) -> Document | None:
    """Return a collection as stored."""
    row = connection.execute("SELECT document FROM collections WHERE id = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def get_item(connection: sqlite3.Connection, reference: str) -> Document | None:
    """Return an item as stored, by its id or by ``collection/id``."""
    found = read_item(connection, reference)
    return None if found is None else json.loads(found.text)


class Read(NamedTuple):
    """An item as stored, and what other rows say of it.

    Parameters
    ----------
    text
        Its document.
    aliases
        What points to it.
    versions
        Ids of its other versions, by relation of the version extension.
    collection, item_id
        Which item it is.
    has_framework
        Whether it names a framework, as models do.
    """

    text: str
    aliases: tuple[str, ...]
    versions: dict[str, str]
    collection: str
    item_id: str
    has_framework: bool


def read(connection: sqlite3.Connection, keys: Sequence[int]) -> list[Read]:
    """Return the items of some rows, in this order, by one statement."""
    found = connection.execute(f"{_READ} i.key IN (SELECT value FROM json_each(?))", (json.dumps(keys),))
    by_key = {row[0]: _read(row) for row in found}
    return [by_key[key] for key in keys]


def read_item(connection: sqlite3.Connection, reference: str) -> Read | None:
    """Return an item by its id or by ``collection/id``, None when there is none.

    Raises
    ------
    AmbiguousError
        If items of several collections have that id.
    """
    collection, item_id = in_collection(reference)
    if collection is not None:
        found = connection.execute(f"{_READ} i.collection = ? AND i.id = ?", (collection, item_id)).fetchall()
    else:
        found = connection.execute(f"{_READ} i.id = ?", (item_id,)).fetchall()
    if len(found) > 1:
        names = [_read(row).collection for row in found]
        raise AmbiguousError.same_id(item_id, names, where="the catalog")
    return _read(found[0]) if found else None


def _read(row: tuple[Any, ...]) -> Read:
    _, text, aliases, collection, item_id, has_framework, *others = row
    pointing = tuple(sorted(json.loads(aliases))) if aliases != "[]" else ()
    versions = {rel: other for rel, other in zip(VERSION_RELS, others, strict=True) if other}
    return Read(text, pointing, versions, collection, item_id, bool(has_framework))


_OTHER_VERSION = (
    "(SELECT id FROM items v WHERE v.collection = i.collection AND v.variant = i.variant "
    "AND v.version_key {} i.version_key ORDER BY v.version_key {} LIMIT 1)"
)
# In the order of VERSION_RELS: the one before, the one after, the last one if it comes after.
_OTHER_VERSIONS = ", ".join(_OTHER_VERSION.format(*o) for o in (("<", "DESC"), (">", "ASC"), (">", "DESC")))
_READ = (
    "SELECT i.key, i.document, (SELECT json_group_array(alias) FROM aliases a WHERE a.item = i.id "
    f"AND a.collection = i.collection), i.collection, i.id, i.framework IS NOT NULL, {_OTHER_VERSIONS} "
    "FROM items i WHERE"
)


def names_digest(connection: sqlite3.Connection, digest: str) -> bool:
    """Tell whether an item has an asset with this SHA-256."""
    (found,) = connection.execute("SELECT EXISTS (SELECT 1 FROM items WHERE instr(document, ?))", (digest,)).fetchone()
    return bool(found)


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
        west, s, east, n = bounding_box(geometry)
        for w, e in spans(west, east):
            if not any(p[0] <= w and e <= p[2] and p[1] <= s and n <= p[3] for p in parts):
                yield False, (w, s, e, n)
