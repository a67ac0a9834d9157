"""New items into pgstac by COPY, as ``pypgstac load`` does, inside the caller's transaction.

pgstac's own ``create_items`` takes what a collection's items have in common out of each by SQL, 5 ms an item; here
pypgstac does it. Everything else is what the trigger behind ``create_items`` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from plpygis.exceptions import PlpygisError
from plpygis.geometry import Geometry
from pypgstac.hydration import dehydrate

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.server.stores.pg.items import packed, to_microseconds

_COLUMNS = ("id", "collection", "datetime", "end_datetime", "geometry", "content")
_OF_THE_ROW = ("id", "collection", "geometry", "type")
_AT_A_TIME = 1 << 16
# The partitions that the times of the items need, made where they are missing.
_PARTITIONS = """
    SELECT check_partition($1, tstzrange(min(first), max(first), '[]'), tstzrange(min(last), max(last), '[]'))
    FROM unnest($2::text[]::timestamptz[], $3::text[]::timestamptz[]) AS moments (first, last)
    GROUP BY date_trunc($4, first, 'UTC') ORDER BY min(first)"""
_BASE = """
    SELECT c.key, c.partition_trunc, b.base_item, b.base_item_id
    FROM collections c, current_base_item(c.id) b WHERE c.id = $1"""
_BACKWARDS = """
    SELECT place FROM unnest($1::text[]::timestamptz[], $2::text[]::timestamptz[]) WITH ORDINALITY
    AS moments (first, last, place) WHERE first > last ORDER BY place LIMIT 1"""


async def insert(connection: Any, collection_id: str, items: Sequence[Document]) -> None:
    """Store items that are not there yet in their collection, which is there.

    Parameters
    ----------
    connection
        Of asyncpg, in a transaction in which nobody else makes partitions.

    Raises
    ------
    InvalidItemError
        If an item has no time, or ends before it begins.
    """
    firsts, lasts = zip(*(_moments(item) for item in items), strict=True)
    if (place := await connection.fetchval(_BACKWARDS, firsts, lasts)) is not None:
        item_id = items[place - 1]["id"]
        raise InvalidItemError(f"item {item_id!r}: properties.start_datetime is after properties.end_datetime")
    key, trunc, base, base_id = await connection.fetchrow(_BASE, collection_id)
    tag = {} if base_id is None else {"pgstac:base_item": base_id}

    async def rows() -> AsyncIterator[bytes]:
        block = bytearray()
        for item, first, last in zip(items, firsts, lasts, strict=True):
            content = dehydrate(base, packed(item))
            for name in _OF_THE_ROW:
                content.pop(name, None)
            values = (item["id"], collection_id, first, last, _geometry(item), content | tag)
            block += b"\t".join(map(_escaped, values)) + b"\n"
            if len(block) > _AT_A_TIME:
                yield bytes(block)
                block.clear()
        yield bytes(block)

    await connection.execute("SELECT modelstac.add_partition($1)", collection_id)
    partitions = await connection.fetch(_PARTITIONS, collection_id, firsts, lasts, trunc)
    await connection.copy_to_table(f"_items_{key}", source=rows(), columns=_COLUMNS)
    await connection.execute(
        "SELECT update_partition_stats_q(name, true) FROM unnest($1::text[]) AS name", [name for (name,) in partitions]
    )


def _moments(item: Document) -> tuple[str, str]:
    properties = item["properties"]
    first, last = properties.get("start_datetime"), properties.get("end_datetime")
    if first is None or last is None:
        first = last = properties.get("datetime")
    if first is None:
        raise InvalidItemError(f"item {item['id']!r}: properties.datetime is needed, or both ends of an interval")
    return to_microseconds(first), to_microseconds(last)


def _geometry(item: Document) -> str:
    try:
        # With the reference system, which PostGIS does not add to GeoJSON that COPY brings.
        return str(Geometry.from_geojson(item["geometry"]).ewkb)
    except (PlpygisError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidItemError(f"item {item['id']!r}: geometry: this catalog keeps no items without one") from error


def _escaped(value: Any) -> bytes:
    """Return a value in COPY's text format."""
    text = value.encode() if isinstance(value, str) else orjson.dumps(value)
    return text.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
