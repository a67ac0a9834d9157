"""The static catalog: a self-contained tree of JSON documents and files, readable by any STAC client.

Publishing prepares an item's folder out of sight, moves it to its place and then replaces one document, the
collection (or, for the first item of a model, the root): that replacement is the moment of publication. Whatever dies
before leaves at most a folder that no document names, which the next publish of the same id replaces.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Callable, Sequence
from typing import Any

import pystac

from modelstac.catalog.backends.storage import Folder, Staging, explained
from modelstac.catalog.backends.tree import INDEX, TreeCatalog, file_names
from modelstac.catalog.base import refuse_pointed_at, refuse_unexpected
from modelstac.catalog.errors import CatalogError, NotFoundError, StorageError
from modelstac.catalog.items import documents
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.documents import ROOT, Document
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.items.reading import local_path
from modelstac.catalog.messages import Advanced, Finished, Report, Started


class StaticCatalog(TreeCatalog):
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
            raise CatalogError(f"{href} is a URL, no folder: open_catalog opens URLs too")
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

    def _read(self, path: str) -> bytes | None:
        return self._folder.read(path)

    def _href(self, path: str) -> str:
        return self._folder.href(path)

    def tags(self) -> dict[str, str]:
        """Return what changes with each document, by its path."""
        return self._folder.tags(".json")

    def _put_index(self, data: bytes) -> None:
        self._folder.write(INDEX, data)

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

    def attach(self, item_id: str, key: str, asset: dict[str, Any]) -> pystac.Item:
        """Put evidence on a published item; return it."""
        with self._folder.lock():
            place, _ = self._known_place(item_id)
            self._write(place, documents.with_evidence(self._document(place, "Feature"), key, asset))
        return self.get(item_id)

    def add_verified(self, item_id: str, environments: Sequence[dict[str, Any]]) -> pystac.Item:
        """Add environments in which a published item was found to run; return it."""
        with self._folder.lock():
            place, _ = self._known_place(item_id)
            self._change(place, lambda document: documents.verified(document, environments))
        return self.get(item_id)

    def delete(self, item_id: str) -> None:
        """Remove an item and its files."""
        with self._folder.lock():
            place, collection = self._known_place(item_id)
            document = self._document(place, "Feature")
            refuse_pointed_at(item_id, collection["id"], collection.get(ALIASES, {}))
            path = documents.collection_path(collection["id"])
            others = [p for p in documents.targets(collection, "item", path) if p != place]
            left = (self._document(other, "Feature") for other in others)
            self._write(path, documents.without_item(collection, place, left))
            self._folder.remove(posixpath.dirname(place))
            self._link_versions(path, document)

    def _change(self, path: str, change: Callable[[Document], Document]) -> None:
        document = self._document(path, "Feature")
        if (changed := change(document)) != document:
            self._write(path, changed)

    def _write(self, path: str, document: Document) -> None:
        self._folder.write(path, documents.dump(document))

    def add(self, item: pystac.Item, *, report: Report) -> pystac.Item:
        """Store a validated item and its files atomically and return it as stored."""
        if (published := self.find(item.id)) is not None:
            return self.same_or_refuse(published, item)
        names = file_names(item)
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
        is_new = path not in self.collection_paths(root)
        if is_new:
            collection = documents.new_collection(str(item.collection_id), item.properties)
        else:
            collection = self._document(path, "Collection")
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
