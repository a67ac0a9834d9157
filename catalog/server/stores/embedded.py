"""The embedded backend: one SQLite file, read and written in threads; its rules are those of the embedded catalog."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, cast

import orjson

from modelstac.catalog import journal
from modelstac.catalog.backends.embedded import EmbeddedCatalog, completed, to_versions
from modelstac.catalog.backends.embedded_writing import Prepared, Writer
from modelstac.catalog.errors import ModelStacError, NotFoundError, StorageError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import widening
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import ALIASES, RULES
from modelstac.catalog.rules import refuse_unfit
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql import rows
from modelstac.catalog.search.sql.search import Search
from modelstac.catalog.server.files.artifacts import ArtifactStore
from modelstac.catalog.server.files.named import check_there, unnamed, with_new_assets
from modelstac.catalog.server.stores.collections import collection_exists, no_item, select
from modelstac.catalog.server.stores.links import item_links, shown_assets, shown_item
from modelstac.catalog.server.stores.queryables import LOOKED_AT, MOST_SCORES, SCORES
from modelstac.catalog.server.stores.spliced import opened
from modelstac.catalog.server.stores.store import Change, Check, Result, Shown, Store
from modelstac.catalog.server.teams import hierarchy
from modelstac.catalog.server.teams.permission import made, may_make, may_write
from modelstac.catalog.server.teams.session import Session, SqliteSession, run_now

LOG = logging.getLogger("modelstac.server")
# Those who write wait for each other, and nobody who reads waits for them.
_READERS, _WRITERS = 4, 2


class EmbeddedStore(Store):
    """Items and collections in an SQLite file.

    Parameters
    ----------
    catalog
        The file.
    artifacts
        The artifacts, whose hrefs are ``artifacts/…`` to clients.
    seconds
        How long a search may take.
    """

    def __init__(self, catalog: EmbeddedCatalog, artifacts: ArtifactStore, *, seconds: float = 20.0) -> None:
        self._catalog = catalog
        self._files = artifacts
        self._artifacts = artifacts.place.rstrip("/") + "/"
        self._seconds = seconds
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="reading")
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="writing")

    async def close(self) -> None:
        """Let the threads end."""
        self._readers.shutdown()
        self._writers.shutdown()

    async def _read_by(self, work: Callable[[], Result]) -> Result:
        def limited() -> Result:
            with self._catalog.database.within(self._seconds):
                return work()

        with self._explained():
            return await asyncio.get_running_loop().run_in_executor(self._readers, limited)

    async def _write_by(self, work: Callable[[], Result]) -> Result:
        with self._explained():
            # With who writes, which is known where the request is read.
            context = contextvars.copy_context()
            return await asyncio.get_running_loop().run_in_executor(self._writers, context.run, work)

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
        await self._read_by(lambda: self._catalog.collection_documents(""))

    async def item(self, collection_id: str, item_id: str) -> Document | None:
        """Return an item, None when there is none."""
        # By its id, in a file mapped into memory, it is there sooner than a thread would begin; readers never wait.
        with self._explained():
            found = self._catalog.read(f"{collection_id}/{item_id}")
        served = None if found is None else self._read(found)
        return served if served is not None and served["collection"] == collection_id else None

    async def collection(self, collection_id: str) -> Document | None:
        """Return a collection, None when there is none."""
        found = await self._read_by(lambda: self._catalog.collection_documents(collection_id))
        return self._served(found[0]) if found else None

    async def search(self, query: Query) -> Page:
        """Return a page of the items that a query finds."""
        # The whole items: what is left of them is decided once their links are made.
        whole = query.changed(fields=())
        found, token, matched = await self._read_by(lambda: self._catalog.found(whole, count=True))
        return Page(tuple(map(self._read, found)), token, matched)

    async def shown(self, query: Query, base: str) -> Shown:
        """Return the same as a client sees it; most of an item's text is answered as it is stored."""
        if query.fields:
            return await super().shown(query, base)
        found, token, matched = await self._read_by(lambda: self._catalog.found(query, count=True))
        return Shown([self._shown(one, base) for one in found], token, matched)

    def _shown(self, found: rows.Read, base: str) -> Document | orjson.Fragment:
        text = None if found.aliases or not found.has_framework else opened(found.text)
        if text is None:
            return shown_item(self._read(found), base)
        links = self._served_links([*text.links, *to_versions(found)])
        shown = item_links(found.collection, found.item_id, links, base, of_model=True)
        return text.closed(shown, shown_assets(self._served_assets(text.assets), base))

    async def search_collections(self, query: Query) -> Page:
        """Return a page of the collections that a query finds."""
        found = await self._read_by(self._catalog.collection_documents)
        return select([self._served(document) for document in found], query)

    async def add_items(self, collection_id: str, items: Sequence[Document]) -> list[bool]:
        """Store items, all or none, and tell of each whether it is new."""
        return await self._write_by(lambda: self._add(collection_id, items))

    def _add(self, collection_id: str, items: Sequence[Document]) -> list[bool]:
        if not self._catalog.collection_documents(collection_id):
            raise NotFoundError(f"no collection {collection_id!r}: create it first, by POST to /collections")
        with self._catalog.database.read() as connection:
            fresh = [rows.get_item(connection, f"{collection_id}/{item['id']}") is None for item in items]
        check_there(items, self._files)
        writer = Writer(self._catalog, check=self._admit)
        with self._told(items):
            writer.write([writer.prepared([self._local(item) for item in items])])
        return fresh

    @contextlib.contextmanager
    def _told(self, items: Sequence[Document]) -> Iterator[None]:
        """Say of a file that ``gc`` took while it was copied that it is missing."""
        try:
            yield
        except StorageError:
            check_there(items, self._files)
            raise

    def _admit(self, items: Sequence[Document]) -> None:
        """Refuse items without their files, or in collections that are not those of who writes."""
        check_there(items, self._files, below=self._artifacts)
        if journal.writer().team is None:
            return
        with self._catalog.database.read() as connection:  # that of the transaction
            for name in {item["collection"] for item in items}:
                is_there = rows.get_collection(connection, name) is not None
                run_now((may_write if is_there else may_make)(SqliteSession(connection), name))

    async def add_parts(self, parts: AsyncIterator[list[Document]]) -> int:
        """Store items of any collections as they come, all or none; collections that are missing are made."""
        loop = asyncio.get_running_loop()

        async def following() -> list[Document] | None:
            return await anext(parts, None)

        def prepared(writer: Writer) -> Iterator[list[Prepared]]:
            while (part := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
                check_there(part, self._files)
                with self._told(part):
                    ready = writer.prepared([self._local(item) for item in part])
                yield ready

        def work() -> int:
            writer = Writer(self._catalog, check=self._admit)
            return writer.write(prepared(writer))

        return await self._write_by(work)

    async def change_items(self, collection_id: str, changes: Mapping[str, Change]) -> list[Document]:
        """Replace the documents of items, by their ids, by what the changes make of them, all or none."""

        def work() -> None:
            with self._catalog.database.write() as connection:
                for item_id, change in changes.items():
                    self._change(connection, collection_id, item_id, change)

        await self._write_by(work)
        found = [await self.item(collection_id, item_id) for item_id in changes]
        assert None not in found, "items that were changed are there"
        return cast("list[Document]", found)

    def _change(self, connection: sqlite3.Connection, collection_id: str, item_id: str, change: Change) -> None:
        found = rows.read_item(connection, f"{collection_id}/{item_id}")
        stored = {} if found is None else json.loads(found.text)
        if found is None or stored["collection"] != collection_id:
            raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}")
        run_now(may_write(SqliteSession(connection), collection_id))
        # As readers see it, in the same transaction: that is what an entity tag is of.
        shown = self._read(found)
        changed = change(shown)
        if changed["assets"] != shown["assets"]:
            check_there([with_new_assets(changed, shown)], self._files)
        rows.delete(connection, item_id, collection_id)
        rows.insert(connection, [self._stored_again(stored, changed)])
        journal.record(connection, journal.changes(shown, changed))
        collection = rows.get_collection(connection, collection_id)
        if collection is not None and (wider := widening.widened(collection, changed)) != collection:
            rows.put_collection(connection, documents.stored_collection(wider))

    def _stored_again(self, stored: Document, changed: Document) -> Document:
        """Return a changed document as the file keeps it: what stays where it was keeps the file's own hrefs."""
        before, local = self._served(stored)["assets"], self._local(changed)["assets"]
        kept = {key for key, asset in changed["assets"].items() if before.get(key, {}).get("href") == asset["href"]}
        assets = {
            key: asset | {"href": (stored["assets"] if key in kept else local)[key]["href"]}
            for key, asset in changed["assets"].items()
        }
        links = [found for found in changed["links"] if not documents.is_structural(found)]
        return changed | {"assets": assets, "links": links}

    async def remove_item(self, collection_id: str, item_id: str, check: Check) -> None:
        """Remove an item unless ``check`` raises, atomically."""

        def checked(found: rows.Read) -> None:
            stored = self._read(found)
            if stored["collection"] != collection_id:
                raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}")
            with self._catalog.database.read() as connection:  # that of the transaction
                run_now(may_write(SqliteSession(connection), collection_id))
            check(stored)

        # Whoever was told that the files are here is about to name them: they go with gc, where gc looks.
        here = self._files.place != str(self._catalog.artifacts.root)

        def work() -> None:
            try:
                self._catalog.delete(f"{collection_id}/{item_id}", check=checked, files=here)
            except NotFoundError as error:
                raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}") from error

        await self._write_by(work)

    async def add_collection(self, collection: Document, *, catalog: str | None = None) -> None:
        """Store a new collection, in a catalog that then owns it, or in that of the team that writes."""

        def work() -> None:
            with self._catalog.database.write() as connection:
                if rows.get_collection(connection, collection["id"]) is not None:
                    raise collection_exists(collection["id"])
                run_now(made(SqliteSession(connection), collection["id"], catalog))
                rows.put_collection(connection, documents.stored_collection(collection))
                self._put_aliases(connection, {"id": collection["id"]}, collection)

        await self._write_by(work)

    async def change_collection(self, collection_id: str, change: Change) -> Document:
        """Replace a collection's document by what ``change`` makes of it, atomically."""

        def work() -> None:
            with self._catalog.database.write() as connection:
                stored = self._stored_collection(connection, collection_id)
                run_now(may_write(SqliteSession(connection), collection_id))
                changed = change(stored)
                rows.put_collection(connection, documents.stored_collection(changed))
                journal.record(connection, journal.collection_changes(collection_id, stored, changed))
                self._put_aliases(connection, stored, changed)

        await self._write_by(work)
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
                stored = self._stored_collection(connection, collection_id)
                run_now(may_write(session := SqliteSession(connection), collection_id))
                check(stored)
                run_now(hierarchy.forget(session, collection_id))
                journal.record(connection, journal.deletion(collection_id, stored))
                connection.execute("DELETE FROM aliases WHERE collection = ?", (collection_id,))
                ids = connection.execute("SELECT id FROM items WHERE collection = ?", (collection_id,)).fetchall()
                for (item_id,) in ids:
                    rows.delete(connection, item_id, collection_id)
                connection.execute("DELETE FROM collections WHERE id = ?", (collection_id,))

        await self._write_by(work)

    async def facets(
        self, query: Query, names: Sequence[str], *, count: bool
    ) -> tuple[dict[str, dict[str, int]], int | None]:
        """Count the items that a query finds by the values of some properties, and all of them where that is asked."""

        def work() -> tuple[dict[str, dict[str, int]], int | None]:
            counts: dict[str, Counter[str]] = {name: Counter() for name in names}
            with self._catalog.database.read() as connection:
                search = Search(connection, query.changed(limit=None, token=None))
                total = search.count() if count else None
                keys, _ = search.rows()
                for (text,) in connection.execute(
                    "SELECT document FROM items WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(keys),)
                ):
                    properties = json.loads(text)["properties"]
                    for name in names:
                        values = properties.get(name, [])
                        counts[name].update([values] if isinstance(values, str) else values)
            ordered = {n: dict(sorted(found.items(), key=lambda kv: (-kv[1], kv[0]))) for n, found in counts.items()}
            return ordered, total

        return await self._read_by(work)

    async def run(self, work: Callable[[Session], Coroutine[Any, Any, Result]], *, write: bool = False) -> Result:
        """Ask the tables beside the items, or change them, in one transaction."""

        def written() -> Result:
            with self._catalog.database.write() as connection:
                return run_now(work(SqliteSession(connection)))

        def found() -> Result:
            with self._catalog.database.read() as connection:
                return run_now(work(SqliteSession(connection, write=False)))

        return await (self._write_by(written) if write else self._read_by(found))

    async def score_names(self, collection_id: str | None) -> list[str]:
        """Return the names of the scores of the newest items."""

        def work() -> list[str]:
            where, names = ("", []) if collection_id is None else ("WHERE collection = ?", [collection_id])
            found = f"SELECT document FROM items {where} ORDER BY key DESC LIMIT {LOOKED_AT}"  # noqa: S608
            statement = f"SELECT DISTINCT key FROM ({found}), json_each(document, '$.properties.\"{SCORES}\"') "  # noqa: S608
            with self._catalog.database.read() as connection:
                rows = connection.execute(statement + f"WHERE typeof(key) = 'text' LIMIT {MOST_SCORES}", names)
                return [name for (name,) in rows]

        return await self._read_by(work)

    async def for_unnamed(self, digests: Sequence[str], act: Callable[[str], None]) -> None:
        """Call a function for each of these SHA-256 that no item has, while nobody publishes."""

        def work() -> None:
            with self._catalog.database.write() as connection:
                found = connection.execute(
                    "SELECT DISTINCT json_extract(asset.value, '$.\"file:checksum\"'), "
                    "json_extract(asset.value, '$.href') FROM items, json_each(items.document, '$.assets') AS asset"
                ).fetchall()
                for digest in unnamed(digests, found):
                    act(digest)

        await self._write_by(work)

    def _put_aliases(self, connection: sqlite3.Connection, stored: Document, changed: Document) -> None:
        name, before, after = changed["id"], stored.get(ALIASES, {}), changed.get(ALIASES, {})
        for alias in before.keys() - after.keys():
            connection.execute("DELETE FROM aliases WHERE collection = ? AND alias = ?", (name, alias))
        for alias, item_id in after.items():
            item = rows.get_item(connection, f"{name}/{item_id}")
            if item is None or item["collection"] != name:
                raise no_item(alias, item_id)
            if before.get(alias) != item_id:
                refuse_unfit(name, alias, item, changed.get(RULES), self.alias_rules)
                connection.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", (name, alias, item_id))

    def _read(self, found: rows.Read) -> Document:
        """Return a stored item as it is served."""
        return self._served(completed(orjson.loads(found.text), found))

    def _served(self, document: Document) -> Document:
        """Return a document with hrefs below the server's address: the file's own name is not for clients."""
        served = document | {"links": self._served_links(document["links"])}
        if "assets" in document:
            served["assets"] = self._served_assets(document["assets"])
        return served

    def _served_links(self, links: list[Document]) -> list[Document]:
        return [self._served_part(found) for found in links if found["rel"] != "self"]

    def _served_assets(self, assets: dict[str, Document]) -> dict[str, Document]:
        return {key: self._served_part(asset) for key, asset in assets.items()}

    def _served_part(self, part: Document) -> Document:
        """Return a link or an asset with an href below the server's address, where it leads into the file."""
        href: str = part["href"]
        if not href.startswith(self._own):
            return part
        below = href.removeprefix(next(begin for begin in self._own if href.startswith(begin)))
        return part | {"href": below if href.startswith(self._own[-1]) else f"artifacts/{below}"}

    @cached_property
    def _own(self) -> tuple[str, ...]:
        """What hrefs in the file begin with that lead to artifacts, and at last those that lead to documents."""
        folder = self._catalog.artifacts.root
        return f"{folder}/", self._artifacts, f"{folder.name}/", f"{self._catalog.href}#/"

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
