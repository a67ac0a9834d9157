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

from modelstac.catalog.backends.branches import BRANCH, Branch, holds_items
from modelstac.catalog.backends.oddities import oddity
from modelstac.catalog.errors import CatalogError, ModelStacError, StorageError
from modelstac.catalog.items import documents
from modelstac.catalog.items.documents import Document, as_item
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

    def tag(self, path: str) -> str | None:
        """Return what changes with a document that is not among those; None where that cannot be told."""
        ...

    def top(self) -> list[str]:
        """Return the paths of what the root links to, and of the root where it has items of its own."""
        ...

    def below(self, document: Document, path: str) -> list[str]:
        """Return the paths of the catalogs and collections that a document links to."""
        ...

    def items_of(self, document: Document, path: str) -> list[str]:
        """Return the paths of the items that a document links to."""
        ...

    def versions(self, branch: Branch, variant: str | None) -> list[tuple[str, str]]:
        """Return the sortable version and the path of every item of one variant."""
        ...

    def tried(self, paths: Iterable[str], kind: str | tuple[str, ...]) -> list[Document | CatalogError]:
        """Return the documents at some paths; of one that is none, what is wrong with it."""
        ...

    def index(self) -> bytes | None:
        """Return the index that lies beside the catalog; None without one."""
        ...

    def shown(
        self, path: str, document: Document, branch: Branch, ordered: list[tuple[str, str]] | None = None
    ) -> Document:
        """Return an item's document as readers see it."""
        ...


class Reading:
    """What one search reads of a catalog; each collection once."""

    def __init__(self, catalog: Tree) -> None:
        self._catalog = catalog
        self._read: dict[str, Document] = {}
        self._problems: dict[str, str] = {}
        self._ordered: dict[tuple[str, str | None], list[tuple[str, str]]] = {}

    @cached_property
    def _tags(self) -> dict[str, str] | None:
        return self._catalog.tags()

    def _collections(self, paths: Iterable[str] | None = None) -> dict[str, Document]:
        wanted: list[str] = []
        level = self._catalog.top() if paths is None else sorted(set(paths))
        while level:
            self._get(level)
            wanted += level
            known = [(path, self._read[path]) for path in level if path in self._read]
            below = [child for path, found in known for child in self._catalog.below(found, path)]
            level = [] if paths is not None else sorted(set(below).difference(wanted))
        return {path: self._read[path] for path in wanted if path in self._read and holds_items(self._read[path])}

    def _get(self, paths: Iterable[str]) -> None:
        missing = [path for path in paths if path not in self._read and path not in self._problems]
        for path, found in zip(missing, self._catalog.tried(missing, BRANCH), strict=True):
            problem = str(found) if isinstance(found, CatalogError) else oddity(found)
            if problem is not None:
                self._problems[path] = problem
            elif not isinstance(found, CatalogError):
                self._read[path] = found

    def content(self) -> derived.Content:
        """Return what an index of the catalog is derived from."""
        known = self._collections() if self._tags is None else self._tags
        stamp = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
        return derived.Content(
            self._catalog.href, stamp, self._sources, self._raw, lambda: self._problems, self._aliases, self._shipped
        )

    def _sources(self) -> dict[str, tuple[str, str | None]]:
        return {
            place: (path, self._tag(place))
            for path, collection in self._collections().items()
            for place in self._catalog.items_of(collection, path)
        }

    def _tag(self, path: str) -> str | None:
        if self._tags is None:
            return None
        # A document behind a link is among them by another name.
        return self._tags.get(path) or self._catalog.tag(path)

    def _raw(self, paths: Iterable[str]) -> Iterator[Document | str]:
        wanted = list(paths)
        branches = self._collections().items()
        names = {place: found["id"] for path, found in branches for place in self._catalog.items_of(found, path)}
        for path, found in zip(wanted, self._catalog.tried(wanted, "Feature"), strict=True):
            yield self._current(found, names[path])

    def _current(self, document: Document | CatalogError, collection: str) -> Document | str:
        """Return an item as the current version of STAC has it, in the collection that links to it."""
        problem = str(document) if isinstance(document, CatalogError) else oddity(document)
        if problem is not None or isinstance(document, CatalogError):
            return str(problem)
        document |= {"collection": collection}
        import pystac

        if document["stac_version"] == pystac.get_stac_version():
            return document
        try:
            return as_item(document).to_dict(include_self_link=False, transform_hrefs=False)
        except Exception as error:  # noqa: BLE001 - pystac's migrations raise whatever comes
            return " ".join(f"it cannot be read: {type(error).__name__}: {error}".split())[:200]

    def _aliases(self) -> Iterator[derived.Alias]:
        for collection in self._collections().values():
            for alias, item_id in documents.aliases_of(collection).items():
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
            fresh = self._catalog.tried([path for path, _, _ in items], "Feature")
            names = {place: found["id"] for place, found in self._collections(place for _, place, _ in items).items()}
            items = [
                (path, place, document)
                for (path, place, _), found in zip(items, fresh, strict=True)
                if not isinstance(document := self._current(found, names[place]), str)
            ]
        collections = self._collections(place for _, place, _ in items)
        for path, place, document in items:
            variant = document["properties"].get("interop:variant")
            if (place, variant) not in self._ordered:
                self._ordered[place, variant] = self._catalog.versions(Branch(place, collections[place]), variant)
            branch = Branch(place, collections[place])
            item = self._catalog.shown(path, document, branch, self._ordered[place, variant])
            if self._tags is not None or _still_matches(query, item):
                yield reduced(item, query.fields)


def _still_matches(query: Query, item: Document) -> bool:
    from modelstac.catalog.search.matching import matches  # not at the top: what lies in a folder is not judged again

    return matches(query, as_item(copy.deepcopy(item)))


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
