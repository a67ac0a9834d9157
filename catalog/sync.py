"""Copy what one catalog has into another: items with their files, aliases and deprecation, verified.

An item is copied whole or not at all and what is there already is compared, so an interrupted sync is simply run again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pystac

from modelstac.catalog.backends.bucket import download
from modelstac.catalog.base import Catalog, as_item
from modelstac.catalog.credentials import shown
from modelstac.catalog.errors import IntegrityError, InvalidItemError, NotFoundError
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.identity import EVIDENCE_ASSETS, OUR_FIELD, reference
from modelstac.catalog.items.links import ITEM_ID_FIELD, asset_href, is_local, local_path
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.catalog.search.matching import VERIFIED
from modelstac.catalog.search.query import Query

_AT_A_TIME = 1000
_BYTES_AT_A_TIME = 64 << 20


@dataclass(frozen=True)
class Synced:
    """What a sync did.

    Parameters
    ----------
    copied
        Ids of the items that were not there.
    present
        Number of items that were there already, with the same content.
    aliases
        Aliases, as ``name@alias``, that point elsewhere now.
    """

    copied: tuple[str, ...]
    present: int
    aliases: tuple[str, ...]


def sync(
    source: Catalog,
    target: Catalog,
    *,
    artifacts: bool = True,
    at_a_time: int = _AT_A_TIME,
    items: Iterable[pystac.Item] | None = None,
    report: Report = ignore,
) -> Synced:
    """Copy items, their files and the aliases of a catalog into another; nothing is removed there.

    Parameters
    ----------
    artifacts
        Copy files that lie on other machines too; otherwise they stay where they are. Local files are always copied.
    at_a_time
        Most items that are published in one step, all or none; fewer where their files are large.
    items
        Which items of the source; all of them by default.

    Raises
    ------
    ItemExistsError
        If the target has other content under the id of an item.
    IntegrityError
        If a file is not the published one.
    StorageError
        If something cannot be read or written.
    """
    there = set(target.ids())
    items = _in_order(map(_placed, readable(source, report) if items is None else items))

    task = f"sync {source.href} to {target.href}"
    report(Started(task, len(items)))
    copied: list[str] = []
    together: list[pystac.Item] = []
    size = present = 0  # bytes of their files; what is there already

    def publish_those() -> None:
        taken = _published(target, together, report)
        copied.extend(item.id for item in taken)
        for item in taken:
            if item.properties.get("deprecated"):
                _deprecate(target, target.get(_named(item)), item)
            report(Advanced(task, note=item.id))
        together.clear()

    for item in items:
        # Of its collection: an id may be in several.
        published = target.find(_named(item)) if item.id in there else None
        if published is None and not (artifacts and any(map(_is_far, item.assets.values()))):
            # What needs no download goes in few transactions.
            together.append(item)
            size += _local_bytes(item)
            if len(together) >= at_a_time or size > _BYTES_AT_A_TIME:
                publish_those()
                size = 0
            continue
        if published is not None:
            present += 1
            published = target.same_or_refuse(published, item)
            _add_evidence(target, published, item)
        else:
            if together:
                publish_those()
                size = 0
            with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
                if not (_fetched(item, Path(folder), report) and _published(target, [item], report)):
                    continue
            copied.append(item.id)
            published = target.get(_named(item))
        _deprecate(target, published, item)
        report(Advanced(task, note=item.id))
    if together:
        publish_those()
    moved = tuple(_aliases(source, target))
    report(Finished(task))
    return Synced(tuple(copied), present, moved)


def _named(item: pystac.Item) -> str:
    return reference(item.collection_id, item.id)


def _local_bytes(item: pystac.Item) -> int:
    return sum(int(asset.extra_fields.get("file:size") or 0) for asset in item.assets.values() if is_local(asset))


def _add_evidence(target: Catalog, published: pystac.Item, item: pystac.Item) -> None:
    """Add the signatures and verified environments of an item that is there already."""
    for key in EVIDENCE_ASSETS & item.assets.keys():
        if (asset := item.assets[key].to_dict()) != _asset(published, key):
            target.attach(_named(item), key, asset)
    there = published.properties.get(VERIFIED) or ()
    if new := [one for one in item.properties.get(VERIFIED) or () if one not in there]:
        target.add_verified(_named(item), new)


def _deprecate(target: Catalog, published: pystac.Item, item: pystac.Item) -> None:
    deprecated = bool(item.properties.get("deprecated"))
    if bool(published.properties.get("deprecated")) != deprecated:
        target.deprecate(_named(item), deprecated=deprecated)


def readable(source: Catalog, report: Report) -> Iterator[pystac.Item]:
    """Yield all items that can be read; a note names each that cannot."""
    page = source.page(Query(fields=("id",)))
    for note in page.notes:
        report(Note(note))
    if not page.notes:
        yield from source.items()
        return
    for document in source.page(Query()).documents:
        yield as_item(document)


def _placed(item: pystac.Item) -> pystac.Item:
    """Give somebody else's item, which may lack it, the link to its collection that STAC asks for."""
    if OUR_FIELD not in item.properties and item.collection_id and not item.get_links("collection"):
        item.add_link(pystac.Link("collection", "../collection.json", "application/json"))
    return item


def _in_order(found: Iterable[pystac.Item]) -> list[pystac.Item]:
    """Give items after those that they are derived from; of those with one id the first stands for it."""
    first: dict[str, pystac.Item] = {}
    again = [item for item in found if first.setdefault(item.id, item) is not item]
    return [*_sources_first(first), *again]


def _published(target: Catalog, items: Sequence[pystac.Item], report: Report) -> list[pystac.Item]:
    """Publish items; where one of somebody else's is none that the target takes, the others, and name it.

    Raises
    ------
    InvalidItemError
        If one of ours is invalid.
    """
    try:
        target.publish_many(items)
    except InvalidItemError:
        if all(OUR_FIELD in item.properties for item in items):
            raise
    else:
        return list(items)
    taken = []
    for item in items:
        try:
            target.publish(item)
        except InvalidItemError as error:
            if OUR_FIELD in item.properties:
                raise
            report(Note(f"{item.id} is left out: {error}"))
        else:
            taken.append(item)
    return taken


def _sources_first(items: dict[str, pystac.Item]) -> Iterator[pystac.Item]:
    """Yield every item after those that it is derived from."""
    done: set[str] = set()
    for first in sorted(items):
        waiting = [first]
        while waiting:
            item_id = waiting[-1]
            missing = [s for s in _sources(items[item_id]) if s in items and s not in done and s not in waiting]
            if missing:
                waiting += missing[:1]
                continue
            waiting.pop()
            if item_id not in done:
                done.add(item_id)
                yield items[item_id]


def _sources(item: pystac.Item) -> list[str]:
    return [str(link.extra_fields[ITEM_ID_FIELD]) for link in item.links if ITEM_ID_FIELD in link.extra_fields]


def _fetched(item: pystac.Item, folder: Path, report: Report) -> bool:
    """Download the item's files; where one of somebody else's is gone, or is another, name it and go on without it.

    Raises
    ------
    NotFoundError, IntegrityError
        If it is one of ours.
    """
    try:
        _fetch(item, folder, report)
    except (NotFoundError, IntegrityError, InvalidItemError) as error:
        if OUR_FIELD in item.properties:
            raise
        report(Note(f"{item.id} is left out: {error}"))
        return False
    return True


def _fetch(item: pystac.Item, folder: Path, report: Report) -> None:
    """Download the item's files that are not on this machine, each into a folder of its own: names may be equal.

    A file of somebody else's item that states no checksum, which nobody could verify, stays where it is.
    """
    for number, (key, asset) in enumerate(item.assets.items()):
        href = asset_href(asset)
        if not _is_far(asset):
            continue
        name = PurePosixPath(unquote(urlsplit(href).path)).name
        checksum = asset.extra_fields.get("file:checksum")
        if not name or not isinstance(checksum, str):
            what = f"item {item.id!r}: asset {key!r} at {shown(href)} has no name or checksum to copy it by"
            if OUR_FIELD in item.properties:
                raise InvalidItemError(what)
            report(Note(f"{what}, and stays there"))
            continue
        target = folder / str(number) / name
        target.parent.mkdir()
        download(href, target, sha256=from_multihash(checksum))
        # As a URL: beside a self link on the web, pystac takes a bare path for one of that server's.
        asset.href = target.as_uri()


def _is_far(asset: pystac.Asset) -> bool:
    href = asset_href(asset)
    return local_path(href) is None and not href.startswith("data:")


def _asset(item: pystac.Item, key: str) -> Any:
    return item.assets[key].to_dict() if key in item.assets else None


def _aliases(source: Catalog, target: Catalog) -> Iterator[str]:
    for name in [collection.id for collection in source.collections()]:
        wanted = source.aliases(name)
        try:
            found = target.aliases(name)
        except NotFoundError:
            # A collection without items is not copied, and has no aliases.
            continue
        for alias, item_id in wanted.items():
            if found.get(alias) != item_id:
                target.set_alias(name, alias, item_id, expected=found.get(alias))
                yield f"{name}@{alias}"
