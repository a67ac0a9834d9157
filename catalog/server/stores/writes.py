"""What a write does to a database of documents, inside one transaction: the rules are those of the other catalogs."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

import pystac

from modelstac.catalog.errors import ItemExistsError, NotFoundError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import widening
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.evidence import instead
from modelstac.catalog.items.identity import ALIASES, differences
from modelstac.catalog.items.links import ITEM_ID_FIELD
from modelstac.catalog.items.versions import version_key
from modelstac.catalog.journal import Entry, changes
from modelstac.catalog.rules import refuse_pointed_at
from modelstac.catalog.server.files.named import with_new_assets
from modelstac.catalog.server.stores.collections import pointing_to
from modelstac.catalog.server.stores.links import item_path
from modelstac.catalog.server.stores.store import Change, Check


@dataclass(frozen=True)
class Version:
    """What of an item matters for links between versions."""

    item_id: str
    variant: str | None
    version: str
    links: list[Document]

    @classmethod
    def of(cls, item: Document) -> Version:
        """Return that of an item."""
        properties = item["properties"]
        return cls(item["id"], properties.get("interop:variant"), str(properties.get("version")), item["links"])


class Tables(Protocol):
    """The documents that one transaction sees."""

    async def items_named(self, ids: Sequence[str]) -> list[Document]:
        """Return the items with these ids, in any collection."""

    async def ids(self) -> list[str]:
        """Return the ids of all items."""

    async def has_items(self, collection_id: str) -> bool:
        """Tell whether a collection has items."""

    async def items_of(self, collection_id: str) -> list[Document]:
        """Return the items of a collection."""

    async def versions_of(self, collection_id: str, variants: Sequence[str]) -> list[Version]:
        """Return what links between versions are made of, of the items of some variants."""

    async def collection(self, collection_id: str) -> Document | None:
        """Return a collection."""

    async def insert(self, items: Sequence[Document]) -> None:
        """Store new items."""

    async def replace(self, items: Sequence[Document]) -> None:
        """Store items in place of those with their ids."""

    async def relink(self, collection_id: str, links: Mapping[str, Sequence[Document]]) -> None:
        """Give items other links, by their ids."""

    async def delete(self, collection_id: str, item_id: str) -> None:
        """Remove an item."""

    async def replace_collection(self, collection: Document) -> None:
        """Store a collection in place of the one with its id."""

    async def record(self, entries: Iterable[Entry]) -> None:
        """Write entries of the audit log."""


class Writer:
    """Writes into one collection, which its caller has locked."""

    def __init__(self, tables: Tables, collection_id: str) -> None:
        self._tables = tables
        self._collection_id = collection_id

    async def add(self, items: Sequence[Document]) -> list[bool]:
        """Store items, all or none, and tell of each whether it is new."""
        collection = await self._collection()
        sources = {source for item in items for source in _sources(item)}
        named = await self._tables.items_named([*{item["id"] for item in items}, *sources])
        here = {found["id"]: found for found in named if found["collection"] == self._collection_id}
        known = {found["id"]: found for found in named} | here  # another collection may have the same id
        new: dict[str, Document] = {}
        fresh = []
        for item in items:
            is_new = item["id"] not in here
            if is_new:
                known[item["id"]] = here[item["id"]] = new[item["id"]] = item
            else:
                _same_or_refuse(here[item["id"]], item)
            fresh.append(is_new)
        for item in new.values():
            if missing := _resolve_sources(item, known):
                hint = f"Publish the source of {item['id']!r} first"
                raise NotFoundError.unknown("item", missing, await self._tables.ids(), where="this catalog", hint=hint)
        if new:
            if not await self._tables.has_items(self._collection_id):
                collection = widening.begun(collection)
            collection = widening.widened(collection, *new.values())
            relinked = await self._relinked(new)
            await self._tables.insert(list(new.values()))
            await self._tables.record(Entry("publish", self._collection_id, item_id) for item_id in new)
            await self._tables.relink(self._collection_id, relinked)
            await self._tables.replace_collection(collection)
        return fresh

    async def change_item(
        self, item_id: str, change: Change, check: Callable[[Sequence[Document]], Awaitable[None]]
    ) -> Document:
        """Replace an item's document by what ``change`` makes of it, unless ``check`` refuses its files."""
        stored = await self._shown(item_id)
        changed = change(stored)
        if changed["assets"] != stored["assets"]:
            await check([with_new_assets(changed, stored)])
        if changed != stored:
            await self._tables.replace([changed])
            await self._tables.record(changes(stored, changed))
            await self._tables.relink(self._collection_id, await self._relinked({item_id: changed}))
            if (wider := widening.widened(before := await self._collection(), changed)) != before:
                await self._tables.replace_collection(wider)
        return await self._shown(item_id)

    async def remove(self, item_id: str, check: Check) -> None:
        """Remove an item to which no alias points, unless ``check`` raises."""
        item = await self._item(item_id)
        check(await self._shown(item_id))
        collection = await self._collection()
        refuse_pointed_at(item_id, self._collection_id, collection.get(ALIASES, {}))
        await self._tables.delete(self._collection_id, item_id)
        await self._tables.record([Entry("delete", self._collection_id, item_id)])
        left = await self._tables.items_of(self._collection_id)
        await self._tables.replace_collection(widening.covering(collection, left))
        await self._tables.relink(self._collection_id, await self._relinked({}, _variants([item])))

    async def _relinked(self, new: dict[str, Document], variants: Iterable[str] = ()) -> dict[str, list[Document]]:
        """Make new items and those of their variants link to each other, from version to version.

        Parameters
        ----------
        new
            Items by id, to which the links are given.
        variants
            More variants that have changed.

        Returns
        -------
        dict
            The links of the stored items whose links change, by id.
        """
        changed = sorted({*_variants(new.values()), *variants})
        found = await self._tables.versions_of(self._collection_id, changed)
        found = [version for version in found if version.item_id not in new] + list(map(Version.of, new.values()))
        relinked = {}
        for variant in changed:
            by_path = {item_path(self._collection_id, v.item_id): v for v in found if v.variant == variant}
            ordered = sorted((version_key(v.version), path) for path, v in by_path.items())
            for index, (_, path) in enumerate(ordered):
                item_id, before = by_path[path].item_id, by_path[path].links
                others = documents.relations(ordered, index)
                kept = [f for f in before if f["rel"] not in documents.VERSION_RELS]
                links = kept + [documents.link(rel, other, "application/geo+json") for rel, other in others.items()]
                if item_id in new:
                    new[item_id]["links"] = links
                elif before != links:
                    relinked[item_id] = links
        return relinked

    async def _item(self, item_id: str) -> Document:
        for stored in await self._tables.items_named([item_id]):
            if stored["collection"] == self._collection_id:
                return stored
        raise NotFoundError(f"no item {item_id!r} in collection {self._collection_id!r}")

    async def _shown(self, item_id: str) -> Document:
        """Return an item as readers see it, with its aliases: that is what an entity tag is of."""
        item, aliases = await self._item(item_id), (await self._collection()).get(ALIASES)
        pointing = pointing_to(item_id, aliases)
        return item | {"properties": item["properties"] | {ALIASES: pointing}} if pointing else item

    async def _collection(self) -> Document:
        collection = await self._tables.collection(self._collection_id)
        if collection is None:
            raise NotFoundError(f"no collection {self._collection_id!r}: create it first, by POST to /collections")
        return collection


def _same_or_refuse(published: Document, item: Document) -> None:
    if differing := differences(pystac.Item.from_dict(published), pystac.Item.from_dict(item)):
        raise ItemExistsError(
            f"item {item['id']!r} is already there with other content ({', '.join(differing[:4])}): "
            f"published items do not change, {instead(item['id'], published['properties'])}"
        )


def _variants(items: Iterable[Document]) -> set[str]:
    return {found for item in items if (found := item["properties"].get("interop:variant"))}


def by_model(items: Sequence[Document]) -> list[list[Document]]:
    """Return items of any models, those of one model together; in their order where one is derived from another."""
    ids = {item["id"] for item in items}
    if any(source in ids for item in items for source in _sources(item)):
        return [list(run) for _, run in itertools.groupby(items, key=itemgetter("collection"))]
    return list(documents.by_collection(items).values())


def _sources(item: Document) -> list[str]:
    return [found[ITEM_ID_FIELD] for found in item["links"] if isinstance(found.get(ITEM_ID_FIELD), str)]


def _resolve_sources(item: Document, known: dict[str, Document]) -> str | None:
    """Lead the links to the sources of an item to where these are; return the id of one that is not here."""
    for found in item["links"]:
        source: Any = found.get(ITEM_ID_FIELD)
        if found.get("rel") != "derived_from" or not isinstance(source, str):
            continue
        if source in known:
            found["href"] = item_path(known[source]["collection"], source)
        elif "://" not in found["href"]:
            return source
    return None
