"""Reading a tree of STAC documents, wherever it lies: what folders and object stores have in common."""

from __future__ import annotations

import bisect
import contextlib
import json
import posixpath
from abc import abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pystac

from modelstac.catalog.base import Catalog, as_item
from modelstac.catalog.errors import CatalogError, InvalidItemError, ModelStacError, NotFoundError
from modelstac.catalog.items import documents
from modelstac.catalog.items.documents import ROOT, Document
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.items.provenance import ITEM_ID_FIELD
from modelstac.catalog.items.reading import local_path
from modelstac.catalog.items.versions import version_key
from modelstac.catalog.messages import Report
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query

# So many items before the latest version link to it; those before lead there by their successors. Otherwise every
# publish would rewrite all versions.
LATEST_LINKS = 10
INDEX = "search.sqlite.gz"
"""The search index beside a catalog whose keeper put one there."""


class TreeCatalog(Catalog):
    """A catalog of JSON documents that link to each other."""

    _at_once = 1

    @abstractmethod
    def _read(self, path: str) -> bytes | None:
        """Return the content of a file, None when it is not there."""

    @abstractmethod
    def _href(self, path: str) -> str:
        """Return the absolute href of a file."""

    def items(self) -> Iterator[pystac.Item]:
        """Return all items, one after the other."""
        return (self._item(place, collection) for collection, places in self._places() for place in places.values())

    def ids(self) -> Iterator[str]:
        """Return all item ids; no item is read."""
        return (item_id for _, places in self._places() for item_id in places)

    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections, one for every model name."""
        for path in self.collection_paths():
            yield pystac.Collection.from_dict(documents.absolute(self._document(path, "Collection"), self._href(path)))

    def find(self, item_id: str) -> pystac.Item | None:
        """Return the item, None when there is no such id."""
        found = self._place(item_id)
        return None if found is None else self._item(*found)

    def page(self, query: Query, *, count: bool = False) -> Page:
        """Return one page of the items that a query asks for, by an index (docs/decisions/0011-shipped-index.md)."""
        from modelstac.catalog.backends.tree_search import Reading
        from modelstac.catalog.search.sql import derived

        reading = Reading(self)
        found = derived.search(reading.content(), query, count=count)
        return Page(tuple(reading.shown(found, query)), found.token, found.matched)

    def write_index(self) -> None:
        """Put the search index beside the catalog, where readers find it instead of reading all documents.

        Raises
        ------
        StorageError, CatalogError
            If it cannot be written, as on the web.
        """
        from modelstac.catalog.backends.tree_search import packed_index

        self._put_index(packed_index(self))

    def index(self) -> bytes | None:
        """Return the index that lies beside the catalog, as it was put there; None without one."""
        return self._read(INDEX)

    @abstractmethod
    def _put_index(self, data: bytes) -> None:
        """Write or replace the index beside the catalog."""

    @abstractmethod
    def tags(self) -> dict[str, str] | None:
        """Return what changes with each document, by its path, None where that cannot be told."""

    def read_all(self, paths: Iterable[str], kind: str) -> list[Document]:
        """Return the documents at some paths, read at once where the way is long."""
        if self._at_once == 1:
            return [self._document(path, kind) for path in paths]
        with ThreadPoolExecutor(self._at_once) as threads:
            return list(threads.map(lambda path: self._document(path, kind), paths))

    def add_many(self, items: list[pystac.Item], *, report: Report) -> Sequence[pystac.Item]:
        """Store validated items one after the other, once it is sure that none of them will be refused."""
        coming: set[str] = set()
        for item in items:
            if (published := self.find(item.id)) is not None:
                self.same_or_refuse(published, item)
            self._sources(item, coming)
            coming.add(item.id)
        return [self.add(item, report=report) for item in items]

    def aliases(self, name: str) -> dict[str, str]:
        """Return the item ids that a model's aliases point to."""
        return dict(sorted(self._collection(name).get(ALIASES, {}).items()))

    def _known_place(self, item_id: str) -> tuple[str, Document]:
        found = self._place(item_id)
        if found is None:
            raise NotFoundError.unknown("item", item_id, self.ids(), where=self.href)
        return found

    def _collection(self, name: str) -> Document:
        path = documents.collection_path(name)
        if path not in (paths := self.collection_paths()):
            raise NotFoundError.unknown("model", name, map(collection_name, paths), where=self.href)
        return self._document(path, "Collection")

    def _root(self) -> Document | None:
        return self._document(ROOT, "Catalog") if self._read(ROOT) is not None else None

    def _document(self, path: str, kind: str) -> Document:
        place = self._href(path)
        data = self._read(path)
        try:
            document = json.loads(data or b"")
        except ValueError as error:
            reason = "is missing" if data is None else "is not JSON"
            raise CatalogError(f"{place} {reason}: no STAC catalog, or a damaged one to restore from a copy") from error
        if not isinstance(document, dict) or document.get("type") != kind or "stac_version" not in document:
            raise CatalogError(f"{place} is no STAC {kind}: name the folder of a STAC catalog")
        return document

    def _item(self, path: str, collection: Document) -> pystac.Item:
        with self._whole(path):
            return as_item(self.shown(path, self._document(path, "Feature"), collection))

    @contextlib.contextmanager
    def _whole(self, path: str) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, AttributeError, pystac.STACError) as error:
            if isinstance(error, ModelStacError):
                raise
            raise CatalogError(f"{self._href(path)} is no complete STAC item: restore it from a copy") from error

    def shown(
        self, path: str, document: Document, collection: Document, ordered: list[tuple[str, str]] | None = None
    ) -> Document:
        """Return an item's document as readers see it: absolute hrefs, links to other versions, aliases.

        Parameters
        ----------
        ordered
            The versions of its variant, where they are known already.
        """
        place = self._href(path)
        with self._whole(path):
            # What a killed process left undone, and what is too far from the latest version to link to it on disk.
            if ordered is None:
                ordered = documents.versions_of(collection, document["properties"].get("interop:variant"))
            places = [other for _, other in ordered]
            if path in places:
                others = documents.relations(ordered, places.index(path))
                document = documents.with_versions(document, path, others)
            document = documents.absolute(document, place)
            if "://" in place and not place.startswith("http"):
                # pystac would follow them, and cannot.
                document["links"] = [f for f in document["links"] if f["rel"] not in {"root", "parent"}]
            if aliases := sorted(a for a, item_id in collection.get(ALIASES, {}).items() if item_id == document["id"]):
                document["properties"][ALIASES] = aliases
            return document

    def collection_paths(self, root: Document | None = None) -> list[str]:
        """Return the paths of all collections."""
        root = root or self._root()
        return documents.targets(root, "child", ROOT) if root else []

    def _places(self, item_id: str = "") -> Iterator[tuple[Document, dict[str, str]]]:
        # The collection whose name begins the id comes first: it is nearly always the right one.
        paths = self.collection_paths()
        for path in sorted(paths, key=lambda path: not item_id.startswith(f"{collection_name(path)}-")):
            collection = self._document(path, "Collection")
            yield collection, {Path(place).stem: place for place in documents.targets(collection, "item", path)}

    def _place(self, item_id: str) -> tuple[str, Document] | None:
        """Return the path of an item and the document of its collection."""
        found = ((places[item_id], collection) for collection, places in self._places(item_id) if item_id in places)
        return next(found, None)

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

    @abstractmethod
    def _change(self, path: str, change: Callable[[Document], Document]) -> None:
        """Replace an item's document by what a function makes of it, in one step."""

    def _link_versions(self, path: str, item: Document) -> None:
        """Make the items around a new or deleted one link to their other versions."""
        properties = item["properties"]
        version, variant = properties.get("version"), properties.get("interop:variant")
        if version is None or variant is None:
            return
        ordered = documents.versions_of(self._document(path, "Collection"), variant)
        position = bisect.bisect(ordered, (version_key(version),))
        near = range(max(0, position - 1), min(len(ordered), position + 2))
        # One more than the last, which may still link to what was the latest version before.
        last = range(max(0, len(ordered) - LATEST_LINKS - 2), len(ordered))
        for index in {*near, *last}:
            others = documents.relations(ordered, index)
            if index < len(ordered) - 1 - LATEST_LINKS:
                del others["latest-version"]
            place = ordered[index][1]
            self._change(place, partial(documents.with_versions, here=place, others=others))


def collection_name(path: str) -> str:
    """Return the name of the model whose collection is at a path."""
    return posixpath.basename(posixpath.dirname(path))


def file_names(item: pystac.Item) -> dict[str, str]:
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
