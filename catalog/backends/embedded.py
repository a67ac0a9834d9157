"""The embedded catalog: one SQLite file, with the items' files in a folder beside it. No set-up, no server.

A publish is one transaction, so whatever dies leaves the item whole or not at all, and readers never wait.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog import journal
from modelstac.catalog.backends.published import Published
from modelstac.catalog.base import Catalog, look_into
from modelstac.catalog.errors import AmbiguousError, CatalogError, NotFoundError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import checking, merging, widening
from modelstac.catalog.items.collections.merging import Change
from modelstac.catalog.items.documents import Document, as_item
from modelstac.catalog.items.identity import ALIASES, RULES, reference
from modelstac.catalog.items.links import has_local_files, local_path
from modelstac.catalog.messages import Report, ignore
from modelstac.catalog.rules import refuse_pointed_at, refuse_unexpected, refuse_unfit, with_rule
from modelstac.catalog.search.sql import rows
from modelstac.catalog.search.sql.database import Database
from modelstac.catalog.search.sql.schema import is_current, prepare

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.backends.artifacts import ArtifactFolder
    from modelstac.catalog.backends.embedded_writing import Prepared
    from modelstac.catalog.search.page import Page
    from modelstac.catalog.search.query import Query

# Few, since each costs some waiting of the threads for each other.
_AT_A_TIME = 1000


class EmbeddedCatalog(Catalog):
    """A catalog in one SQLite file, for many threads and processes at once.

    Parameters
    ----------
    href
        The file, by custom with the suffix ``.sqlite``. Files of items lie beside it, in ``<name>.artifacts``.
    create
        Make the file when it is not there.

    Raises
    ------
    CatalogError
        If there is no catalog, or the file is something else.
    """

    keeps_audit = True

    def __init__(self, href: str | os.PathLike[str], *, create: bool = False) -> None:
        path = local_path(os.fspath(href))
        if path is None:
            raise CatalogError(f"{href} is a URL: an embedded catalog is a file on this machine")
        path = path.absolute()
        super().__init__(str(path))
        if path.is_dir():
            if (path / "catalog.json").is_file():
                advice = f"copy its catalog into a file, modelstac sync {path} {path.name}.sqlite, and name that"
            else:
                advice = f"name an SQLite file in it, such as {path / 'models.sqlite'}"
            raise CatalogError(f"{path} is a folder: {advice}")
        if not create and not path.is_file():
            raise CatalogError(f"no catalog at {path}: publish into it first or check the path")
        if not path.parent.is_dir():
            raise CatalogError(f"no folder {path.parent} for the catalog {path.name}: make it first or check the path")
        self.database = Database(path)
        with self.database.read() as connection:
            ready = is_current(connection)
        if not ready:
            with self.database.write() as connection:
                prepare(connection)

    @cached_property
    def artifacts(self) -> ArtifactFolder:
        """The folder of files of items."""
        from modelstac.catalog.backends.artifacts import ArtifactFolder

        return ArtifactFolder(Path(self.href).with_suffix(".artifacts"))

    def close(self) -> None:
        """Close this thread's connection to the file."""
        self.database.close()

    def items(self) -> Iterator[pystac.Item]:
        """Return all items, one after the other."""
        from modelstac.catalog.search.query import Query  # here and below not at the top: who publishes does not search

        query = Query(limit=500)
        while True:
            page = self.page(query)
            yield from map(as_item, page.documents)
            if page.next is None:
                return
            query = query.changed(token=page.next)

    def references(self) -> Iterator[str]:
        """Return ``collection/id`` of all items; no item is read."""
        with self.database.read() as connection:
            found = connection.execute("SELECT collection, id FROM items ORDER BY id").fetchall()
        return (reference(collection, item_id) for collection, item_id in found)

    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections, one for every model name."""
        import pystac

        return (pystac.Collection.from_dict(document) for document in self.collection_documents())

    def collection_documents(self, name: str | None = None) -> list[Document]:
        """Return the collections, or the one with a name, as JSON with their aliases."""
        with self.database.read() as connection:
            where, names = ("", ()) if name is None else (" WHERE id = ?", (name,))
            found = connection.execute(f"SELECT document FROM collections{where} ORDER BY id", names)  # noqa: S608
            return [self._shown_collection(connection, json.loads(text)) for (text,) in found.fetchall()]

    def find(self, item_id: str) -> pystac.Item | None:
        """Return the item with an id, which may be ``collection/id``; None when there is none."""
        document = self.document(item_id)
        return None if document is None else as_item(document)

    def document(self, item_id: str) -> Document | None:
        """Return an item as JSON, None when there is no such id."""
        found = self.read(item_id)
        return None if found is None else self.shown(found)

    def read(self, item_id: str) -> rows.Read | None:
        """Return an item as stored, None when there is no such id."""
        with self.database.read() as connection, self._named():
            return rows.read_item(connection, item_id)

    def page(self, query: Query, *, count: bool = False) -> Page:
        """Return one page of the items that a query asks for."""
        from modelstac.catalog.search.page import Page
        from modelstac.catalog.search.sql.fields import reduced

        found, token, matched = self.found(query, count=count)
        return Page(tuple(reduced(self.shown(item), query.fields) for item in found), token, matched)

    def found(self, query: Query, *, count: bool) -> tuple[list[rows.Read], str | None, int | None]:
        """Return the items of a page as stored, the token of the next page and the number of matches."""
        from modelstac.catalog.search.sql.search import Search

        with self.database.read() as connection:
            search = Search(connection, query)
            keys, token = search.rows()
            return rows.read(connection, keys), token, search.count() if count else None

    def add(self, item: pystac.Item, *, report: Report) -> pystac.Item:
        """Store a validated item and its files and return it as stored."""
        return self.add_many([item], report=report)[0]

    def publish(self, item: pystac.Item, *, report: Report = ignore) -> pystac.Item:
        """Validate and store an item with its files; it is made JSON once for both."""
        from modelstac.catalog.items.validation import validate_item  # not at the top: who reads validates nothing

        document = documents.located(item)
        look_into(item, validate_item(document))
        return self.add_documents([document], report=report)[0]

    def publish_many(self, items: Iterable[pystac.Item], *, report: Report = ignore) -> Published:
        """Publish items in one transaction; one that is refused takes all back.

        They are validated while those before are written, and before any file is copied.
        """
        from modelstac.catalog.ahead import ahead, batches, uncollected
        from modelstac.catalog.backends.embedded_writing import Writer
        from modelstac.catalog.items.validation import validate_item, validate_items

        listed = list(items)
        with_files = [item for item in listed if has_local_files(item)]
        for item in with_files:
            look_into(item, validate_item(documents.located(item)))
        checked = {id(item) for item in with_files}
        writer = Writer(self, report)

        def prepared(some: list[pystac.Item]) -> list[Prepared]:
            found = [documents.located(item) for item in some]
            validate_items(one for item, one in zip(some, found, strict=True) if id(item) not in checked)
            return writer.prepared(found)

        with uncollected():
            writer.write(ahead(map(prepared, batches(listed, _AT_A_TIME))))
        return Published(self.get, [f"{item.collection_id}/{item.id}" for item in listed])

    def add_many(self, items: list[pystac.Item], *, report: Report) -> Published:
        """Store validated items in one transaction: all of them or none."""
        return self.add_documents([documents.located(item) for item in items], report=report)

    def add_documents(
        self, items: list[Document], *, report: Report, coming: Mapping[str, str] = MappingProxyType({})
    ) -> Published:
        """Store the JSON of validated items, whose assets have absolute hrefs, in one transaction.

        Parameters
        ----------
        coming
            Collections by item id of those that may be the sources of items before them.
        """
        from modelstac.catalog.backends.embedded_writing import Writer

        writer = Writer(self, report)
        writer.write([writer.prepared(items)], coming)
        return Published(self.get, [f"{item['collection']}/{item['id']}" for item in items])

    def audit(self, asked: journal.Asked | None = None) -> tuple[list[journal.Entry], int | None]:
        """Return who did what to the catalog, the newest first."""
        with self.database.read() as connection:
            return journal.entries(connection, asked or journal.Asked())

    def change_collection(self, name: str, change: Change) -> None:
        """Make a collection say what a function makes of what it says, or make a new one."""
        href = f"{self.href}#/collections/{name}"
        with self.database.write() as connection:
            before = rows.get_collection(connection, name)
            if before is None:
                checking.check_name(name)
                changed = change(None)
                entries = [journal.Entry("create-model", name)]
            else:
                changed = merging.changed(before, change, href, self._resolved)
                entries = journal.collection_changes(name, before, changed)
            if changed != before:
                checking.check_collection(changed)
                rows.put_collection(connection, documents.stored_collection(changed))
                journal.record(connection, entries)

    def aliases(self, name: str) -> dict[str, str]:
        """Return the item ids that a model's aliases point to."""
        with self.database.read() as connection:
            self._known_collection(connection, name)
            return _aliases(connection, name)

    def change_alias(self, name: str, alias: str, item_id: str | None, expected: Any) -> None:
        """Point an alias to an item, or remove it."""
        with self.database.write() as connection:
            self._known_collection(connection, name)
            before = _aliases(connection, name).get(alias)
            refuse_unexpected(name, alias, before, expected)
            if item_id is None:
                connection.execute("DELETE FROM aliases WHERE collection = ? AND alias = ?", (name, alias))
            elif (item := rows.get_item(connection, f"{name}/{item_id}")) is None:
                raise NotFoundError(f"no item {item_id!r} in {self.href}: it was deleted meanwhile")
            else:
                refuse_unfit(name, alias, item, (rows.get_collection(connection, name) or {}).get(RULES))
                connection.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", (name, alias, item_id))
            journal.record(connection, journal.moves(name, {alias: before}, {alias: item_id}))

    def protect_alias(self, name: str, alias: str, required: Sequence[str]) -> None:
        """Let an alias of a model point only to items that show what is required."""
        with self.database.write() as connection:
            self._known_collection(connection, name)
            stored = rows.get_collection(connection, name) or {}
            changed = with_rule(stored, alias, required)
            rows.put_collection(connection, changed)
            journal.record(connection, journal.collection_changes(name, stored, changed))

    def deprecate(self, item_id: str, *, deprecated: bool = True) -> pystac.Item:
        """Mark an item as one that should no longer be used, or take that back; return it."""

        def marked(document: Document) -> Document:
            if bool(document["properties"].get("deprecated")) == deprecated:
                return document
            said = {"deprecated": deprecated, "updated": documents.now()}
            return document | {"properties": document["properties"] | said}

        return self._changed(item_id, marked)

    def attach(self, item_id: str, key: str, asset: dict[str, Any]) -> pystac.Item:
        """Put evidence on a published item; return it."""
        return self._changed(item_id, lambda document: documents.with_evidence(document, key, asset))

    def add_verified(self, item_id: str, environments: Sequence[dict[str, Any]]) -> pystac.Item:
        """Add environments in which a published item was found to run; return it."""
        return self._changed(item_id, lambda document: documents.verified(document, environments))

    def _changed(self, item_id: str, change: Callable[[Document], Document]) -> pystac.Item:
        with self.database.write() as connection:
            stored = self._known_item(connection, item_id)
            if (document := change(stored)) != stored:
                rows.delete(connection, document["id"], document["collection"])
                rows.insert(connection, [document])
                journal.record(connection, journal.changes(stored, document))
        return self.get(item_id)

    def delete(self, item_id: str, *, check: Callable[[rows.Read], None] | None = None, files: bool = True) -> None:
        """Remove an item, unless ``check`` raises in the same transaction, and the files that only this item had."""
        with self.database.write() as connection:
            document = self._known_item(connection, item_id)
            if check is not None and (found := rows.read_item(connection, item_id)) is not None:
                check(found)
            name = document["collection"]
            refuse_pointed_at(document["id"], name, _aliases(connection, name))
            rows.delete(connection, document["id"], name)
            collection = rows.get_collection(connection, name)
            assert collection is not None, "items refer to their collection"
            left = connection.execute("SELECT document FROM items WHERE collection = ? ORDER BY id", (name,))
            rows.put_collection(connection, widening.covering(collection, (json.loads(text) for (text,) in left)))
            journal.record(connection, [journal.Entry("delete", name, document["id"])])
        if not files:
            return
        with self.database.write() as connection:
            # The item is gone for good; its files go while no other writer can begin to need them.
            for digest in _digests(document):
                if not rows.names_digest(connection, digest):
                    self.artifacts.remove(digest)

    def _known_collection(self, connection: sqlite3.Connection, name: str) -> None:
        if rows.get_collection(connection, name) is None:
            known = [n for (n,) in connection.execute("SELECT id FROM collections")]
            raise NotFoundError.unknown("model", name, known, where=self.href)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Say of which catalog an ambiguous id is."""
        try:
            yield
        except AmbiguousError as error:
            raise AmbiguousError(str(error).replace("the catalog", self.href, 1)) from error

    def _known_item(self, connection: sqlite3.Connection, item_id: str) -> Document:
        with self._named():
            document = rows.get_item(connection, item_id)
        if document is None:
            known = [i for (i,) in connection.execute("SELECT id FROM items")]
            raise NotFoundError.unknown("item", item_id, known, where=self.href)
        return document

    def shown(self, found: rows.Read) -> Document:
        """Return a stored item as readers see it: absolute hrefs, links to other versions, aliases."""
        document = completed(json.loads(found.text), found)
        href = f"{self.href}#/collections/{document['collection']}/items/{document['id']}"
        return documents.absolute(document, href, self._resolved)

    def _resolved(self, href: str, _base: str) -> str:
        if "://" in href or href.startswith(("/", "data:")):
            return href
        return f"{self.href}#/{href}" if href.startswith("collections/") else str(Path(self.href).parent / href)

    def _shown_collection(self, connection: sqlite3.Connection, document: Document) -> Document:
        if aliases := _aliases(connection, document["id"]):
            document[ALIASES] = aliases
        return documents.absolute(document, f"{self.href}#/collections/{document['id']}", self._resolved)


def completed(document: Document, found: rows.Read) -> Document:
    """Return a stored document with what other rows say of it: aliases, and links to other versions."""
    if found.aliases:
        document["properties"][ALIASES] = list(found.aliases)
    up = documents.link("collection", f"collections/{document['collection']}")
    document["links"] = [up, *document["links"], *to_versions(found)]
    return document


def to_versions(found: rows.Read) -> list[Document]:
    """Return the links of an item to its other versions."""
    items = f"collections/{found.collection}/items"
    return [documents.link(rel, f"{items}/{other}", "application/geo+json") for rel, other in found.versions.items()]


def _aliases(connection: sqlite3.Connection, name: str) -> dict[str, str]:
    found = connection.execute("SELECT alias, item FROM aliases WHERE collection = ? ORDER BY alias", (name,))
    return dict(found.fetchall())


def _digests(document: Document) -> set[str]:
    return {str(asset["file:checksum"])[4:] for asset in document["assets"].values() if "file:checksum" in asset}
