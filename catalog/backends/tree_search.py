"""One search in a tree of documents: what the index is made of, and items from what it says."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pystac

from modelstac.catalog.base import as_item
from modelstac.catalog.errors import ModelStacError, StorageError
from modelstac.catalog.items import documents
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.search.matching import matches
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql import derived
from modelstac.catalog.search.sql.fields import reduced

_CHUNK, _LARGEST = 1 << 20, 8 << 30


class Tree(Protocol):
    """What a search reads of a catalog: :class:`modelstac.catalog.backends.tree.TreeCatalog` is one."""

    href: str

    def tags(self) -> dict[str, str] | None:
        """Return what changes with each document, by its path, None where that cannot be told."""
        ...

    def collection_paths(self) -> list[str]:
        """Return the paths of all collections."""
        ...

    def read_all(self, paths: Iterable[str], kind: str) -> list[Document]:
        """Return the documents at some paths."""
        ...

    def index(self) -> bytes | None:
        """Return the index that lies beside the catalog; None without one."""
        ...

    def shown(
        self, path: str, document: Document, collection: Document, ordered: list[tuple[str, str]] | None = None
    ) -> Document:
        """Return an item's document as readers see it."""
        ...


class Reading:
    """What one search reads of a catalog; each collection once."""

    def __init__(self, catalog: Tree) -> None:
        self._catalog = catalog
        self._read: dict[str, Document] = {}
        self._ordered: dict[tuple[str, str | None], list[tuple[str, str]]] = {}

    @cached_property
    def _tags(self) -> dict[str, str] | None:
        return self._catalog.tags()

    def _collections(self, paths: Iterable[str] | None = None) -> dict[str, Document]:
        wanted = self._catalog.collection_paths() if paths is None else sorted(set(paths))
        missing = [path for path in wanted if path not in self._read]
        self._read |= zip(missing, self._catalog.read_all(missing, "Collection"), strict=True)
        return {path: self._read[path] for path in wanted}

    def content(self) -> derived.Content:
        """Return what an index of the catalog is derived from."""
        known = self._collections() if self._tags is None else self._tags
        stamp = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
        return derived.Content(self._catalog.href, stamp, self._sources, self._raw, self._aliases, self._shipped)

    def _sources(self) -> dict[str, tuple[str, str | None]]:
        return {
            place: (path, (self._tags or {}).get(place))
            for path, collection in self._collections().items()
            for place in documents.targets(collection, "item", path)
        }

    def _raw(self, paths: Iterable[str]) -> Iterator[Document]:
        for document in self._catalog.read_all(paths, "Feature"):
            if document["stac_version"] == pystac.get_stac_version():
                yield document
            else:
                yield as_item(document).to_dict(include_self_link=False, transform_hrefs=False)

    def _aliases(self) -> Iterator[derived.Alias]:
        for collection in self._collections().values():
            for alias, item_id in collection.get(ALIASES, {}).items():
                yield collection["id"], alias, item_id

    def _shipped(self, target: Path) -> bool:
        packed, size = target.with_suffix(".gz"), 0
        try:
            packed.write_bytes(self._catalog.index() or b"")
            with gzip.open(packed) as source, target.open("wb") as file:
                while chunk := source.read(_CHUNK):
                    size += len(chunk)
                    if size > _LARGEST:
                        return False
                    file.write(chunk)
        except (EOFError, ModelStacError, OSError):
            return False
        finally:
            packed.unlink(missing_ok=True)
        return True

    def shown(self, found: derived.Found, query: Query) -> Iterator[Document]:
        """Yield the items that an index found as readers see them, reduced to what the query asks for."""
        items = found.items
        if self._tags is None:
            # Whether one has changed since it was indexed can only be told by looking: it is read and judged again.
            fresh = self._catalog.read_all([path for path, _, _ in items], "Feature")
            items = [(path, place, document) for (path, place, _), document in zip(items, fresh, strict=True)]
        collections = self._collections(place for _, place, _ in items)
        for path, place, document in items:
            variant = document["properties"].get("interop:variant")
            if (place, variant) not in self._ordered:
                self._ordered[place, variant] = documents.versions_of(collections[place], variant)
            item = self._catalog.shown(path, document, collections[place], self._ordered[place, variant])
            if self._tags is not None or matches(query, as_item(copy.deepcopy(item))):
                yield reduced(item, query.fields)


def packed_index(catalog: Tree) -> bytes:
    """Return the index of a catalog as it is put beside it.

    Raises
    ------
    StorageError
        If the user's cache cannot be written.
    """
    try:
        return gzip.compress(derived.current(Reading(catalog).content()).read_bytes())
    except OSError as error:
        raise StorageError.doing("make the index in the user's cache", error) from error
