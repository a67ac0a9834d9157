"""The pgstac backend: PostgreSQL does the searching, by pgstac's own functions; writes are one transaction each."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg
import orjson
from pypgstac.hydration import hydrate

from modelstac.catalog.errors import (
    InvalidItemError,
    InvalidQueryError,
    ItemExistsError,
    ModelStacError,
    NotFoundError,
    UnavailableError,
)
from modelstac.catalog.items import documents
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql.paging import Key, make_token, read_token
from modelstac.catalog.server.stores import pgstac_copy
from modelstac.catalog.server.stores.collections import select
from modelstac.catalog.server.stores.filters import both, text_filter
from modelstac.catalog.server.stores.pgstac_items import (
    SORTED_AS,
    box_filter,
    missing_marker,
    packed,
    unpacked,
    with_polygons,
)
from modelstac.catalog.server.stores.store import Change, Check, Store
from modelstac.catalog.server.stores.writes import Version, Writer, by_model

Connection = Any  # asyncpg has no types

LOG = logging.getLogger("modelstac.server")
TOKEN = Key("token")
_SHARED = "pgstac:base_item"
_OLDEST = (0, 10)
_PARTITIONS = 0x4D535443  # an advisory lock of ours
# A search takes milliseconds, and so does starting the workers of a parallel plan or compiling one.
_SETTINGS = {
    "search_path": "pgstac,public",
    "application_name": "modelstac",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
_ADVICE = "check that PostgreSQL runs and that 'modelstac database migrate' was done"


class PgstacStore(Store):
    """Items and collections in a pgstac database.

    Parameters
    ----------
    url
        ``postgresql://`` address; its user needs the roles that ``modelstac database migrate`` gives.
    connections
        Most connections at a time.
    """

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self._url = url
        self._connections = connections
        self._pool: Any = None

    async def open(self) -> None:
        """Connect."""
        async with _explained():
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._connections,
                command_timeout=60,
                init=_use_json,
                reset=_keep_session,
                server_settings=_SETTINGS,
            )
        try:
            await self.ping()
        except BaseException:
            self._pool.terminate()
            raise

    async def close(self) -> None:
        """Give the connections back once their requests are done."""
        if self._pool is not None:
            await self._pool.close()

    @contextlib.asynccontextmanager
    async def _connection(self, *, write: bool = False) -> AsyncIterator[Connection]:
        assert self._pool is not None, "the store is opened before it is used"
        async with _explained(), self._pool.acquire() as connection:
            if not write:
                yield connection
                return
            async with connection.transaction():
                yield connection

    async def ping(self) -> None:
        """Raise :class:`UnavailableError` unless the database answers and holds pgstac."""
        async with self._connection() as connection:
            try:
                version = str(await connection.fetchval("SELECT get_version()"))
            except asyncpg.UndefinedFunctionError as error:
                raise UnavailableError(f"the database holds no pgstac: {_ADVICE}") from error
        # What an item shares with others of its collection is told by this one.
        number = re.match(r"(\d+)\.(\d+)", version)
        if number is not None and tuple(map(int, number.groups())) < _OLDEST:
            raise UnavailableError(f"the database holds pgstac {version}: {_ADVICE}")

    async def item(self, collection_id: str, item_id: str) -> Document | None:
        """Return an item, None when there is none."""
        async with self._connection() as connection:
            row = await connection.fetchrow(
                "SELECT content_nonhydrated(i), (SELECT content->$3 FROM collections WHERE id = $2) "
                "FROM items i WHERE id = $1 AND collection = $2",
                item_id,
                collection_id,
                ALIASES,
            )
        return None if row is None else _complete(row[0], row[1] or {})

    async def collection(self, collection_id: str) -> Document | None:
        """Return a collection, None when there is none."""
        async with self._connection() as connection:
            return await _collection(connection, collection_id)

    async def search(self, query: Query) -> Page:
        """Return a page of the items that a query finds."""
        async with self._connection() as connection:
            request = _request(query) | {"limit": query.limit or 10, "conf": {"nohydrate": True}}
            found = await connection.fetchval("SELECT search($1)", request)
            token = next((f["href"].partition("token=")[2] for f in found["links"] if f["rel"] == "next"), None)
            shown = await _with_aliases(connection, found["features"])
        return Page(tuple(shown), make_token(query, (token,)) if token else None, found.get("numberMatched"))

    async def search_collections(self, query: Query) -> Page:
        """Return a page of the collections that a query finds."""
        async with self._connection() as connection:
            found = await connection.fetchval("SELECT all_collections()")
        return select(found or [], query)

    async def add_items(self, collection_id: str, items: Sequence[Document]) -> list[bool]:
        """Store items, all or none, and tell of each whether it is new."""
        async with self._connection(write=True) as connection:
            await _lock(connection, collection_id, partitions=True)
            return await Writer(_Tables(connection), collection_id).add(items)

    async def add_parts(self, parts: AsyncIterator[list[Document]]) -> int:
        """Store items of any collections as they come, all or none; collections that are missing are made."""
        new = 0
        async with self._connection(write=True) as connection:
            # Whoever writes shares this one, so that no lock of a collection is held by anybody else.
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _PARTITIONS)
            async for part in parts:
                for items in by_model(part):
                    name = items[0]["collection"]
                    if await _collection(connection, name) is None:
                        made = documents.widened(documents.new_collection(name, items[0]["properties"]), *items)
                        await connection.execute("SELECT create_collection($1)", documents.stored_collection(made))
                    new += sum(await Writer(_Tables(connection), name).add(items))
        return new

    async def change_item(self, collection_id: str, item_id: str, change: Change) -> Document:
        """Replace an item's document by what ``change`` makes of it, atomically."""
        async with self._connection(write=True) as connection:
            await _lock(connection, collection_id)
            return await Writer(_Tables(connection), collection_id).change_item(item_id, change)

    async def remove_item(self, collection_id: str, item_id: str, check: Check) -> None:
        """Remove an item unless ``check`` raises, atomically."""
        async with self._connection(write=True) as connection:
            await _lock(connection, collection_id)
            await Writer(_Tables(connection), collection_id).remove(item_id, check)

    async def add_collection(self, collection: Document) -> None:
        """Store a new collection."""
        async with self._connection(write=True) as connection:
            await _lock(connection, collection["id"])
            await connection.execute("SELECT create_collection($1)", collection)

    async def change_collection(self, collection_id: str, change: Change) -> Document:
        """Replace a collection's document by what ``change`` makes of it, atomically."""
        async with self._connection(write=True) as connection:
            await _lock(connection, collection_id)
            stored = await _collection(connection, collection_id)
            if stored is None:
                raise NotFoundError(f"no collection {collection_id!r}: see /collections")
            changed = change(stored)
            await connection.execute("SELECT update_collection($1)", changed)
            return changed

    async def remove_collection(self, collection_id: str, check: Check) -> None:
        """Remove a collection and its items unless ``check`` raises, atomically."""
        async with self._connection(write=True) as connection:
            await _lock(connection, collection_id, partitions=True)
            stored = await _collection(connection, collection_id)
            if stored is None:
                raise NotFoundError(f"no collection {collection_id!r}: see /collections")
            check(stored)
            await connection.execute("SELECT delete_collection($1)", collection_id)

    async def facets(self, query: Query, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Count the items that a query finds by the values of some properties; of a list, each value counts."""
        sql = f"""
            SELECT name, value, count(*) FROM items, unnest($1::text[]) AS name,
                LATERAL jsonb_array_elements_text(CASE jsonb_typeof(content->'properties'->name)
                    WHEN 'array' THEN content->'properties'->name
                    WHEN 'string' THEN jsonb_build_array(content->'properties'->name) ELSE '[]' END) AS value
            WHERE {await self._where(query)} GROUP BY name, value ORDER BY name, count(*) DESC, value"""  # noqa: S608
        counts: dict[str, dict[str, int]] = {name: {} for name in names}
        async with self._connection() as connection:
            for name, value, count in await connection.fetch(sql, list(names)):
                counts[name][value] = count
        return counts

    async def count(self, query: Query) -> int:
        """Count the items that a query finds."""
        async with self._connection() as connection:
            found: int = await connection.fetchval(f"SELECT count(*) FROM items WHERE {await self._where(query)}")  # noqa: S608
            return found

    async def _where(self, query: Query) -> str:
        # pgstac writes the condition itself, with every value quoted by format(%L).
        async with self._connection() as connection:
            where: str = await connection.fetchval("SELECT stac_search_to_where($1)", _request(query))
            return where

    async def checksums(self) -> set[str]:
        """Return the ``file:checksum`` of every asset of every item."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT DISTINCT asset.value->>'file:checksum' AS checksum FROM items, "
                "LATERAL jsonb_each(content_hydrate(items)->'assets') AS asset"
            )
        return {row["checksum"] for row in rows if row["checksum"]}


class _Tables:
    """The documents of one transaction, for :class:`Writer`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def items_named(self, ids: Sequence[str]) -> dict[str, Document]:
        # Of many ids a join, or each would be looked for in every collection's table.
        rows = await self._connection.fetch(
            "SELECT content_hydrate(i) FROM unnest($1::text[]) AS wanted (id) JOIN items i USING (id)", list(ids)
        )
        return {row[0]["id"]: unpacked(row[0]) for row in rows}

    async def ids(self) -> list[str]:
        return [row[0] for row in await self._connection.fetch("SELECT id FROM items")]

    async def items_of(self, collection_id: str) -> list[Document]:
        rows = await self._connection.fetch(
            "SELECT content_hydrate(i) FROM items i WHERE collection = $1", collection_id
        )
        return [unpacked(row[0]) for row in rows]

    async def versions_of(self, collection_id: str, variants: Sequence[str]) -> list[Version]:
        rows = await self._connection.fetch(
            "SELECT id, content->'properties'->>'interop:variant', content->'properties'->>'version', content->'links' "
            "FROM items WHERE collection = $1 AND content->'properties'->>'interop:variant' = ANY($2)",
            collection_id,
            list(variants),
        )
        return [Version(*row) for row in rows]

    async def collection(self, collection_id: str) -> Document | None:
        return await _collection(self._connection, collection_id)

    async def insert(self, items: Sequence[Document]) -> None:
        await pgstac_copy.insert(self._connection, items[0]["collection"], items)

    async def replace(self, items: Sequence[Document]) -> None:
        if items:
            await self._connection.execute("SELECT upsert_items($1)", list(map(packed, items)))

    async def relink(self, collection_id: str, links: Mapping[str, Sequence[Document]]) -> None:
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
        await self._connection.execute("SELECT delete_item($1, $2)", item_id, collection_id)

    async def replace_collection(self, collection: Document) -> None:
        await self._connection.execute("SELECT update_collection($1)", collection)


async def _keep_session(_connection: Connection) -> None:
    # All that is set or locked here ends with its transaction: a request to undo it would be in vain.
    pass


async def _use_json(connection: Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=lambda value: orjson.dumps(value).decode(),
            decoder=orjson.loads,
        )


async def _lock(connection: Connection, collection_id: str, *, partitions: bool = False) -> None:
    # pgstac makes and drops partitions as items come; a writer that meets another's half-made one fails.
    shared = "" if partitions else "_shared"
    await connection.execute(f"SELECT pg_advisory_xact_lock{shared}($1)", _PARTITIONS)
    # One writer a collection: extents, summaries, aliases and version links are read and written back.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", collection_id)


async def _collection(connection: Connection, collection_id: str) -> Document | None:
    found: Document | None = await connection.fetchval("SELECT get_collection($1)", collection_id)
    return found


def _request(query: Query) -> Document:
    """Return a query as pgstac's functions take it."""
    wanted = both(
        with_polygons(query.filter),
        text_filter(query.text) if query.text else None,
        box_filter(query.bbox) if query.bbox else None,
    )
    sort, names = [], [name.removeprefix("-").removeprefix("properties.") for name in query.sortby]
    for name, given in zip(names, query.sortby, strict=True):
        direction = "desc" if given.startswith("-") else "asc"
        column = SORTED_AS.get(name, name)
        if (marker := missing_marker(column)) is not None:
            sort.append({"field": marker, "direction": "asc"})
        sort.append({"field": column, "direction": direction})
    request: Document = {
        "collections": query.collections,
        "ids": query.ids,
        "intersects": query.intersects,
        "datetime": query.datetime,
        "filter": wanted,
        "filter-lang": "cql2-json" if wanted else None,
        # The order of the other catalogs.
        "sortby": sort if "id" in names else [*sort, {"field": "id", "direction": "asc"}],
        "token": _token(query),
    }
    return {name: value for name, value in request.items() if value is not None}


def _token(query: Query) -> str | None:
    if query.token is None:
        return None
    token = read_token(query, [TOKEN])[0]
    if not isinstance(token, str):
        raise InvalidQueryError("token: this is none that a search gave")
    return token


async def _with_aliases(connection: Connection, items: list[Document]) -> list[Document]:
    """Return items as pgstac keeps them, made whole and with the aliases that point to them."""
    names = list({item["collection"] for item in items})
    rows = await connection.fetch("SELECT id, content->$1 FROM collections WHERE id = ANY($2)", ALIASES, names)
    aliases = {name: found or {} for name, found in rows}
    return [_complete(item, aliases.get(item["collection"], {})) for item in items]


def _complete(kept: Document, aliases: dict[str, str]) -> Document:
    """Return an item whole: pgstac keeps what all items of a collection share once, and is slow to put it together."""
    item = unpacked(hydrate(kept.pop(_SHARED), kept))
    if pointing := sorted(alias for alias, item_id in aliases.items() if item_id == item["id"]):
        item["properties"][ALIASES] = pointing
    return item


@contextlib.asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    """Turn PostgreSQL's errors into ours; their details name tables and settings and are not for clients."""
    try:
        yield
    except ModelStacError:  # some of ours are OSErrors too
        raise
    except asyncpg.UniqueViolationError as error:
        raise ItemExistsError("the id is taken: published items do not change, choose another") from error
    except asyncpg.NoDataFoundError as error:
        raise NotFoundError("no such item or collection") from error
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.exceptions.UntranslatableCharacterError) as error:
        LOG.warning("refused by PostgreSQL: %s", error)
        raise InvalidItemError("the document: it holds what PostgreSQL cannot store") from error
    except (asyncpg.DataError, asyncpg.RaiseError, asyncpg.SyntaxOrAccessError, asyncpg.QueryCanceledError) as error:
        LOG.warning("not answered by PostgreSQL: %s", error)
        raise InvalidQueryError("the search: it compares what cannot be compared, or takes too long") from error
    # An internal error is what a connection gives that the database ended between two requests.
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        # Also while it restarts, and when two transactions wait for each other: the pool connects again.
        raise UnavailableError(f"the database does not answer ({type(error).__name__}): {_ADVICE}") from error
