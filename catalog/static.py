"""The static catalog: a self-contained tree of JSON documents and files, readable by any STAC client.

Publishing prepares an item's folder out of sight, moves it to its place and then replaces one document, the
collection (or, for the first item of a model, the root): that replacement is the moment of publication. Whatever dies
before leaves at most a folder that no document names, which the next publish of the same id replaces.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import posixpath
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog import documents
from modelstac.catalog.base import Catalog, Page, as_item, refuse_pointed_at, refuse_unexpected
from modelstac.catalog.digests import from_multihash
from modelstac.catalog.documents import ROOT, Document
from modelstac.catalog.errors import CatalogError, InvalidItemError, NotFoundError, StorageError
from modelstac.catalog.identity import ALIASES
from modelstac.catalog.messages import Advanced, Finished, Report, Started
from modelstac.catalog.query import Query
from modelstac.catalog.read_item import local_path
from modelstac.catalog.sql.scan import scan
from modelstac.catalog.storage import Folder, Staging, explained
from modelstac.catalog.versions import version_key
from modelstac.catalog.write_item import ITEM_ID_FIELD

# So many items before the latest version link to it; those before lead there by their successors. Otherwise every
# publish would rewrite all versions.
LATEST_LINKS = 10


class StaticCatalog(Catalog):
    """A catalog of JSON documents in a folder.

    Parameters
    ----------
    href
        The folder, or the ``catalog.json`` in it.
    create
        Take a folder that is empty or not there yet as an empty catalog; the first publish writes it.

    Raises
    ------
    CatalogError
        If there is no catalog.
    """

    def __init__(self, href: str | os.PathLike[str], *, create: bool = False) -> None:
        path = local_path(os.fspath(href))
        if path is None:
            raise CatalogError(f"{href} is a URL: catalogs can be opened in folders only, so copy it into one")
        self._folder = Folder(path.parent if path.name == ROOT else path)
        super().__init__(str(self._folder.root))
        if self._folder.exists(ROOT):
            self._root()
        else:
            with explained(f"open {self.href}"):
                self._check_place(create=create)

    def _check_place(self, *, create: bool) -> None:
        root = self._folder.root
        if root.exists() and not root.is_dir():
            raise CatalogError(f"{root} is a file, no catalog: name the folder that holds {ROOT}")
        if any(parent.exists() and not parent.is_dir() for parent in root.parents):
            raise CatalogError(f"{root} cannot be a catalog, a part of the path is a file: name a folder")
        if names := self._folder.names():
            raise CatalogError(
                f"{root} is no catalog: it holds {len(names)} other files or folders and no {ROOT}; "
                "name a catalog, or a new or empty folder to publish into"
            )
        if not create:
            state = "is empty" if root.exists() else "does not exist"
            raise CatalogError(f"no catalog at {root}: the folder {state}; publish into it first or check the path")

    def items(self) -> Iterator[pystac.Item]:
        """Return all items, one after the other."""
        return (self._item(place, collection) for collection, places in self._places() for place in places.values())

    def ids(self) -> Iterator[str]:
        """Return all item ids; no item is read."""
        return (item_id for _, places in self._places() for item_id in places)

    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections, one for every model name."""
        for path in self._collection_paths():
            yield pystac.Collection.from_dict(
                documents.absolute(self._document(path, "Collection"), self._folder.href(path))
            )

    def find(self, item_id: str) -> pystac.Item | None:
        """Return the item, None when there is no such id."""
        found = self._place(item_id)
        return None if found is None else self._item(*found)

    def page(self, query: Query, *, count: bool = False) -> Page:
        """Return one page of the items that a query asks for."""
        items = [item.to_dict(transform_hrefs=False) for item in self.items()]
        aliases = [
            (name, alias, item_id)
            for name in map(_collection_name, self._collection_paths())
            for alias, item_id in self.aliases(name).items()
        ]
        return scan(items, aliases, query, count=count)

    def aliases(self, name: str) -> dict[str, str]:
        """Return the item ids that a model's aliases point to."""
        return dict(sorted(self._collection(name).get(ALIASES, {}).items()))

    def change_alias(self, name: str, alias: str, item_id: str | None, expected: Any) -> None:
        """Point an alias to an item, or remove it."""
        with self._folder.lock():
            collection = self._collection(name)
            aliases = collection.pop(ALIASES, {})
            refuse_unexpected(name, alias, aliases.pop(alias, None), expected)
            if item_id is not None:
                if self._place(item_id) is None:
                    raise NotFoundError(f"no item {item_id!r} in {self.href}: it was deleted meanwhile")
                aliases[alias] = item_id
            self._write(documents.collection_path(name), collection | ({ALIASES: aliases} if aliases else {}))

    def deprecate(self, item_id: str, *, deprecated: bool = True) -> pystac.Item:
        """Mark an item as one that should no longer be used, or take that back; return it."""
        with self._folder.lock():
            place, _ = self._known_place(item_id)
            document = self._document(place, "Feature")
            if bool(document["properties"].get("deprecated")) != deprecated:
                document["properties"] |= {"deprecated": deprecated, "updated": documents.now()}
                self._write(place, document)
        return self.get(item_id)

    def delete(self, item_id: str) -> None:
        """Remove an item and its files."""
        with self._folder.lock():
            place, collection = self._known_place(item_id)
            document = self._document(place, "Feature")
            refuse_pointed_at(item_id, collection["id"], collection.get(ALIASES, {}))
            path = documents.collection_path(collection["id"])
            others = [p for p in _targets(collection, "item", path) if p != place]
            left = (self._document(other, "Feature") for other in others)
            self._write(path, documents.without_item(collection, place, left))
            self._folder.remove(posixpath.dirname(place))
            self._link_versions(path, document)

    def _known_place(self, item_id: str) -> tuple[str, Document]:
        found = self._place(item_id)
        if found is None:
            raise NotFoundError.unknown("item", item_id, self.ids(), where=self.href)
        return found

    def _collection(self, name: str) -> Document:
        path = documents.collection_path(name)
        if path not in (paths := self._collection_paths()):
            raise NotFoundError.unknown("model", name, map(_collection_name, paths), where=self.href)
        return self._document(path, "Collection")

    def _write(self, path: str, document: Document) -> None:
        self._folder.write(path, documents.dump(document))

    def _link_versions(self, path: str, item: Document) -> None:
        """Make the items around a new or deleted one link to their other versions."""
        properties = item["properties"]
        version, variant = properties.get("version"), properties.get("interop:variant")
        if version is None or variant is None:
            return
        ordered = documents.versions_of(self._document(path, "Collection"), variant)
        place = bisect.bisect(ordered, (version_key(version),))
        near = range(max(0, place - 1), min(len(ordered), place + 2))
        # One more than the last, which may still link to what was the latest version before.
        last = range(max(0, len(ordered) - LATEST_LINKS - 2), len(ordered))
        for index in {*near, *last}:
            others = documents.relations(ordered, index)
            if index < len(ordered) - 1 - LATEST_LINKS:
                del others["latest-version"]
            document = self._document(ordered[index][1], "Feature")
            linked = documents.with_versions(document, ordered[index][1], others)
            if linked != document:
                self._write(ordered[index][1], linked)

    def add(self, item: pystac.Item, *, report: Report) -> pystac.Item:
        """Store a validated item and its files atomically and return it as stored."""
        if (published := self.find(item.id)) is not None:
            return self.same_or_refuse(published, item)
        names = _file_names(item)
        with self._folder.staging() as staging:
            self._copy(item, names, staging, report)
            with self._folder.lock():
                # Somebody else may have published it while the files were copied.
                if (published := self.find(item.id)) is not None:
                    return self.same_or_refuse(published, item)
                self._commit(item, names, staging)
                # The item is published, come what may: links that cannot be written now are the next publish's.
                with contextlib.suppress(StorageError):
                    self._link_versions(documents.collection_path(str(item.collection_id)), item.to_dict())
        return self.get(item.id)

    def add_many(self, items: list[pystac.Item], *, report: Report) -> list[pystac.Item]:
        """Store validated items one after the other, once it is sure that none of them will be refused."""
        coming: set[str] = set()
        for item in items:
            if (published := self.find(item.id)) is not None:
                self.same_or_refuse(published, item)
            self._sources(item, coming)
            coming.add(item.id)
        return [self.add(item, report=report) for item in items]

    def _copy(self, item: pystac.Item, names: dict[str, str], staging: Staging, report: Report) -> None:
        task = f"publish {item.id}"
        report(Started(task, len(names)))
        for key, name in names.items():
            asset = item.assets[key]
            path = local_path(asset.get_absolute_href() or asset.href)
            assert path is not None, "only local files have a name in the catalog"
            staging.copy(path, name, sha256=from_multihash(str(asset.extra_fields["file:checksum"])))
            report(Advanced(task, note=name))
        report(Finished(task))

    def _commit(self, item: pystac.Item, names: dict[str, str], staging: Staging) -> None:
        document = documents.item_document(item, names, self._sources(item))
        document["properties"] |= dict.fromkeys(("created", "updated"), documents.now())
        staging.write(f"{item.id}.json", documents.dump(document))
        root = self._root()
        path = documents.collection_path(str(item.collection_id))
        is_new = path not in self._collection_paths(root)
        collection = documents.new_collection(item) if is_new else self._document(path, "Collection")
        if root is None:
            # An empty catalog is a catalog: whoever dies from here on leaves one.
            root = documents.new_root(self._folder.root.name)
            self._folder.write(ROOT, documents.dump(root))
        folder = documents.item_folder(item)
        # If there is such a folder, no document names it (the item was not found): a publish died before its commit.
        self._folder.remove(folder)
        try:
            staging.move_to(folder)
            widened = documents.with_item(collection, item)
            self._folder.write(path, documents.dump(widened))
            if is_new:
                self._folder.write(ROOT, documents.dump(documents.with_collection(root, widened)))
        except BaseException:
            # An interrupt may come just after the commit: then the item is there, and stays.
            if self._place(item.id) is None:
                self._folder.remove(folder)
                if is_new:
                    self._folder.remove(path)
            raise

    def _sources(self, item: pystac.Item, coming: Container[str] = ()) -> dict[str, str]:
        places = {}
        for link in item.get_links("derived_from"):
            source = link.extra_fields.get(ITEM_ID_FIELD)
            if not isinstance(source, str) or source in coming:
                continue
            if (found := self._place(source)) is not None:
                places[source] = found[0]
            elif "://" not in str(link.get_href(transform_href=False)):
                raise NotFoundError.unknown(
                    "item", source, self.ids(), where=self.href, hint=f"Publish the source of {item.id!r} first"
                )
        return places

    def _root(self) -> Document | None:
        return self._document(ROOT, "Catalog") if self._folder.exists(ROOT) else None

    def _document(self, path: str, kind: str) -> Document:
        place = self._folder.href(path)
        data = self._folder.read(path)
        try:
            document = json.loads(data or b"")
        except ValueError as error:
            reason = "is missing" if data is None else "is not JSON"
            raise CatalogError(f"{place} {reason}: no STAC catalog, or a damaged one to restore from a copy") from error
        if not isinstance(document, dict) or document.get("type") != kind or "stac_version" not in document:
            raise CatalogError(f"{place} is no STAC {kind}: name the folder of a STAC catalog")
        return document

    def _item(self, path: str, collection: Document) -> pystac.Item:
        place = self._folder.href(path)
        try:
            document = self._document(path, "Feature")
            # What a killed process left undone, and what is too far from the latest version to link to it on disk.
            ordered = documents.versions_of(collection, document["properties"].get("interop:variant"))
            places = [other for _, other in ordered]
            if path in places:
                others = documents.relations(ordered, places.index(path))
                document = documents.with_versions(document, path, others)
            document = documents.absolute(document, place)
            if aliases := sorted(a for a, item_id in collection.get(ALIASES, {}).items() if item_id == document["id"]):
                document["properties"][ALIASES] = aliases
            return as_item(document)
        except (KeyError, TypeError, AttributeError, pystac.STACError) as error:
            raise CatalogError(f"{place} is no complete STAC item: restore it from a copy") from error

    def _collection_paths(self, root: Document | None = None) -> list[str]:
        root = root or self._root()
        return _targets(root, "child", ROOT) if root else []

    def _places(self, item_id: str = "") -> Iterator[tuple[Document, dict[str, str]]]:
        # The collection whose name begins the id comes first: it is nearly always the right one.
        paths = self._collection_paths()
        for path in sorted(paths, key=lambda path: not item_id.startswith(f"{_collection_name(path)}-")):
            collection = self._document(path, "Collection")
            yield collection, {Path(place).stem: place for place in _targets(collection, "item", path)}

    def _place(self, item_id: str) -> tuple[str, Document] | None:
        """Return the path of an item and the document of its collection."""
        found = ((places[item_id], collection) for collection, places in self._places(item_id) if item_id in places)
        return next(found, None)


def _collection_name(path: str) -> str:
    return posixpath.basename(posixpath.dirname(path))


def _targets(document: Document, rel: str, path: str) -> list[str]:
    links: list[dict[str, Any]] = document.get("links", [])
    return [documents.resolve(link["href"], path) for link in links if link.get("rel") == rel]


def _file_names(item: pystac.Item) -> dict[str, str]:
    """Return the file name of every local asset, by asset key."""
    names: dict[str, str] = {}
    for key, asset in item.assets.items():
        path = local_path(asset.get_absolute_href() or asset.href)
        if path is None:
            continue
        if path.name in {*names.values(), f"{item.id}.json"} or path.name.startswith("."):
            raise InvalidItemError(f"item {item.id!r}: asset {key!r} needs another file name than {path.name!r}")
        names[key] = path.name
    return names
