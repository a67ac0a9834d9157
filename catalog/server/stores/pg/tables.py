"""The documents that one transaction of pgstac sees and changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from modelstac.catalog.items.documents import Document
from modelstac.catalog.journal import Entry
from modelstac.catalog.server.stores.pg import copy, rows
from modelstac.catalog.server.stores.pg.items import packed
from modelstac.catalog.server.stores.writes import Version
from modelstac.catalog.server.teams.session import PgSession

Connection = Any  # asyncpg has no types


class Tables:
    """The documents of one transaction, for :class:`modelstac.catalog.server.stores.writes.Writer`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def items_named(self, ids: Sequence[str]) -> list[Document]:
        """Return the items with these ids, in any collection."""
        # Of many ids a join, or each would be looked for in every collection's table.
        statement = f"SELECT {rows.KEPT} FROM unnest($1::text[]) AS wanted (id) JOIN items USING (id)"  # noqa: S608
        return list(map(rows.published, await self._connection.fetch(statement, list(ids))))

    async def ids(self) -> list[str]:
        """Return the ids of all items."""
        return [row[0] for row in await self._connection.fetch("SELECT id FROM items")]

    async def has_items(self, collection_id: str) -> bool:
        """Tell whether a collection has items."""
        statement = "SELECT EXISTS (SELECT 1 FROM items WHERE collection = $1)"
        return bool(await self._connection.fetchval(statement, collection_id))

    async def items_of(self, collection_id: str) -> list[Document]:
        """Return the items of a collection."""
        statement = f"SELECT {rows.KEPT} FROM items WHERE collection = $1"  # noqa: S608
        return list(map(rows.published, await self._connection.fetch(statement, collection_id)))

    async def versions_of(self, collection_id: str, variants: Sequence[str]) -> list[Version]:
        """Return what links between versions are made of."""
        found = await self._connection.fetch(
            "SELECT id, content->'properties'->>'interop:variant', content->'properties'->>'version', content->'links' "
            "FROM items WHERE collection = $1 AND content->'properties'->>'interop:variant' = ANY($2)",
            collection_id,
            list(variants),
        )
        return [Version(*row) for row in found]

    async def collection(self, collection_id: str) -> Document | None:
        """Return a collection."""
        return await read_collection(self._connection, collection_id)

    async def insert(self, items: Sequence[Document]) -> None:
        """Store new items."""
        await copy.insert(self._connection, items[0]["collection"], items)

    async def replace(self, items: Sequence[Document]) -> None:
        """Store items in place of those with their ids."""
        if items:
            await self._connection.execute("SELECT upsert_items($1)", list(map(packed, items)))

    async def relink(self, collection_id: str, links: Mapping[str, Sequence[Document]]) -> None:
        """Give items other links."""
        if links:
            await self._connection.execute(
                "UPDATE items SET content = jsonb_set(content, '{links}', wanted.links::jsonb) "
                "FROM unnest($2::text[], $3::text[]) AS wanted (id, links) "
                "WHERE items.collection = $1 AND items.id = wanted.id",
                collection_id,
                list(links),
                [orjson.dumps(found).decode() for found in links.values()],
            )

    async def delete(self, collection_id: str, item_id: str) -> None:
        """Remove an item."""
        await self._connection.execute("SELECT delete_item($1, $2)", item_id, collection_id)

    async def replace_collection(self, collection: Document) -> None:
        """Store a collection in place of the one with its id."""
        await self._connection.execute("SELECT update_collection($1)", collection)

    async def record(self, entries: Iterable[Entry]) -> None:
        """Write entries of the audit log."""
        await PgSession(self._connection).record(entries)


async def read_collection(connection: Connection, collection_id: str) -> Document | None:
    """Return a collection, None when there is none."""
    found: Document | None = await connection.fetchval("SELECT get_collection($1)", collection_id)
    return found
