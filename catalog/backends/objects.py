"""The static catalog on an object store: ``s3://``, ``gs://``, ``az://``, and ``https://`` to read.

There are no locks. An item's files and document go into a folder that nobody else knows, so that no two writers ever
touch each other's; then one conditional write, the collection with one more link, publishes it. Who comes second reads
the collection again and repeats its change, so many writers at once lose nothing. What a writer leaves that dies
before its conditional write is named by no document.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import random
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pystac

from modelstac.catalog.backends.branches import BRANCH, Branch
from modelstac.catalog.backends.bucket import Bucket
from modelstac.catalog.backends.tree import INDEX, TreeCatalog, file_names
from modelstac.catalog.credentials import typed
from modelstac.catalog.errors import CatalogError, ConflictError, NotFoundError, StorageError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import checking, widening
from modelstac.catalog.items.collections.merging import Change
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.documents import ROOT, Document
from modelstac.catalog.items.identity import ALIASES, RULES
from modelstac.catalog.items.links import local_path
from modelstac.catalog.messages import Advanced, Finished, Report, Started
from modelstac.catalog.rules import refuse_pointed_at, refuse_unexpected, refuse_unfit, with_rule

_ATTEMPTS = 200


class ObjectCatalog(TreeCatalog):
    """A catalog of JSON documents on an object store.

    Parameters
    ----------
    href
        URL of the folder, or of the ``catalog.json`` in it. Credentials, region and endpoint come from the variables
        that the store's own tools read (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, …).
    create
        Take a place where nothing is as an empty catalog; the first publish writes it.

    Raises
    ------
    CatalogError
        If there is no catalog.
    StorageError
        If the store cannot be reached.
    """

    _at_once = 16

    def __init__(self, href: str, *, create: bool = False) -> None:
        url = typed(href).removesuffix(ROOT).rstrip("/")
        super().__init__(url)
        self._bucket = Bucket(url)
        if self._root() is None and not create:
            raise CatalogError(f"no catalog at {url}: publish into it first or check the address")

    def _read(self, path: str) -> bytes | None:
        found = self._bucket.read(path)
        return None if found is None else found[0]

    def _href(self, path: str) -> str:
        return f"{self.href}/{path}"

    def tags(self) -> dict[str, str] | None:
        """Return what changes with each document, by its path; the web cannot tell."""
        return self._bucket.tags(".json")

    def _put_index(self, data: bytes) -> None:
        found = self._bucket.read(INDEX)
        # Whoever was quicker wrote one that is as good.
        self._bucket.write(INDEX, data, tag=None if found is None else found[1])

    def _change(self, path: str, change: Callable[[Document], Document]) -> None:
        self._swap(path, lambda document: None if document is None else change(document))

    def _swap(self, path: str, change: Callable[[Document | None], Document | None]) -> None:
        """Replace a document by what a function makes of it, until nobody else was quicker."""
        for attempt in range(_ATTEMPTS):
            found = self._bucket.read(path)
            document = None if found is None else json.loads(found[0])
            changed = change(document)
            if changed is None or changed == document:
                return
            if self._bucket.write(path, documents.dump(changed), tag=None if found is None else found[1]):
                return
            # Many writers at once: each waits a little differently.
            time.sleep(random.uniform(0, min(0.5, 0.01 * 2 ** min(attempt, 6))))  # noqa: S311 - no secret
        raise StorageError(f"cannot write {self._href(path)}: others change it all the time; try again")

    def add(self, item: pystac.Item, *, report: Report) -> pystac.Item:
        """Store a validated item and its files and return it as stored."""
        if (published := self.find(f"{item.collection_id}/{item.id}")) is not None:
            return self.same_or_refuse(published, item)
        branch = self._find_branch(str(item.collection_id))
        path = documents.collection_path(str(item.collection_id)) if branch is None else branch.path
        folder = f"{posixpath.dirname(path)}/{item.id}/{uuid.uuid4().hex[:16]}"
        names, sources = self._upload(item, folder, report), self._sources(item)
        document = documents.item_document(item, names, sources, folder=folder, parent=path)
        document["properties"] |= dict.fromkeys(("created", "updated"), documents.now())
        self._bucket.write(f"{folder}/{item.id}.json", documents.dump(document), tag=None)

        def widen(collection: Document | None) -> Document | None:
            if collection is None:
                collection = widening.new_collection(str(item.collection_id), item.properties)
            if f"{item.id}.json" in map(posixpath.basename, self.items_of(collection, path)):
                return None
            collection = collection if self.items_of(collection, path) else widening.begun(collection)
            return widening.with_item(collection, item, folder=folder, path=path)

        self._swap(path, widen)
        if branch is None:
            self._swap(ROOT, lambda root: self._with_collection(root, path))
        place, _ = self._known_place(f"{item.collection_id}/{item.id}")
        if posixpath.dirname(place) != folder:
            # Somebody else was quicker.
            self._bucket.remove(folder)
            return self.same_or_refuse(self.get(f"{item.collection_id}/{item.id}"), item)
        # The item is published, come what may: links that cannot be written now are the next publish's.
        with contextlib.suppress(StorageError):
            self._link_versions(path, document)
        return self.get(f"{item.collection_id}/{item.id}")

    def _with_collection(self, root: Document | None, path: str) -> Document | None:
        root = root or documents.new_root(posixpath.basename(self.href))
        if path in self._inside.targets(root, "child", ROOT):
            return None
        return documents.with_collection(root, self._document(path, "Collection"), path)

    def _upload(self, item: pystac.Item, folder: str, report: Report) -> dict[str, str]:
        names = file_names(item)
        task = f"publish {item.id}"
        report(Started(task, len(names)))
        for key, name in names.items():
            asset = item.assets[key]
            source = local_path(asset.get_absolute_href() or asset.href)
            assert source is not None, "only local files have a name in the catalog"
            self._bucket.upload(
                source, f"{folder}/{name}", sha256=from_multihash(str(asset.extra_fields["file:checksum"]))
            )
            report(Advanced(task, note=name))
        report(Finished(task))
        return names

    def change_collection(self, name: str, change: Change) -> None:
        """Make a collection say what a function makes of what it says, or make a new one."""
        branch = self._find_branch(name)
        if branch is None:
            checking.check_name(name)
        path = documents.collection_path(name) if branch is None else branch.path
        self._swap(path, lambda stored: self._saying(stored, path, change))
        if branch is None:
            self._swap(ROOT, lambda root: self._with_collection(root, path))

    def change_alias(self, name: str, alias: str, item_id: str | None, expected: Any) -> None:
        """Point an alias to an item, or remove it."""
        path = self._branch(name).path

        def point(collection: Document | None) -> Document | None:
            if collection is None:
                raise NotFoundError(f"no model {name!r} in {self.href}: it was deleted meanwhile")
            aliases = documents.aliases_of(collection)
            refuse_unexpected(name, alias, aliases.pop(alias, None), expected)
            if item_id is not None:
                places = [p for p in self.items_of(collection, path) if posixpath.basename(p) == f"{item_id}.json"]
                if not places:
                    raise NotFoundError(f"no item {item_id!r} in {self.href}: it was deleted meanwhile")
                refuse_unfit(name, alias, self._document(places[0], "Feature"), collection.get(RULES))
                aliases[alias] = item_id
            rest = {key: value for key, value in collection.items() if key != ALIASES}
            return rest | ({ALIASES: aliases} if aliases else {})

        self._swap(path, point)

    def protect_alias(self, name: str, alias: str, required: Sequence[str]) -> None:
        """Let an alias of a model point only to items that show what is required."""

        def protect(collection: Document | None) -> Document | None:
            if collection is None:
                raise NotFoundError(f"no model {name!r} in {self.href}: it was deleted meanwhile")
            return with_rule(collection, alias, required)

        self._swap(self._branch(name).path, protect)

    def deprecate(self, item_id: str, *, deprecated: bool = True) -> pystac.Item:
        """Mark an item as one that should no longer be used, or take that back; return it."""
        place, _ = self._known_place(item_id)

        def mark(document: Document) -> Document:
            if bool(document["properties"].get("deprecated")) == deprecated:
                return document
            now = {"deprecated": deprecated, "updated": documents.now()}
            return document | {"properties": document["properties"] | now}

        self._change(place, mark)
        return self.get(item_id)

    def attach(self, item_id: str, key: str, asset: dict[str, Any]) -> pystac.Item:
        """Put evidence on a published item; return it."""
        place, _ = self._known_place(item_id)
        self._change(place, lambda document: documents.with_evidence(document, key, asset))
        return self.get(item_id)

    def add_verified(self, item_id: str, environments: Sequence[dict[str, Any]]) -> pystac.Item:
        """Add environments in which a published item was found to run; return it."""
        place, _ = self._known_place(item_id)
        self._change(place, lambda document: documents.verified(document, environments))
        return self.get(item_id)

    def delete(self, item_id: str) -> None:
        """Remove an item and its files."""
        place, found = self._known_place(item_id)
        item = self._feature(place)
        path = found.path

        def narrow(collection: Document | None) -> Document | None:
            if collection is None or place not in self.items_of(collection, path):
                raise ConflictError(f"item {item_id!r} was deleted by somebody else meanwhile")
            refuse_pointed_at(item["id"], collection["id"], documents.aliases_of(collection))
            left = self.tried([p for p in self.items_of(collection, path) if p != place], "Feature")
            # One that somebody else deletes meanwhile is gone; then this change is repeated, too.
            there = [document for document in left if not isinstance(document, CatalogError)]
            return widening.covering(self._inside.without(Branch(path, collection), place), there)

        self._swap(path, narrow)
        folder, left = posixpath.dirname(place), self.items_of(self._document(path, BRANCH), path)
        if any(other.startswith(f"{folder}/") for other in left) or item["id"] not in folder.split("/"):
            self._bucket.remove_one(place)  # another tool put others beside it
        else:
            self._bucket.remove(folder)
        self._link_versions(path, item)
