"""Copy what one catalog has into another: items with their files, aliases and deprecation, verified.

An item is copied whole or not at all and what is there already is compared, so an interrupted sync is simply run again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pystac

from modelstac.catalog.backends.bucket import download
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import InvalidItemError, NotFoundError
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.identity import EVIDENCE_ASSETS
from modelstac.catalog.items.provenance import ITEM_ID_FIELD
from modelstac.catalog.items.reading import asset_href, is_local, local_path
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.catalog.search.matching import VERIFIED

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
    report: Report = ignore,
) -> Synced:
    """Copy items, their files and the aliases of a catalog into another; nothing is removed there.

    Parameters
    ----------
    artifacts
        Copy files that lie on other machines too; otherwise they stay where they are. Local files are always copied.
    at_a_time
        Most items that are published in one step, all or none; fewer where their files are large.

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
    items = list(_sources_first({item.id: item for item in source.items()}))
    task = f"sync {source.href} to {target.href}"
    report(Started(task, len(items)))
    copied: list[str] = []
    together: list[pystac.Item] = []
    size = 0  # of their files

    def publish_those() -> None:
        target.publish_many(together)
        copied.extend(item.id for item in together)
        for item in together:
            if item.properties.get("deprecated"):
                _deprecate(target, target.get(item.id), item)
            report(Advanced(task, note=item.id))
        together.clear()

    for item in items:
        if item.id not in there and not (artifacts and any(map(_is_far, item.assets.values()))):
            # What needs no download goes in few transactions.
            together.append(item)
            size += _local_bytes(item)
            if len(together) >= at_a_time or size > _BYTES_AT_A_TIME:
                publish_those()
                size = 0
            continue
        if item.id in there:
            published = target.same_or_refuse(target.get(item.id), item)
            _add_evidence(target, published, item)
        else:
            if together:
                publish_those()
                size = 0
            with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
                _fetch(item, Path(folder))
                published = target.publish(item)
            copied.append(item.id)
        _deprecate(target, published, item)
        report(Advanced(task, note=item.id))
    if together:
        publish_those()
    moved = tuple(_aliases(source, target))
    report(Finished(task))
    return Synced(tuple(copied), len(items) - len(copied), moved)


def _local_bytes(item: pystac.Item) -> int:
    return sum(int(asset.extra_fields.get("file:size") or 0) for asset in item.assets.values() if is_local(asset))


def _add_evidence(target: Catalog, published: pystac.Item, item: pystac.Item) -> None:
    """Add the signatures and verified environments of an item that is there already."""
    for key in EVIDENCE_ASSETS & item.assets.keys():
        if (asset := item.assets[key].to_dict()) != _asset(published, key):
            target.attach(item.id, key, asset)
    there = published.properties.get(VERIFIED) or ()
    if new := [one for one in item.properties.get(VERIFIED) or () if one not in there]:
        target.add_verified(item.id, new)


def _deprecate(target: Catalog, published: pystac.Item, item: pystac.Item) -> None:
    deprecated = bool(item.properties.get("deprecated"))
    if bool(published.properties.get("deprecated")) != deprecated:
        target.deprecate(item.id, deprecated=deprecated)


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


def _fetch(item: pystac.Item, folder: Path) -> None:
    """Download the item's files that are not on this machine, each into a folder of its own: names may be equal."""
    for number, (key, asset) in enumerate(item.assets.items()):
        href = asset_href(asset)
        if not _is_far(asset):
            continue
        name = PurePosixPath(unquote(urlsplit(href).path)).name
        checksum = asset.extra_fields.get("file:checksum")
        if not name or not isinstance(checksum, str):
            raise InvalidItemError(f"item {item.id!r}: asset {key!r} at {href} has no name or checksum to copy it by")
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
