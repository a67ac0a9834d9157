"""Writing into the embedded catalog: many items with their files, sources and collections in one transaction."""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from modelstac.catalog import journal
from modelstac.catalog.backends.artifacts import ArtifactFolder
from modelstac.catalog.errors import NotFoundError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import widening
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.documents import Document, as_item
from modelstac.catalog.items.links import ITEM_ID_FIELD, is_image, local_path
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.catalog.search.sql import rows
from modelstac.catalog.search.sql.database import Database

if TYPE_CHECKING:
    import pystac

Prepared = tuple[Document, dict[str, str]]
"""An item, and where its copied files lie, by asset key."""


class Kept(Protocol):
    """Where items are written: :class:`modelstac.catalog.backends.embedded.EmbeddedCatalog` is one."""

    href: str
    database: Database

    @property
    def artifacts(self) -> ArtifactFolder:
        """The folder of files of items."""
        ...

    def shown(self, found: rows.Read) -> Document:
        """Return a stored item as readers see it."""
        ...

    def same_or_refuse(self, published: pystac.Item, item: pystac.Item) -> pystac.Item:
        """Return the published item when the new one says the same, refuse it otherwise."""
        ...


class Writer:
    """Writes validated items into an embedded catalog.

    Parameters
    ----------
    catalog
        The catalog.
    report
        Gets the progress of copying.
    check
        Gets items that are to be written, inside the transaction, and raises to refuse them.
    """

    def __init__(
        self, catalog: Kept, report: Report = ignore, check: Callable[[list[Document]], None] = lambda _: None
    ) -> None:
        self._catalog = catalog
        self._report = report
        self._check = check

    def prepared(self, items: list[Document]) -> list[Prepared]:
        """Copy the files of items into the catalog's store."""
        return [(item, self._copy(item, self._report)) for item in items]

    def write(self, parts: Iterable[list[Prepared]], coming: Mapping[str, str] = MappingProxyType({})) -> int:
        """Write items, and the collections that they widen, in one transaction; return how many are new.

        Parameters
        ----------
        parts
            The items, some at a time.
        coming
            Collections by item id of those that may be the sources of items before them.
        """
        collections: dict[str, Document] = {}
        written = 0
        with self._catalog.database.write() as connection:
            for part in parts:
                new = self._new(connection, part, coming)
                by_name = documents.by_collection(new)
                for name in by_name.keys() - collections.keys():
                    found = rows.get_collection(connection, name)
                    if found is None:
                        journal.record(connection, [journal.Entry("create-model", name)])
                    else:
                        collections[name] = found if rows.has_items(connection, name) else widening.begun(found)
                rows.insert(connection, new)
                journal.record(connection, [journal.Entry("publish", i["collection"], i["id"]) for i in new])
                written += len(new)
                # Part by part: thousands of documents that are kept cost as much again in garbage collection.
                for name, of_model in by_name.items():
                    collection = collections.get(name) or widening.new_collection(name, of_model[0]["properties"])
                    collections[name] = widening.widened(collection, *of_model)
            for collection in collections.values():
                rows.put_collection(connection, documents.stored_collection(collection))
        return written

    def _new(self, connection: sqlite3.Connection, part: list[Prepared], coming: Mapping[str, str]) -> list[Document]:
        """Return those items, as they are stored, that are not there yet."""
        self._check([item for item, _ in part])
        known = rows.known(connection, (item["id"] for item, _ in part))
        new: dict[tuple[str, str], Document] = {}
        names = dict(coming)
        for item, assets in part:
            if any(not (Path(self._catalog.href).parent / href).is_file() for href in assets.values()):
                # A delete of the last item with the same bytes came between.
                self._copy(item, ignore)
            item_id = item["id"]
            key = (item["collection"], item_id)
            if key in known:
                published = rows.read_item(connection, "/".join(key))
                assert published is not None, "it was there a moment ago, in this transaction"
                self._same_or_refuse(self._catalog.shown(published), item)
            elif key in new:
                self._same_or_refuse(copy.deepcopy(new[key]), item)
            else:
                new[key] = documents.stored_item(item, assets, self._sources(connection, item, names))
                names[item_id] = item["collection"]
        return list(new.values())

    def _same_or_refuse(self, published: Document, item: Document) -> None:
        self._catalog.same_or_refuse(as_item(published), as_item(copy.deepcopy(item)))

    def _copy(self, item: Document, report: Report) -> dict[str, str]:
        """Copy the item's local files, and return their hrefs below the catalog's folder by asset key."""
        local = {
            key: None
            if is_image(asset["href"], asset.get("type"), asset.get("roles") or ())
            else local_path(asset["href"])
            for key, asset in item["assets"].items()
        }
        paths = {key: path for key, path in local.items() if path is not None}
        task = f"publish {item['id']}"
        report(Started(task, len(paths)))
        hrefs = {}
        for key, path in paths.items():
            digest = from_multihash(str(item["assets"][key]["file:checksum"]))
            hrefs[key] = f"{self._catalog.artifacts.root.name}/{self._catalog.artifacts.put(path, sha256=digest)}"
            report(Advanced(task, note=path.name))
        report(Finished(task))
        return hrefs

    def _sources(self, connection: sqlite3.Connection, item: Document, names: Mapping[str, str]) -> dict[str, str]:
        places = {}
        for link in item["links"]:
            source = link.get(ITEM_ID_FIELD)
            if link["rel"] != "derived_from" or not isinstance(source, str):
                continue
            row = connection.execute("SELECT collection FROM items WHERE id = ?", (source,)).fetchone()
            if source in names or row is not None:
                name = names[source] if source in names else row[0]
                places[source] = f"collections/{name}/items/{source}"
            elif "://" not in link["href"]:
                found = [i for (i,) in connection.execute("SELECT id FROM items")]
                raise NotFoundError.unknown(
                    "item", source, found, where=self._catalog.href, hint=f"Publish the source of {item['id']!r} first"
                )
        return places
