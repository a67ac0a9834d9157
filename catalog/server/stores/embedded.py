"""The embedded backend: one SQLite file, read and written in threads; its rules are those of the embedded catalog."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import orjson

from modelstac.catalog.backends.embedded import EmbeddedCatalog, completed
from modelstac.catalog.backends.embedded_writing import Prepared, Writer
from modelstac.catalog.errors import InvalidItemError, ItemExistsError, ModelStacError, NotFoundError
from modelstac.catalog.items import documents
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.messages import ignore
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql import rows
from modelstac.catalog.search.sql.search import Search
from modelstac.catalog.server.stores.collections import select
from modelstac.catalog.server.stores.store import Change, Check, Store

LOG = logging.getLogger("modelstac.server")
Result = TypeVar("Result")
_THREADS = 4


class EmbeddedStore(Store):
    """Items and collections in an SQLite file.

    Parameters
    ----------
    catalog
        The file.
    artifacts
        Folder or URL of the artifacts, whose hrefs are ``artifacts/…`` to clients.
    """

    def __init__(self, catalog: EmbeddedCatalog, artifacts: str) -> None:
        self._catalog = catalog
        self._artifacts = artifacts.rstrip("/") + "/"
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="catalog")

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown()

    async def _run(self, work: Callable[[], Result]) -> Result:
        with self._explained():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ModelStacError as error:
            # Where the file lies is not for clients.
            LOG.info("%s", error)
            raise type(error)(str(error).replace(self._catalog.href, "this catalog")) from error

    async def ping(self) -> None:
        """Read from the file."""
        await self._run(lambda: self._catalog.collection_documents(""))

    async def item(self, collection_id: str, item_id: str) -> Document | None:
        """Return an item, None when there is none."""
        # By its id, in a file mapped into memory, it is there sooner than a thread would begin; readers never wait.
        with self._explained():
            found = self._catalog.read(item_id)
        served = None if found is None else self._read(found)
        return served if served is not None and served["collection"] == collection_id else None

    async def collection(self, collection_id: str) -> Document | None:
        """Return a collection, None when there is none."""
        found = await self._run(lambda: self._catalog.collection_documents(collection_id))
        return self._served(found[0]) if found else None

    async def search(self, query: Query) -> Page:
        """Return a page of the items that a query finds."""
        # The whole items: what is left of them is decided once their links are made.
        whole = query.model_copy(update={"fields": ()})
        found, token, matched = await self._run(lambda: self._catalog.found(whole, count=True))
        return Page(tuple(map(self._read, found)), token, matched)

    async def search_collections(self, query: Query) -> Page:
        """Return a page of the collections that a query finds."""
        found = await self._run(self._catalog.collection_documents)
        return select([self._served(document) for document in found], query)

    async def add_items(self, collection_id: str, items: Sequence[Document]) -> list[bool]:
        """Store items, all or none, and tell of each whether it is new."""
        return await self._run(lambda: self._add(collection_id, items))

    def _add(self, collection_id: str, items: Sequence[Document]) -> list[bool]:
        if not self._catalog.collection_documents(collection_id):
            raise NotFoundError(f"no collection {collection_id!r}: create it first, by POST to /collections")
        with self._catalog.database.read() as connection:
            fresh = [rows.get_item(connection, item["id"]) is None for item in items]
        self._catalog.add_documents([self._local(item) for item in items], report=ignore)
        return fresh

    async def add_parts(self, parts: AsyncIterator[list[Document]]) -> int:
        """Store items of any collections as they come, all or none; collections that are missing are made."""
        loop = asyncio.get_running_loop()

        async def following() -> list[Document] | None:
            return await anext(parts, None)

        def prepared(writer: Writer) -> Iterator[list[Prepared]]:
            while (part := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
                yield writer.prepared([self._local(item) for item in part])

        def work() -> int:
            writer = Writer(self._catalog)
            return writer.write(prepared(writer))

        return await self._run(work)

    async def change_item(self, collection_id: str, item_id: str, change: Change) -> Document:
        """Replace an item's document by what ``change`` makes of it, atomically."""

        def work() -> None:
            with self._catalog.database.write() as connection:
                found = rows.read_item(connection, item_id)
                stored = {} if found is None else json.loads(found.text)
                if found is None or stored["collection"] != collection_id:
                    raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}")
                # As readers see it, in the same transaction: that is what an entity tag is of.
                changed = change(self._read(found))
                rows.delete(connection, item_id)
                rows.insert(connection, [self._stored_again(stored, changed)])

        await self._run(work)
        found = await self.item(collection_id, item_id)
        assert found is not None, "an item that was changed is there"
        return found

    def _stored_again(self, stored: Document, changed: Document) -> Document:
        """Return a changed document as the file keeps it: what stays where it was keeps the file's own hrefs."""
        before, local = self._served(stored)["assets"], self._local(changed)["assets"]
        kept = {key for key, asset in changed["assets"].items() if before.get(key, {}).get("href") == asset["href"]}
        assets = {
            key: asset | {"href": (stored["assets"] if key in kept else local)[key]["href"]}
            for key, asset in changed["assets"].items()
        }
        links = [found for found in changed["links"] if found["rel"] not in documents.STRUCTURAL_RELS]
        return changed | {"assets": assets, "links": links}

    async def remove_item(self, collection_id: str, item_id: str, check: Check) -> None:
        """Remove an item unless ``check`` raises, atomically."""

        def checked(found: rows.Read) -> None:
            stored = self._read(found)
            if stored["collection"] != collection_id:
                raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}")
            check(stored)

        await self._run(lambda: self._catalog.delete(item_id, check=checked))

    async def add_collection(self, collection: Document) -> None:
        """Store a new collection."""

        def work() -> None:
            with self._catalog.database.write() as connection:
                if rows.get_collection(connection, collection["id"]) is not None:
                    raise ItemExistsError(f"there is a collection {collection['id']!r}: change it by PUT or PATCH")
                rows.put_collection(connection, documents.stored_collection(collection))
                _put_aliases(connection, collection["id"], {}, collection.get(ALIASES, {}))

        await self._run(work)

    async def change_collection(self, collection_id: str, change: Change) -> Document:
        """Replace a collection's document by what ``change`` makes of it, atomically."""

        def work() -> None:
            with self._catalog.database.write() as connection:
                stored = self._stored_collection(connection, collection_id)
                changed = change(stored)
                rows.put_collection(connection, documents.stored_collection(changed))
                _put_aliases(connection, collection_id, stored.get(ALIASES, {}), changed.get(ALIASES, {}))

        await self._run(work)
        found = await self.collection(collection_id)
        assert found is not None, "a collection that was changed is there"
        return found

    def _stored_collection(self, connection: sqlite3.Connection, collection_id: str) -> Document:
        document = rows.get_collection(connection, collection_id)
        if document is None:
            raise NotFoundError(f"no collection {collection_id!r}: see /collections")
        aliases = _aliases(connection, collection_id)
        return self._served(document | ({ALIASES: aliases} if aliases else {}))

    async def remove_collection(self, collection_id: str, check: Check) -> None:
        """Remove a collection and its items unless ``check`` raises, atomically."""

        def work() -> None:
            with self._catalog.database.write() as connection:
                check(self._stored_collection(connection, collection_id))
                connection.execute("DELETE FROM aliases WHERE collection = ?", (collection_id,))
                ids = connection.execute("SELECT id FROM items WHERE collection = ?", (collection_id,)).fetchall()
                for (item_id,) in ids:
                    rows.delete(connection, item_id)
                connection.execute("DELETE FROM collections WHERE id = ?", (collection_id,))

        await self._run(work)

    async def facets(self, query: Query, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Count the items that a query finds by the values of some properties; of a list, each value counts."""

        def work() -> dict[str, dict[str, int]]:
            counts: dict[str, Counter[str]] = {name: Counter() for name in names}
            with self._catalog.database.read() as connection:
                keys, _ = Search(connection, query.model_copy(update={"limit": None, "token": None})).rows()
                for (text,) in connection.execute(
                    "SELECT document FROM items WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(keys),)
                ):
                    properties = json.loads(text)["properties"]
                    for name in names:
                        values = properties.get(name, [])
                        counts[name].update([values] if isinstance(values, str) else values)
            return {name: dict(sorted(found.items(), key=lambda kv: (-kv[1], kv[0]))) for name, found in counts.items()}

        return await self._run(work)

    async def count(self, query: Query) -> int:
        """Count the items that a query finds."""
        page = await self._run(lambda: self._catalog.page(query.model_copy(update={"limit": 1}), count=True))
        return page.matched or 0

    async def checksums(self) -> set[str]:
        """Return the ``file:checksum`` of every asset of every item."""

        def work() -> set[str]:
            with self._catalog.database.read() as connection:
                found = connection.execute(
                    "SELECT DISTINCT json_extract(asset.value, '$.\"file:checksum\"') "
                    "FROM items, json_each(items.document, '$.assets') AS asset"
                ).fetchall()
            return {checksum for (checksum,) in found if checksum}

        return await self._run(work)

    def _read(self, found: rows.Read) -> Document:
        """Return a stored item as it is served."""
        return self._served(completed(orjson.loads(found.text), found))

    def _served(self, document: Document) -> Document:
        """Return a document with hrefs below the server's address: the file's own name is not for clients."""
        own = f"{self._catalog.href}#/"
        folder = f"{self._catalog.artifacts.root}/"
        below = f"{self._catalog.artifacts.root.name}/"

        def href(found: str) -> str:
            for prefix in (folder, self._artifacts, below):
                if found.startswith(prefix):
                    return f"artifacts/{found.removeprefix(prefix)}"
            return found.removeprefix(own)

        served = document | {"links": [f | {"href": href(f["href"])} for f in document["links"] if f["rel"] != "self"]}
        if "assets" in document:
            served["assets"] = {k: asset | {"href": href(asset["href"])} for k, asset in document["assets"].items()}
        return served

    def _local(self, item: Document) -> Document:
        """Return an item whose uploaded artifacts are where they lie, so that the catalog takes them as its own."""
        return item | {
            "assets": {
                key: asset | {"href": self._artifacts + asset["href"].removeprefix("artifacts/")}
                if asset["href"].startswith("artifacts/")
                else asset
                for key, asset in item["assets"].items()
            }
        }


def _aliases(connection: sqlite3.Connection, name: str) -> dict[str, str]:
    found = connection.execute("SELECT alias, item FROM aliases WHERE collection = ? ORDER BY alias", (name,))
    return dict(found.fetchall())


def _put_aliases(connection: sqlite3.Connection, name: str, before: dict[str, str], after: Any) -> None:
    if not isinstance(after, dict):
        raise InvalidItemError(f"{ALIASES}: expected an object of item ids by alias")
    for alias in before.keys() - after.keys():
        connection.execute("DELETE FROM aliases WHERE collection = ? AND alias = ?", (name, alias))
    for alias, item_id in after.items():
        stored = rows.get_item(connection, str(item_id))
        if stored is None or stored["collection"] != name:
            raise InvalidItemError(f"{ALIASES}.{alias}: there is no item {item_id!r} in this collection")
        if before.get(alias) != item_id:
            connection.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", (name, alias, item_id))
