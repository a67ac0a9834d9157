"""Reading a tree of STAC documents, wherever it lies: what folders and object stores have in common."""

from __future__ import annotations

import bisect
import contextlib
import heapq
import json
from abc import abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.backends.branches import (
    BRANCH,
    Branch,
    Inside,
    begins,
    collection_name,
    holds_items,
    is_named_by_id,
)
from modelstac.catalog.backends.oddities import oddity
from modelstac.catalog.backends.storage import NoDocumentError
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import AmbiguousError, CatalogError, InvalidItemError, ModelStacError, NotFoundError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import checking, merging
from modelstac.catalog.items.collections.merging import Change
from modelstac.catalog.items.documents import ROOT, Document, as_item
from modelstac.catalog.items.identity import ALIASES, in_collection, reference
from modelstac.catalog.items.links import ITEM_ID_FIELD, local_file
from modelstac.catalog.items.versions import version_key
from modelstac.catalog.messages import Report
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query

if TYPE_CHECKING:
    import pystac

# So many items before the latest version link to it; those before lead there by their successors. Otherwise every
# publish would rewrite all versions.
LATEST_LINKS = 10
INDEX = "search.sqlite.gz"
"""The search index beside a catalog whose keeper put one there."""


def _of_incomplete() -> tuple[type[Exception], ...]:
    import pystac

    return LookupError, TypeError, ValueError, AttributeError, pystac.STACError, pystac.STACTypeError


class TreeCatalog(Catalog):
    """A catalog of JSON documents that link to each other."""

    _at_once = 1

    def __init__(self, href: str) -> None:
        super().__init__(href)
        self._inside = Inside(href)

    @abstractmethod
    def _read(self, path: str) -> bytes | None:
        """Return the content of a file, None when it is not there."""

    @abstractmethod
    def _href(self, path: str) -> str:
        """Return the absolute href of a file."""

    def items(self) -> Iterator[pystac.Item]:
        """Return all items, one after the other."""
        return (self._item(place, branch) for branch, places in self._places() for place in places)

    def references(self) -> Iterator[str]:
        """Return ``collection/id`` of all items; no item is read where each is its file's name, as here."""
        named = list(self._places())
        if all(is_named_by_id(place) for _, places in named for place in places):
            return (reference(branch.name, Path(place).stem) for branch, places in named for place in places)
        found = self.page(Query(fields=("id",))).documents
        return (reference(document.get("collection"), document["id"]) for document in found)

    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections, one for every model name."""
        import pystac

        for document in self.collection_documents():
            # Others' collections may be of earlier versions, which pystac brings to this one by whatever it raises.
            with contextlib.suppress(*_of_incomplete()):
                yield pystac.Collection.from_dict(_unled(document, self.href))

    def collection_documents(self) -> Iterator[Document]:
        """Return all collections as JSON, as they are kept but with absolute hrefs."""
        found = (branch for branch in self._branches() if branch.document["type"] == "Collection")
        return (documents.absolute(branch.document, self._href(branch.path)) for branch in found)

    def find(self, item_id: str) -> pystac.Item | None:
        """Return the item with an id, which may be ``collection/id``; None when there is none."""
        found = self._place(item_id)
        return None if found is None else self._item(*found)

    def page(self, query: Query, *, count: bool = False) -> Page:
        """Return one page of the items that a query asks for, by an index (docs/decisions/0011-shipped-index.md)."""
        from modelstac.catalog.backends.tree_search import Reading
        from modelstac.catalog.search.sql import derived

        reading = Reading(self)
        found = derived.search(reading.content(), query, count=count)
        return Page(tuple(reading.shown(found, query)), found.token, found.matched, found.notes)

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

    def tag(self, path: str) -> str | None:  # noqa: ARG002 - what lies elsewhere cannot be told
        """Return what changes with a document that is not among those; None where that cannot be told."""
        return None

    def tried(self, paths: Iterable[str], kind: str | tuple[str, ...]) -> list[Document | CatalogError]:
        """Return the documents at some paths, at once where the way is long; of one that is none, what is wrong."""
        if self._at_once == 1:
            return [self._tried(path, kind) for path in paths]
        from concurrent.futures import ThreadPoolExecutor  # not at the top: folders have no use for it

        with ThreadPoolExecutor(self._at_once) as threads:
            return list(threads.map(lambda path: self._tried(path, kind), paths))

    def _tried(self, path: str, kind: str | tuple[str, ...]) -> Document | CatalogError:
        try:
            return self._document(path, kind)
        except CatalogError as error:
            return error
        except NoDocumentError as error:
            return CatalogError(str(error))

    def _branches(self, first: str = "") -> Iterator[Branch]:
        """Yield each collection, and each catalog with items of its own, that can be read; a search names the others.

        Parameters
        ----------
        first
            Collections whose name this begins with come first: for an id, nearly always the right one.
        """

        def ranked(path: str) -> tuple[bool, bool, int, str]:
            seen.add(path)
            return path != ROOT, not begins(first, collection_name(path)), len(seen), path

        seen: set[str] = set()
        waiting = [ranked(path) for path in self.top()]
        heapq.heapify(waiting)
        while waiting:
            *_, path = heapq.heappop(waiting)
            found = self._tried(path, BRANCH)
            if isinstance(found, CatalogError) or oddity(found) is not None:
                continue
            if holds_items(found):
                yield Branch(path, found)
            for child in self.below(found, path):
                if child not in seen:
                    heapq.heappush(waiting, ranked(child))

    def top(self) -> list[str]:
        """Return the paths of what the root links to, and of the root where it has items of its own."""
        root = self._root()
        self._inside.learn(root)
        if root is None:
            return []
        found = sorted(self._inside.targets(root, "child", ROOT))
        return [ROOT, *found] if holds_items(root) else found

    def below(self, document: Document, path: str) -> list[str]:
        """Return the paths of the catalogs and collections that a document, itself at a path, links to."""
        return [] if path == ROOT else sorted(self._inside.targets(document, "child", path))

    def items_of(self, document: Document, path: str) -> list[str]:
        """Return the paths of the items that a document, itself at a path, links to."""
        return self._inside.targets(document, "item", path)

    def add_many(self, items: list[pystac.Item], *, report: Report) -> Sequence[pystac.Item]:
        """Store validated items one after the other, once it is sure that none of them will be refused."""
        coming: set[str] = set()
        for item in items:
            if (published := self.find(f"{item.collection_id}/{item.id}")) is not None:
                self.same_or_refuse(published, item)
            self._sources(item, coming)
            coming.add(item.id)
        return [self.add(item, report=report) for item in items]

    def aliases(self, name: str) -> dict[str, str]:
        """Return the item ids that a model's aliases point to."""
        return dict(sorted(documents.aliases_of(self._collection(name)).items()))

    def _got(self, item_id: str) -> pystac.Item:
        """Return an item, whatever its file is called."""
        return self._item(*self._known_place(self.pointed(item_id) if "@" in item_id else item_id))

    def _known_place(self, item_id: str) -> tuple[str, Branch]:
        found = self._place(item_id)
        if found is None:
            # Before it is said not to be there: only the index tells which ids are in files of other names.
            name, plain = in_collection(item_id)
            found = next(self._looked_up(name, plain), None)
        if found is None:
            raise NotFoundError.unknown("item", item_id, self.ids(), where=self.href)
        return found

    def _collection(self, name: str) -> Document:
        return self._branch(name).document

    def _branch(self, name: str) -> Branch:
        found = self._find_branch(name)
        if found is None:
            raise NotFoundError.unknown("model", name, (branch.name for branch in self._branches()), where=self.href)
        return found

    def _find_branch(self, name: str) -> Branch | None:
        """Return the collection with a name, wherever it lies, None when there is none."""
        named = (branch for branch in self._branches(name) if branch.name == name)
        return next((branch for branch in named if branch.document["type"] == "Collection"), None)

    def _root(self) -> Document | None:
        root = self._document(ROOT, "Catalog") if self._read(ROOT) is not None else None
        if root is not None and (reason := oddity(root)) is not None:
            raise CatalogError(f"{self._href(ROOT)} cannot be read: {reason}")
        return root

    def _document(self, path: str, kind: str | tuple[str, ...]) -> Document:
        kinds = (kind,) if isinstance(kind, str) else kind
        if "://" in path:
            raise CatalogError("it is in another place than this catalog: open that one by its own address")
        place = self._href(path)
        data = self._read(path)
        try:
            document = json.loads(data or b"", parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            reason = "is missing" if data is None else f"is not JSON ({error})"
            raise CatalogError(f"{place} {reason}: no STAC catalog, or a damaged one to restore from a copy") from error
        if not isinstance(document, dict) or document.get("type") not in kinds or "stac_version" not in document:
            raise CatalogError(f"{place} is no STAC {' or '.join(kinds)}: name the folder of a STAC catalog")
        return document

    def _feature(self, path: str) -> Document:
        """Return an item's document, in which all that is read is what it should be."""
        document = self._document(path, "Feature")
        if (reason := oddity(document)) is not None:
            raise CatalogError(f"{self._href(path)} is no complete STAC item: {reason}; restore it from a copy")
        return document

    def _item(self, path: str, branch: Branch) -> pystac.Item:
        with self._whole(path):
            return as_item(self.shown(path, self._feature(path), branch))

    @contextlib.contextmanager
    def _whole(self, path: str) -> Iterator[None]:
        try:
            yield
        except _of_incomplete() as error:
            if isinstance(error, ModelStacError):
                raise
            raise CatalogError(f"{self._href(path)} is no complete STAC item: restore it from a copy") from error

    def shown(
        self, path: str, document: Document, branch: Branch, ordered: list[tuple[str, str]] | None = None
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
                ordered = self.versions(branch, document["properties"].get("interop:variant"))
            places = [other for _, other in ordered]
            if path in places:
                others = documents.relations(ordered, places.index(path))
                document = documents.with_versions(document, path, others)
            document = _unled(documents.absolute(document, place), place)
            document.setdefault("collection", branch.name)
            pointing = documents.aliases_of(branch.document).items()
            if aliases := sorted(alias for alias, item_id in pointing if item_id == document["id"]):
                document["properties"][ALIASES] = aliases
            return document

    def versions(self, branch: Branch, variant: str | None) -> list[tuple[str, str]]:
        """Return the sortable version and the path of every item of one variant, from the first to the last."""
        return self._inside.versions(branch, variant)

    def _places(self) -> Iterator[tuple[Branch, list[str]]]:
        for branch in self._branches():
            yield branch, self.items_of(branch.document, branch.path)

    def leaves(self) -> Iterator[tuple[Branch, list[tuple[str, Document]]]]:
        """Yield each collection with the paths and documents, as written, of its items; odd ones are left out."""
        for branch, places in self._places():
            found = zip(places, self.tried(places, "Feature"), strict=True)
            yield branch, [(p, d) for p, d in found if not isinstance(d, CatalogError) and oddity(d) is None]

    def _place(self, reference: str) -> tuple[str, Branch] | None:
        """Return the path of an item and what holds it.

        Ours bear the name of their item; others' are looked up in the index, as only that tells which id a file has.
        """
        name, item_id = in_collection(reference)
        found, others = [], False
        for branch in self._branches(item_id if name is None else name):
            if name in {None, branch.name}:
                places = self.items_of(branch.document, branch.path)
                others = others or not all(map(is_named_by_id, places))
                found += [(place, branch) for place in places if Path(place).stem == item_id]
            if found and not others and (name is not None or begins(item_id, branch.name)):
                break  # what is published here has the name of its collection before its own
        if others:
            found = list(self._looked_up(name, item_id))
        if len(found) > 1:
            raise AmbiguousError.same_id(item_id, [branch.name for _, branch in found], where=self.href)
        return found[0] if found else None

    def _looked_up(self, name: str | None, item_id: str) -> Iterator[tuple[str, Branch]]:
        from modelstac.catalog.backends.tree_search import Reading
        from modelstac.catalog.search.sql import derived

        query = Query(ids=(item_id,), collections=None if name is None else (name,))
        for path, place, _ in derived.search(Reading(self).content(), query, count=False).items:
            yield path, Branch(place, self._document(place, BRANCH))

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

    def _saying(self, stored: Document | None, path: str, change: Change) -> Document:
        """Return the collection at a path, or a new one, that says what a function makes of what it says."""
        if stored is None:
            changed, up = change(None), documents.relative(ROOT, path)
            changed |= {"links": [documents.link("root", up), documents.link("parent", up), *changed["links"]]}
        else:
            changed = merging.changed(stored, change, self._href(path))
        if changed != stored:
            checking.check_collection(changed)
        return changed

    @abstractmethod
    def _change(self, path: str, change: Callable[[Document], Document]) -> None:
        """Replace an item's document by what a function makes of it, in one step."""

    def _link_versions(self, path: str, item: Document) -> None:
        """Make the items around a new or deleted one link to their other versions."""
        properties = item["properties"]
        version, variant = properties.get("version"), properties.get("interop:variant")
        if version is None or variant is None:
            return
        ordered = self.versions(Branch(path, self._document(path, BRANCH)), variant)
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


def _unled(document: Document, place: str) -> Document:
    """Return a document of an object store without the links that pystac would follow, and cannot."""
    if "://" not in place or place.startswith("http"):
        return document
    return document | {"links": [found for found in document["links"] if found["rel"] not in {"root", "parent"}]}


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def file_names(item: pystac.Item) -> dict[str, str]:
    """Return the file name of every local asset, by asset key."""
    names: dict[str, str] = {}
    for key, asset in item.assets.items():
        path = local_file(asset)
        if path is None:
            continue
        if path.name in {*names.values(), f"{item.id}.json"} or path.name.startswith("."):
            raise InvalidItemError(f"item {item.id!r}: asset {key!r} needs another file name than {path.name!r}")
        names[key] = path.name
    return names
