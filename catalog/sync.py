"""Copy what one catalog has into another: items with their files, aliases and deprecation, verified.

An item is copied whole or not at all and what is there already is compared, so an interrupted sync is simply run again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import pystac

from modelstac.catalog.backends.bucket import download
from modelstac.catalog.backends.oddities import oddity
from modelstac.catalog.base import Catalog
from modelstac.catalog.credentials import shown, without_secrets
from modelstac.catalog.errors import (
    CatalogError,
    IntegrityError,
    InvalidItemError,
    NotFoundError,
    SchemaUnavailableError,
    StorageError,
    UnauthorizedError,
)
from modelstac.catalog.items.collections import merging
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.documents import Document, leads
from modelstac.catalog.items.identity import EVIDENCE_ASSETS, OUR_FIELD, RULES, in_collection, reference
from modelstac.catalog.items.links import (
    ITEM_ID_FIELD,
    asset_href,
    is_local,
    local_path,
    refuse_files_of_ours,
    sources_first,
)
from modelstac.catalog.messages import Advanced, Finished, Message, Note, Report, Started, ignore
from modelstac.catalog.search.matching import VERIFIED

_AT_A_TIME = 1000
_BYTES_AT_A_TIME = 64 << 20
# What a catalog says that keeps no such collection, or not for everybody; the items are copied all the same.
_NOT_TAKEN = (CatalogError, InvalidItemError, NotFoundError, SchemaUnavailableError, UnauthorizedError)
Merge = Callable[..., tuple[Document, list[str]]]
_DIFFER = "differ from the source, and stay as they are"


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
    untold
        Names of collections of which the target does not take what they say.
    """

    copied: tuple[str, ...]
    present: int
    aliases: tuple[str, ...]
    untold: tuple[str, ...] = ()


def sync(
    source: Catalog,
    target: Catalog,
    *,
    artifacts: bool = True,
    at_a_time: int = _AT_A_TIME,
    items: Iterable[pystac.Item] | None = None,
    before: Mapping[str, Document] = MappingProxyType({}),
    theirs: bool = False,
    report: Report = ignore,
) -> Synced:
    """Copy collections, items, their files, aliases and their rules into another catalog; nothing is removed there.

    Parameters
    ----------
    artifacts
        Copy files that lie on other machines too; otherwise they stay where they are. Local files are always copied.
    at_a_time
        Most items that are published in one step, all or none; fewer where their files are large.
    items
        Which items of the source; all of them by default.
    before
        What collections of the source said when they were copied last, by name: what changed on one side since then is
        told from what changed on the other. Without it, what both say differently stays, and a note names it.
    theirs
        Take that of the source in its place.

    Raises
    ------
    ItemExistsError
        If the target has other content under the id of an item.
    IntegrityError
        If a file is not the published one.
    StorageError
        If something cannot be read or written.
    """
    known = {document["id"] for document in _sound(target)}
    there = set(target.ids())
    items = sources_first(map(_placed, source.readable(report) if items is None else items))
    _name_lost_sources([item for item in items if item.id not in there], source, target, report)

    task = f"sync {source.href} to {target.href}"
    report(Started(task, len(items)))
    copied: list[str] = []
    together: list[pystac.Item] = []
    size = present = 0  # bytes of their files; what is there already

    def publish_those() -> None:
        taken = _published(source, target, together, report)
        copied.extend(item.id for item in taken)
        for item in taken:
            if item.properties.get("deprecated"):
                _deprecate(target, target.get(_named(item)), item)
            report(Advanced(task, note=item.id))
        together.clear()

    for item in items:
        # Of its collection: an id may be in several.
        published = target.find(_named(item)) if item.id in there else None
        if published is None and not _may_be_copied(item, report):
            continue
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
                if not (_fetched(source, item, Path(folder), report) and _published(source, target, [item], report)):
                    continue
            copied.append(item.id)
            published = target.get(_named(item))
        _deprecate(target, published, item)
        report(Advanced(task, note=item.id))
    if together:
        publish_those()
    sound = list(_sound(source))
    said, merge = _said(sound, source.href), partial(merging.merged, yields=theirs)
    untold = tuple(_copy_collections(source, target, said, before, known=known, merge=merge, report=report))
    moved = tuple(_aliases(sound, source, target, report))
    _copy_rules(sound, target)
    report(Finished(task))
    return Synced(tuple(copied), present, moved, untold)


def _named(item: pystac.Item) -> str:
    return reference(item.collection_id, item.id)


def _may_be_copied(item: pystac.Item, report: Report) -> bool:
    """Tell whether all files of an item are its publisher's; a note names one that is not."""
    try:
        refuse_files_of_ours(item)
    except InvalidItemError as error:
        report(Note(f"{item.id} is left out: {error}"))
        return False
    return True


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


def _placed(item: pystac.Item) -> pystac.Item:
    """Give somebody else's item, which may lack it, the link to its collection that STAC asks for."""
    if OUR_FIELD not in item.properties and item.collection_id and not item.get_links("collection"):
        item.add_link(pystac.Link("collection", "../collection.json", "application/json"))
    return item


def _name_lost_sources(items: Sequence[pystac.Item], source: Catalog, target: Catalog, report: Report) -> None:
    """Let items name sources that were deleted by their ids alone, at an address of the target where nothing is."""
    ids = {item.id for item in items}
    links = [(item, link) for item in items for link in item.get_links("derived_from")]
    named = [
        (item, link, found) for item, link in links if isinstance(found := link.extra_fields.get(ITEM_ID_FIELD), str)
    ]
    lost = {one for one in {one for *_, one in named} - ids if not source.search(ids=(one,))}
    where = target.href if "://" in target.href else Path(target.href).absolute().as_uri()
    for item, link, one in named:
        if one in lost:
            link.target = f"{where}#{one}"
            report(Note(f"{item.id} is derived from {one}, which is not in {source.href} any more"))


def _published(source: Catalog, target: Catalog, items: Sequence[pystac.Item], report: Report) -> list[pystac.Item]:
    """Publish items; where one of somebody else's is none that the target takes, the others, and name it.

    So it is with one that was deleted from the source meanwhile.

    Raises
    ------
    InvalidItemError
        If one of ours is invalid.
    """

    def notes(message: Message) -> None:
        if isinstance(message, Note):
            report(message)

    try:
        target.publish_many(items, report=notes)
    except InvalidItemError:
        if all(OUR_FIELD in item.properties for item in items):
            raise
    except (NotFoundError, StorageError):
        if not (gone := [item for item in items if _is_gone(source, item, report)]):
            raise
        return _published(source, target, [item for item in items if item not in gone], report)
    else:
        return list(items)
    taken = []
    for item in items:
        try:
            target.publish(item, report=notes)
        except InvalidItemError as error:
            if OUR_FIELD in item.properties:
                raise
            report(Note(f"{item.id} is left out: {error}"))
        else:
            taken.append(item)
    return taken


def _fetched(source: Catalog, item: pystac.Item, folder: Path, report: Report) -> bool:
    """Download the item's files; where one of somebody else's is gone, or is another, name it and go on without it.

    Raises
    ------
    NotFoundError, IntegrityError
        If it is one of ours.
    """
    try:
        _fetch(item, folder, report)
    except (NotFoundError, IntegrityError, InvalidItemError) as error:
        if OUR_FIELD not in item.properties:
            report(Note(f"{item.id} is left out: {error}"))
        elif not _is_gone(source, item, report):
            raise
        return False
    return True


def _is_gone(source: Catalog, item: pystac.Item, report: Report) -> bool:
    """Tell whether an item was deleted from the source since it was read; then a note says so."""
    if gone := source.find(_named(item)) is None:
        report(Note(f"{item.id} is left out: it was deleted from {source.href} meanwhile"))
    return gone


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


def _aliases(sound: Iterable[Document], source: Catalog, target: Catalog, report: Report) -> Iterator[str]:
    for name in [document["id"] for document in sound]:
        wanted = source.aliases(name)
        try:
            found = target.aliases(name)
        except NotFoundError:
            # One that the target does not take is not copied, and has no aliases there.
            continue
        for alias, item_id in wanted.items():
            if found.get(alias) == item_id:
                continue
            if target.find(f"{name}/{item_id}") is None:  # published, or made anew, since the items were read
                report(
                    Note(f"alias {name}@{alias} is left as it was: {item_id} is not copied yet, the next copy has both")
                )
                continue
            target.set_alias(name, alias, item_id, expected=found.get(alias))
            yield f"{name}@{alias}"


def said_by_collections(source: Catalog) -> dict[str, Document]:
    """Return what the collections of a catalog say, by their names."""
    return _said(_sound(source), source.href)


def _said(sound: Iterable[Document], href: str) -> dict[str, Document]:
    return {document["id"]: without_secrets(merging.said(document, href)) for document in sound}


def _sound(catalog: Catalog) -> Iterator[Document]:
    return (document for document in catalog.collection_documents() if oddity(document) is None)


def _copy_collections(
    source: Catalog,
    target: Catalog,
    theirs: Mapping[str, Document],
    before: Mapping[str, Document],
    *,
    known: Container[str],
    merge: Merge,
    report: Report,
) -> Iterator[str]:
    """Let collections say what those of the source say, beside what they say themselves; yield which do not.

    Of those that the source has and the target has not, those without items are made; all others of which the target
    takes items are there by now, made from these.

    Parameters
    ----------
    theirs, before
        What those of the source say, and said when they were copied last.
    known
        Names of those that the target had before its items came.
    merge
        As :func:`modelstac.catalog.items.collections.merging.merged`.
    """
    there = said_by_collections(target)
    missing = theirs.keys() - there.keys()
    filled = {in_collection(found)[0] for found in source.references()} if missing else set()
    for name in sorted(theirs.keys() - (missing & filled)):
        said = _elsewhere(theirs[name], target, report)
        try:
            merging_it = None if name not in known else partial(merge, before=before.get(name))
            kept = _copy_collection(target, said, there.get(name), merging_it)
        except _NOT_TAKEN as error:
            report(Note(f"what collection {name!r} says is not copied: {error}"))
            yield name
            continue
        if kept:
            differ = "differs from the source, and stays as it is" if len(kept) == 1 else _DIFFER
            report(Note(f"collection {name!r}: {', '.join(kept)} {differ} (--theirs takes that of the source)"))


def _copy_collection(target: Catalog, theirs: Document, there: Document | None, merge: Merge | None) -> list[str]:
    """Let a collection say what that of the source does; without a merge whatever it says itself."""
    kept: list[str] = []

    def change(here: Document | None) -> Document:
        nonlocal kept
        if here is None or merge is None:
            return theirs
        changed, kept = merge(here, theirs)
        return changed

    if there is None or change(there) != there:
        target.change_collection(theirs["id"], change)
    return kept


def _elsewhere(document: Document, target: Catalog, report: Report) -> Document:
    """Return a collection without what leads to files of this machine, where the target is elsewhere."""
    if "://" not in target.href:
        return document
    said: Document = found if isinstance(found := document.get("assets"), dict) else {}
    links = [found for found in document["links"] if local_path(found["href"]) is None]
    assets = {key: asset for key, asset in said.items() if not (leads(asset) and local_path(asset["href"]) is not None)}
    if left := len(document["links"]) - len(links) + len(said) - len(assets):
        leave = "leads to this machine only, and is" if left == 1 else "lead to this machine only, and are"
        report(Note(f"collection {document['id']!r}: {left} of its links or assets {leave} left out"))
    return document | {"links": links} | ({"assets": assets} if said else {})


def _copy_rules(sound: Iterable[Document], target: Catalog) -> None:
    """Let aliases require what they require in the source, too; last, since they may point to what lacks it."""
    there = {document["id"]: document.get(RULES) for document in _sound(target)}
    for document in sound:
        name, rules = document["id"], document.get(RULES)
        known = found if isinstance(found := there.get(name), dict) else {}
        for alias, required in rules.items() if isinstance(rules, dict) and name in there else ():
            wanted = list(dict.fromkeys([*known.get(alias, ()), *required]))
            if wanted != known.get(alias):
                target.protect_alias(name, alias, wanted)
