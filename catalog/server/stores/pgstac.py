"""The pgstac backend: items lie in pgstac's tables and are searched by SQL of ours; a write is one transaction."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any

import asyncpg

from modelstac.catalog import journal
from modelstac.catalog.errors import (
    NotFoundError,
    UnavailableError,
)
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import widening
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import ALIASES, RULES
from modelstac.catalog.rules import refuse_unfit
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.server.files.artifacts import ArtifactStore
from modelstac.catalog.server.files.named import check_there, unnamed
from modelstac.catalog.server.stores.collections import collection_exists, no_item, select
from modelstac.catalog.server.stores.pg import rows
from modelstac.catalog.server.stores.pg.functions import MARK
from modelstac.catalog.server.stores.pg.pool import ADVICE, Connection, Pool
from modelstac.catalog.server.stores.pg.search import PgSearch
from modelstac.catalog.server.stores.pg.tables import Tables, read_collection
from modelstac.catalog.server.stores.queryables import LOOKED_AT, MOST_SCORES, SCORES
from modelstac.catalog.server.stores.store import Change, Check, Result, Store
from modelstac.catalog.server.stores.writes import Writer, by_model
from modelstac.catalog.server.teams import hierarchy
from modelstac.catalog.server.teams.permission import made, may_write
from modelstac.catalog.server.teams.session import PgSession, Session

_ITEM = f"SELECT {rows.COLUMNS} FROM items WHERE id = $1 AND collection = $2"  # noqa: S608
_OLDEST = (0, 10)
# Advisory locks of ours.
_PARTITIONS, _ARTIFACTS = 0x4D535443, 0x4D535446
_WAIT_SECONDS = 0.05
_MADE = "SELECT to_regproc($1) IS NOT NULL, datcollate FROM pg_database WHERE datname = current_database()"
_BY_CODE_POINT = frozenset({"C", "C.UTF-8", "C.utf8", "POSIX"})


class PgstacStore(Store):
    """Items and collections in a pgstac database.

    Parameters
    ----------
    url
        ``postgresql://`` address; its user needs the roles that ``modelstac database migrate`` gives.
    artifacts
        The artifacts, which items name.
    connections
        Most connections at a time.
    seconds
        How long a search may take.
    wait
        How many seconds to wait, when it is opened, for a database that is starting or cannot be reached.
    """

    def __init__(
        self, url: str, artifacts: ArtifactStore, *, connections: int = 8, seconds: float = 20.0, wait: float = 0.0
    ) -> None:
        self._pool = Pool(url, connections=connections, seconds=seconds, wait=wait)
        self._files = artifacts
        self._by_code_point = False

    async def open(self) -> None:
        """Connect.

        Raises
        ------
        UnavailableError
            If the database does not answer in time, or holds no pgstac of this version.
        StorageError
            If it refuses the user, or there is no database of that name.
        """
        await self._pool.open(self.ping)

    async def close(self) -> None:
        """Give the connections back once their requests are done."""
        await self._pool.close()

    async def ping(self) -> None:
        """Raise :class:`UnavailableError` unless the database answers and holds pgstac."""
        async with self._pool.connection() as connection:
            try:
                version = str(await connection.fetchval("SELECT get_version()"))
                made, collation = await connection.fetchrow(_MADE, MARK)
            except asyncpg.UndefinedFunctionError as error:
                raise UnavailableError(f"the database holds no pgstac: {ADVICE}") from error
        # What an item shares with others of its collection is told by this one.
        if not made:
            raise UnavailableError(f"the database lacks functions of this modelstac: {ADVICE}")
        self._by_code_point = collation in _BY_CODE_POINT
        number = re.match(r"(\d+)\.(\d+)", version)
        if number is not None and tuple(map(int, number.groups())) < _OLDEST:
            raise UnavailableError(f"the database holds pgstac {version}: {ADVICE}")

    async def item(self, collection_id: str, item_id: str) -> Document | None:
        """Return an item, None when there is none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_ITEM, item_id, collection_id)
        return None if row is None else rows.shown(row)

    async def collection(self, collection_id: str) -> Document | None:
        """Return a collection, None when there is none."""
        async with self._pool.connection() as connection:
            return await read_collection(connection, collection_id)

    async def search(self, query: Query) -> Page:
        """Return a page of the items that a query finds."""
        search, limit = PgSearch(query, self._by_code_point), query.limit or 10
        statement, parameters = search.page(limit)
        async with self._pool.connection() as connection:
            found = await connection.fetch(statement, *parameters)
        token = search.token(tuple(found[limit - 1])) if len(found) > limit else None
        return Page(tuple(map(rows.shown, found[:limit])), token, None)

    async def search_collections(self, query: Query) -> Page:
        """Return a page of the collections that a query finds."""
        async with self._pool.connection() as connection:
            found = await connection.fetchval("SELECT all_collections()")
        return select(found or [], query)

    async def add_items(self, collection_id: str, items: Sequence[Document]) -> list[bool]:
        """Store items, all or none, and tell of each whether it is new."""
        async with self._pool.connection(write=True) as connection:
            await _lock(connection, collection_id, partitions=True)
            if await read_collection(connection, collection_id) is not None:
                await may_write(PgSession(connection), collection_id)
            await self._check_there(items)
            return await Writer(Tables(connection), collection_id).add(items)

    async def add_parts(self, parts: AsyncIterator[list[Document]]) -> int:
        """Store items of any collections as they come, all or none; collections that are missing are made."""
        new = 0
        async with self._pool.connection(write=True) as connection:
            # Whoever writes shares this one, so that no lock of a collection is held by anybody else.
            await connection.execute(
                "SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock($2)", _ARTIFACTS, _PARTITIONS
            )
            async for part in parts:
                await self._check_there(part)
                for items in by_model(part):
                    name = items[0]["collection"]
                    if await read_collection(connection, name) is None:
                        await made(PgSession(connection), name, None)
                        new_one = widening.widened(widening.new_collection(name, items[0]["properties"]), *items)
                        await connection.execute("SELECT create_collection($1)", documents.stored_collection(new_one))
                    else:
                        await may_write(PgSession(connection), name)
                    new += sum(await Writer(Tables(connection), name).add(items))
        return new

    async def change_items(self, collection_id: str, changes: Mapping[str, Change]) -> list[Document]:
        """Replace the documents of items, by their ids, by what the changes make of them, all or none."""
        async with self._pool.connection(write=True) as connection:
            await _lock(connection, collection_id)
            writer, changed = Writer(Tables(connection), collection_id), []
            for item_id, change in changes.items():
                await self._may_change(connection, collection_id, item_id)
                changed.append(await writer.change_item(item_id, change, self._check_there))
            return changed

    async def _check_there(self, items: Sequence[Document]) -> None:
        await asyncio.to_thread(check_there, items, self._files)

    async def remove_item(self, collection_id: str, item_id: str, check: Check) -> None:
        """Remove an item unless ``check`` raises, atomically."""
        async with self._pool.connection(write=True) as connection:
            await _lock(connection, collection_id)
            await self._may_change(connection, collection_id, item_id)
            await Writer(Tables(connection), collection_id).remove(item_id, check)

    async def _may_change(self, connection: Connection, collection_id: str, item_id: str) -> None:
        statement = "SELECT EXISTS (SELECT 1 FROM items WHERE collection = $1 AND id = $2)"
        if await connection.fetchval(statement, collection_id, item_id):
            await may_write(PgSession(connection), collection_id)

    async def add_collection(self, collection: Document, *, catalog: str | None = None) -> None:
        """Store a new collection, in a catalog that then owns it, or in that of the team that writes."""
        async with self._pool.connection(write=True) as connection:
            await _lock(connection, collection["id"])
            if await read_collection(connection, collection["id"]) is not None:
                raise collection_exists(collection["id"])
            await self._check_aliases(connection, {}, collection)
            await connection.execute("SELECT create_collection($1)", collection)
            await made(PgSession(connection), collection["id"], catalog)

    async def change_collection(self, collection_id: str, change: Change) -> Document:
        """Replace a collection's document by what ``change`` makes of it, atomically."""
        async with self._pool.connection(write=True) as connection:
            await _lock(connection, collection_id)
            stored = await read_collection(connection, collection_id)
            if stored is None:
                raise NotFoundError(f"no collection {collection_id!r}: see /collections")
            await may_write(session := PgSession(connection), collection_id)
            changed = change(stored)
            await self._check_aliases(connection, stored, changed)
            await connection.execute("SELECT update_collection($1)", changed)
            await session.record(journal.collection_changes(collection_id, stored, changed))
            return changed

    async def _check_aliases(self, connection: Connection, stored: Document, changed: Document) -> None:
        before, aliases = stored.get(ALIASES, {}), changed.get(ALIASES, {})
        found = await Tables(connection).items_named(sorted(set(aliases.values())))
        there = {item["id"]: item for item in found if item["collection"] == changed["id"]}
        for alias, item_id in aliases.items():
            if item_id not in there:
                raise no_item(alias, item_id)
            if before.get(alias) != item_id:
                refuse_unfit(changed["id"], alias, there[item_id], changed.get(RULES), self.alias_rules)

    async def remove_collection(self, collection_id: str, check: Check) -> None:
        """Remove a collection and its items unless ``check`` raises, atomically."""
        async with self._pool.connection(write=True) as connection:
            await _lock(connection, collection_id, partitions=True)
            stored = await read_collection(connection, collection_id)
            if stored is None:
                raise NotFoundError(f"no collection {collection_id!r}: see /collections")
            await may_write(session := PgSession(connection), collection_id)
            check(stored)
            await connection.execute("SELECT delete_collection($1)", collection_id)
            await hierarchy.forget(session, collection_id)
            await session.record(journal.deletion(collection_id, stored))

    async def facets(
        self, query: Query, names: Sequence[str], *, count: bool
    ) -> tuple[dict[str, dict[str, int]], int | None]:
        """Count the items that a query finds by the values of some properties, and all of them where that is asked."""
        found, parameters = PgSearch(query).items()
        sql = f"""
            SELECT name, value, count(*) FROM (SELECT content->'properties' AS properties {found}) AS found,
                unnest(${len(parameters) + 1}::text[]) AS name,
                LATERAL jsonb_array_elements_text(CASE jsonb_typeof(properties->name)
                    WHEN 'array' THEN properties->name
                    WHEN 'string' THEN jsonb_build_array(properties->name) ELSE '[]' END) AS value
            GROUP BY name, value ORDER BY name, count(*) DESC, value"""  # noqa: S608
        counts: dict[str, dict[str, int]] = {name: {} for name in names}
        total: int | None = None
        async with (
            self._pool.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            for name, value, number in await connection.fetch(sql, *parameters, list(names)):
                counts[name][value] = number
            if count:
                total = await connection.fetchval(f"SELECT count(*) {found}", *parameters)
        return counts, total

    async def run(self, work: Callable[[Session], Coroutine[Any, Any, Result]], *, write: bool = False) -> Result:
        """Ask the tables beside the items, or change them, in one transaction."""
        async with self._pool.connection(write=write) as connection:
            return await work(PgSession(connection))

    async def score_names(self, collection_id: str | None) -> list[str]:
        """Return the names of the scores of the newest items."""
        sql = f"""
            SELECT DISTINCT name FROM (
                SELECT content->'properties'->'{SCORES}' AS scores FROM items
                WHERE $1::text IS NULL OR collection = $1 ORDER BY datetime DESC LIMIT {LOOKED_AT}
            ) AS found, LATERAL jsonb_object_keys(CASE jsonb_typeof(scores) WHEN 'object' THEN scores ELSE '{{}}' END)
                AS name
            LIMIT {MOST_SCORES}"""  # noqa: S608
        async with self._pool.connection() as connection:
            return [name for (name,) in await connection.fetch(sql, collection_id)]

    async def for_unnamed(self, digests: Sequence[str], act: Callable[[str], None]) -> None:
        """Call a function for each of these SHA-256 that no item has, while nobody publishes."""
        while True:
            async with self._pool.connection(write=True) as connection:
                # Not waited for in the queue, where those who publish would wait behind it.
                if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _ARTIFACTS):
                    rows = await connection.fetch(
                        "SELECT DISTINCT asset.value->>'file:checksum', asset.value->>'href' FROM items, "
                        "LATERAL jsonb_each(content_hydrate(items)->'assets') AS asset"
                    )
                    for digest in unnamed(digests, rows):
                        await asyncio.to_thread(act, digest)
                    return
            await asyncio.sleep(_WAIT_SECONDS)


async def _lock(connection: Connection, collection_id: str, *, partitions: bool = False) -> None:
    # pgstac makes and drops partitions as items come; a writer that meets another's half-made one fails.
    shared = "" if partitions else "_shared"
    # Whoever decides which artifacts are named by nobody has the other one alone.
    statement = f"SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock{shared}($2)"
    await connection.execute(statement, _ARTIFACTS, _PARTITIONS)
    # One writer a collection: extents, summaries, aliases and version links are read and written back.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", collection_id)
