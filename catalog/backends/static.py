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
from typing import TYPE_CHECKING, Any

from modelstac.catalog.backends.branches import BRANCH, Branch
from modelstac.catalog.backends.oddities import oddity
from modelstac.catalog.backends.storage import Folder, Staging, explained
from modelstac.catalog.backends.tree import INDEX, TreeCatalog, file_names
from modelstac.catalog.errors import CatalogError, NotFoundError, StorageError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import checking, widening
from modelstac.catalog.items.collections.merging import Change
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.documents import ROOT, Document
from modelstac.catalog.items.identity import ALIASES, RULES, about, about_all
from modelstac.catalog.items.links import PAGE_FIELD, local_path
from modelstac.catalog.messages import Advanced, Finished, Report, Started
from modelstac.catalog.rules import refuse_pointed_at, refuse_unexpected, refuse_unfit, with_rule

if TYPE_CHECKING:
    import pystac


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

    def tag(self, path: str) -> str | None:
        """Return the same for one document."""
        return self._folder.tag(path)

    def _put_index(self, data: bytes) -> None:
        self._folder.write(INDEX, data)

    def read_file(self, path: str) -> bytes | None:
        """Return the content of any file of the catalog, None when it is not there."""
        return self._folder.read(path)

    def write_page(self, path: str, page: bytes) -> None:
        """Write or replace a page for people beside the documents."""
        self._folder.write(path, page)

    def link_page(self, name: str, page: str) -> None:
        """Make a model's collection and items lead to its page, by a link that no copy of them takes along.

        Parameters
        ----------
        name
            Of the model.
        page
            Path of the page.
        """
        with self._folder.lock():
            branch = self._branch(name)
            for path in (branch.path, *self.items_of(branch.document, branch.path)):
                document = self._tried(path, (*BRANCH, "Feature"))
                if isinstance(document, CatalogError) or oddity(document) is not None:
                    continue
                kept = [found for found in document["links"] if PAGE_FIELD not in found]
                links = [*kept, about(documents.relative(page, path), name)]
                if links != document["links"]:
                    self._write(path, document | {"links": links})

    def link_list(self, page: str) -> None:
        """Make the catalog's root lead to the list of its models, at a path."""
        with self._folder.lock():
            root, led = self._root(), about_all(documents.relative(page, ROOT))
            if root is not None and led not in root["links"]:
                self._write(ROOT, root | {"links": [*root["links"], led]})

    def change_collection(self, name: str, change: Change) -> None:
        """Make a collection say what a function makes of what it says, or make a new one."""
        with self._folder.lock():
            branch = self._find_branch(name)
            if branch is None:
                checking.check_name(name)
            path = self._free_path(name) if branch is None else branch.path
            # Where no link leads to it, whoever made it died before the root had one.
            before = self._document(path, "Collection") if self._folder.exists(path) else None
            changed = self._saying(before, path, change)
            if changed != before:
                self._write(path, changed)
            if branch is None:
                root = self._root() or documents.new_root(self._folder.root.name)
                self._write(ROOT, documents.with_collection(root, changed, path))

    def change_alias(self, name: str, alias: str, item_id: str | None, expected: Any) -> None:
        """Point an alias to an item, or remove it."""
        with self._folder.lock():
            branch = self._branch(name)
            collection = dict(branch.document)
            aliases = documents.aliases_of(collection)
            collection.pop(ALIASES, None)
            refuse_unexpected(name, alias, aliases.pop(alias, None), expected)
            if item_id is not None:
                if (place := self._place(f"{name}/{item_id}")) is None:
                    raise NotFoundError(f"no item {item_id!r} in {self.href}: it was deleted meanwhile")
                refuse_unfit(name, alias, self._feature(place[0]), collection.get(RULES))
                aliases[alias] = item_id
            self._write(branch.path, collection | ({ALIASES: aliases} if aliases else {}))

    def protect_alias(self, name: str, alias: str, required: Sequence[str]) -> None:
        """Let an alias of a model point only to items that show what is required."""
        with self._folder.lock():
            branch = self._branch(name)
            self._write(branch.path, with_rule(branch.document, alias, required))

    def deprecate(self, item_id: str, *, deprecated: bool = True) -> pystac.Item:
        """Mark an item as one that should no longer be used, or take that back; return it."""
        with self._folder.lock():
            place, _ = self._known_place(item_id)
            document = self._feature(place)
            if bool(document["properties"].get("deprecated")) != deprecated:
                document["properties"] |= {"deprecated": deprecated, "updated": documents.now()}
                self._write(place, document)
        return self.get(item_id)

    def attach(self, item_id: str, key: str, asset: dict[str, Any]) -> pystac.Item:
        """Put evidence on a published item; return it."""
        with self._folder.lock():
            place, _ = self._known_place(item_id)
            self._write(place, documents.with_evidence(self._feature(place), key, asset))
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
            place, branch = self._known_place(item_id)
            document = self._feature(place)
            refuse_pointed_at(document["id"], branch.name, documents.aliases_of(branch.document))
            others = [other for other in self.items_of(branch.document, branch.path) if other != place]
            narrowed = self._inside.without(branch, place)
            if branch.document["type"] == "Collection":
                left = (found for found in self.tried(others, "Feature") if not isinstance(found, CatalogError))
                narrowed = widening.covering(narrowed, left)
            self._write(branch.path, narrowed)
            self._remove_files(place, document, others)
            self._link_versions(branch.path, document)

    def _remove_files(self, place: str, document: Document, others: list[str]) -> None:
        """Remove what only this item had: its folder, or where others lie in that, its own document and files."""
        folder = posixpath.dirname(place)
        around = [path for path in (*others, *(b.path for b in self._branches())) if path.startswith(f"{folder}/")]
        if posixpath.basename(folder) == document["id"] and not around:
            self._folder.remove(folder)
            return
        used = {path for other in others for path in self._files_of(other)}
        for path in {place, *self._files_of(place, document)} - used:
            if path == place or path.startswith(f"{folder}/") or not folder:
                self._folder.remove(path)

    def _files_of(self, place: str, document: Document | None = None) -> list[str]:
        """Return the paths of an item's files that lie inside the catalog."""
        found = document or self._tried(place, "Feature")
        assets = found.get("assets") if isinstance(found, dict) else None
        hrefs = [a.get("href") for a in assets.values() if isinstance(a, dict)] if isinstance(assets, dict) else []
        paths = [self._inside.path(documents.resolve(href, place)) for href in hrefs if isinstance(href, str)]
        return [path for path in paths if "://" not in path and not path.startswith(("/", "../", "data:"))]

    def _change(self, path: str, change: Callable[[Document], Document]) -> None:
        document = self._feature(path)
        if (changed := change(document)) != document:
            self._write(path, changed)

    def _write(self, path: str, document: Document) -> None:
        self._folder.write(path, documents.dump(document))

    def add(self, item: pystac.Item, *, report: Report) -> pystac.Item:
        """Store a validated item and its files atomically and return it as stored."""
        if (published := self.find(f"{item.collection_id}/{item.id}")) is not None:
            return self.same_or_refuse(published, item)
        names = file_names(item)
        with self._folder.staging() as staging:
            self._copy(item, names, staging, report)
            with self._folder.lock():
                # Somebody else may have published it while the files were copied.
                if (published := self.find(f"{item.collection_id}/{item.id}")) is not None:
                    return self.same_or_refuse(published, item)
                self._commit(item, names, staging)
                # The item is published, come what may: links that cannot be written now are the next publish's.
                with contextlib.suppress(StorageError):
                    document = item.to_dict(transform_hrefs=False)  # somebody else's may name a root that is not here
                    self._link_versions(self._branch(str(item.collection_id)).path, document)
        return self.get(f"{item.collection_id}/{item.id}")

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
        root, name = self._root(), str(item.collection_id)
        branch = self._find_branch(name)
        path = self._free_path(name) if branch is None else branch.path
        # Where no link leads to it, a publish died before the root had one, or another tool changed the links.
        before = self._document(path, "Collection") if self._folder.exists(path) else None
        if before is not None and (reason := oddity(before)) is not None:
            raise CatalogError(f"{self._href(path)} cannot be written to: {reason}")
        collection = before or widening.new_collection(name, item.properties)
        folder = self._free_folder(posixpath.dirname(path), item.id)
        document = documents.item_document(item, names, self._sources(item), folder=folder, parent=path)
        document["properties"] |= dict.fromkeys(("created", "updated"), documents.now())
        staging.write(f"{item.id}.json", documents.dump(document))
        if root is None:
            # An empty catalog is a catalog: whoever dies from here on leaves one.
            root = documents.new_root(self._folder.root.name)
            self._folder.write(ROOT, documents.dump(root))
        # If there is such a folder, no document names it (the item was not found): a publish died before its commit.
        self._folder.remove(folder)
        try:
            staging.move_to(folder)
            unlinked = self._inside.without(Branch(path, collection), f"{folder}/{item.id}.json")
            unlinked = unlinked if self.items_of(unlinked, path) else widening.begun(unlinked)
            widened = widening.with_item(unlinked, item, folder=folder, path=path)
            self._folder.write(path, documents.dump(widened))
            if branch is None:
                self._folder.write(ROOT, documents.dump(documents.with_collection(root, widened, path)))
        except BaseException:
            # An interrupt may come just after the commit: then the item is there, and stays.
            if self._place(f"{item.collection_id}/{item.id}") is None:
                self._folder.remove(folder)
                if before is None:
                    self._folder.remove(path)
                else:
                    self._folder.write(path, documents.dump(before))
            raise

    def _free_path(self, name: str) -> str:
        """Return where the document of a new collection goes: into a folder of its name, unless others lie there."""
        path, number = documents.collection_path(name), 1
        while self._folder.exists(path) and self._document(path, "Collection").get("id") != name:
            number += 1
            path = documents.collection_path(f"{name}-{number}")
        return path

    def _free_folder(self, parent: str, item_id: str) -> str:
        """Return where an item goes: into a folder of its id, unless there is one in which no publish of it died."""
        folder, number = posixpath.join(parent, item_id), 1
        while self._folder.exists(folder) and not self._is_left(folder, item_id):
            number += 1
            folder = posixpath.join(parent, f"{item_id}-{number}", item_id)
        return folder

    def _is_left(self, folder: str, item_id: str) -> bool:
        """Tell whether a folder holds what a publish left that died: then no link leads into it."""
        inside = f"{folder}/"
        used = [path for branch, places in self._places() for path in (branch.path, *places)]
        return self._folder.exists(f"{inside}{item_id}.json") and not any(path.startswith(inside) for path in used)
