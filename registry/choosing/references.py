"""From what a caller names to items: an id, ``name@alias``, a name with a range of versions, a URL or path, a query."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pystac

from modelstac.catalog.backends.oddities import oddity
from modelstac.catalog.base import Catalog
from modelstac.catalog.credentials import shown, typed
from modelstac.catalog.errors import (
    AmbiguousError,
    CatalogError,
    DownloadError,
    InvalidItemError,
    NotFoundError,
    StorageError,
    UntrustedError,
)
from modelstac.catalog.items import documents
from modelstac.catalog.items.documents import as_item
from modelstac.catalog.items.identity import OUR_FIELD
from modelstac.catalog.items.links import copies, local_path
from modelstac.catalog.items.versions import parse_version
from modelstac.catalog.search.query import Query
from modelstac.registry.choosing.default import VARIABLE, default_catalog

if TYPE_CHECKING:
    from modelstac.registry.files.kept import KeptItem

_RANGED = re.compile(r"(?P<name>[A-Za-z][\w.-]*?)\s*(?P<range>(?:[<>=!~]=?|===).+)", re.ASCII)
MAX_ITEM = 64 << 20
FOLDER_ITEM = "mlm.json"  # mlstac's folders


@dataclass(frozen=True)
class Found:
    """Items to choose from.

    Parameters
    ----------
    items
        The items; the newest version first.
    asked
        The one item that was named, None where any of them will do.
    catalog
        Where variants of it may be, None where nobody knows.
    note
        What its user should know of how it was found.
    """

    items: tuple[pystac.Item, ...]
    asked: pystac.Item | None = None
    catalog: Catalog | None = None
    note: str | None = None


def is_place(text: str) -> bool:
    """Tell whether a text names an item by URL or path, and not by id, which may be ``collection/id``."""
    if "://" in text or text.endswith(".json") or "\\" in text:
        return True
    if text.count("/") == 1 and text[0] not in "./~" and not Path(text).exists():
        return False  # an id in its collection
    return "/" in text or (Path(text) / FOLDER_ITEM).is_file()


def by_name(text: str, catalog: Catalog) -> Found:
    """Find what an id, ``name@alias``, name, or name with a range of versions means in a catalog.

    Raises
    ------
    NotFoundError
        If there is nothing; names the nearest ids, or what the alias points to.
    """
    if "@" in text:
        try:
            item = _by_alias(text, catalog)
        except NotFoundError:
            if (odd := catalog.with_odd_id(text)) is None:
                raise
            item = odd
        return Found((item,), item, catalog)
    if match := _RANGED.fullmatch(text):
        return _by_range(match["name"], match["range"], catalog)
    if (named := catalog.find(text) or catalog.with_odd_id(text)) is not None:
        return Found((named,), named, catalog)
    if items := _models(catalog.search(Query(collections=(text,)))):
        return Found(_of_one_model(items, text), None, catalog)
    names = (collection.id for collection in catalog.collections())
    raise NotFoundError.unknown("item or model", text, {*catalog.ids(), *names}, where=catalog.href)


def named(text: str, catalog: Catalog | str | PathLike[str] | None = None) -> pystac.Item:
    """Return the one item that a text names, whether it can run or not; of several versions the newest."""
    return reached(text, catalog).items[0]


def reached(text: str, catalog: Catalog | str | PathLike[str] | None = None) -> Found:
    """Find what a text names, in the catalog or elsewhere; where that cannot be reached, as it was when last loaded.

    Raises
    ------
    DownloadError
        If it is on the web, which is forbidden, and was not loaded before.
    ModelStacError
        As :func:`read_place` and :func:`by_name` do.
    """
    from modelstac.registry.files.download import OFFLINE, offline
    from modelstac.registry.files.kept import kept

    where = home(text, catalog)
    before = None if where is None else kept(where, text)
    if where is not None and offline():
        if before is None:
            raise DownloadError(
                f"{shown(text)} of {shown(where)} was not loaded here before, and {OFFLINE} forbids to ask: load it "
                "once without that"
            )
        return _as_kept(before, where, f"{OFFLINE} forbids to ask")
    try:
        return _reached(text, catalog)
    except (CatalogError, StorageError, DownloadError) as error:
        if before is None or where is None:
            raise
        return _as_kept(before, where, " ".join(str(error).split()).partition(": ")[0])


def home(text: str, catalog: Catalog | str | PathLike[str] | None) -> str | None:
    """Return the address on the web of the catalog, or the item, that a text is looked up in; None on this machine."""
    from modelstac.registry.files.kept import is_remote

    if is_place(text):
        return text if is_remote(text) else None
    href = catalog.href if isinstance(catalog, Catalog) else catalog or os.environ.get(VARIABLE) or ""
    return str(href) if is_remote(str(href)) else None


def _reached(text: str, catalog: Catalog | str | PathLike[str] | None) -> Found:
    if not is_place(text):
        return by_name(text, default_catalog(catalog))
    item = read_place(text)
    return Found((item,), item, catalog_beside(catalog))


def catalog_beside(catalog: Catalog | str | PathLike[str] | None) -> Catalog | None:
    """Return the catalog where variants of an item may be, if there is one; the item itself needs none."""
    if catalog is None:
        return None
    try:
        return default_catalog(catalog)
    except CatalogError:
        return None


def _as_kept(before: KeptItem, where: str, why: str) -> Found:

    item = as_item(before.document)
    item.set_self_href(None)
    version = f", version {found}" if (found := item.properties.get("version")) else ""
    note = f"{shown(where)} was not asked ({why}): {item.id} is used as it was on {before.day}{version}"
    return Found((item,), item, None, note)


def by_query(query: Query, catalog: Catalog) -> Found:
    """Find the one model that a query means.

    Raises
    ------
    NotFoundError
        If nothing matches.
    AmbiguousError
        If several models match: variants and versions of one can be chosen from, models cannot.
    """
    items = _models(catalog.search(query))
    asked = ", ".join(f"{name}={value}" for name, value in query.asked().items()) or "anything"
    if not items:
        raise NotFoundError(f"no model in {catalog.href} matches {asked}: ask for less, or see modelstac search")
    names = sorted({str(item.collection_id) for item in items})
    if len(names) > 1:
        raise AmbiguousError(
            f"{len(names)} models match {asked}: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}; "
            "name one of them (name=…)"
        )
    return Found(_of_one_model(items, names[0]), None, catalog)


def siblings(item: pystac.Item, catalog: Catalog) -> list[pystac.Item]:
    """Return the variants of an item's version that were proved equal to it, or to what it was proved equal to."""
    found = catalog.search(Query(collections=(str(item.collection_id),)))
    version = item.properties.get("version")
    peers = {other.id: other for other in found if other.properties.get("version") == version} | {item.id: item}
    near: dict[str, set[str]] = {}
    for other in peers.values():
        parity = other.properties.get("interop:parity")
        if isinstance(parity, dict) and parity.get("passed") is True and parity.get("source") in peers:
            near.setdefault(other.id, set()).add(str(parity["source"]))
            near.setdefault(str(parity["source"]), set()).add(other.id)
    reached, waiting = {item.id}, [item.id]
    while waiting:
        new = near.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return [peers[name] for name in sorted(reached - {item.id})]


def read_place(text: str) -> pystac.Item:
    """Read an item from a URL (of a static catalog, an API, signed or not) or from a file or folder on this machine.

    Raises
    ------
    NotFoundError, StorageError, DownloadError
        If it cannot be read.
    InvalidItemError
        If it is no STAC item.
    """
    document, base, place = read_json(text)
    if (reason := oddity(document)) is not None:
        raise InvalidItemError(f"{shown(place)} is no STAC item that can be read: {reason}; ask its publisher")
    beside = local_path(base)
    return _item(document, base, place, folder=beside.parent if beside and beside.name == FOLDER_ITEM else None)


def read_json(text: str) -> tuple[dict[str, Any], str, str]:
    """Read the document of an item as it stands.

    Returns
    -------
    document, base, place
        The document; what its relative addresses are relative to; how it is called in messages.

    Raises
    ------
    ModelStacError
        As :func:`read_place` does.
    """
    text = typed(text)
    path = local_path(text)
    if path is None:
        place, data = text, _fetched(text)
        base = text.partition("?")[0]
    else:
        path = path / FOLDER_ITEM if path.is_dir() else path
        place, data = str(path), _read(path)
        base = str(path.absolute())
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidItemError(
            f"{shown(place)} is no STAC item: it is no JSON; name the item's own document"
        ) from error
    if not isinstance(document, dict) or document.get("type") != "Feature":
        found = document.get("type") if isinstance(document, dict) else type(document).__name__
        raise InvalidItemError(f"{shown(place)} is no STAC item: expected type 'Feature', found {found!r}")
    return document, base, place


def _item(document: dict[str, Any], base: str, place: str, *, folder: Path | None) -> pystac.Item:

    try:
        item = as_item(documents.absolute(document, base))
        item.set_self_href(None)  # hrefs are absolute already
    except Exception as error:  # pystac's own migrations raise whatever comes
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidItemError(f"{shown(place)} is no complete STAC item: {reason}; ask its publisher") from error
    for key, asset in item.assets.items():
        if "://" in base:
            asset.href = urljoin(base, asset.href) if asset.href.startswith("/") else asset.href
            if local_path(asset.href) is not None:
                raise UntrustedError(
                    f"{shown(place)} names a file of this machine ({asset.href}, asset {key!r}), which an item from "
                    "elsewhere may not: ask its publisher"
                )
        found = [documents.resolve(href, base) for href in copies(asset)]
        allowed = [href for href in found if "://" not in base or local_path(href) is None]
        asset.extra_fields |= {"alternate": {href: {"href": href} for href in allowed}} if found else {}
        beside = folder / asset.href.rpartition("/")[2] if folder is not None else None
        if beside is not None and beside.is_file():  # the folder was fetched, the item still names where from
            asset.href = str(beside.absolute())
    return item


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"no item {path}: check the path") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check the path and who may read it") from error


def _fetched(href: str) -> bytes:
    from modelstac.registry.files.download import Source, download

    content = bytearray()
    for chunk in download(Source(href, "", None, "the item"), start=0):
        content += chunk
        if len(content) > MAX_ITEM:
            raise UntrustedError(f"{shown(href)} has more than {MAX_ITEM} bytes, as no item has")
    return bytes(content)


def _by_alias(text: str, catalog: Catalog) -> pystac.Item:
    item_id = catalog.resolve(text)
    item = catalog.find(catalog.pointed(text))
    if item is None:
        name, _, alias = text.partition("@")
        raise NotFoundError(
            f"alias {text} points to {item_id!r}, which is not in {catalog.href}: point it to an item that is there "
            f"(modelstac alias {name} {alias} ITEM)"
        )
    return item


def _by_range(name: str, wanted: str, catalog: Catalog) -> Found:
    items = _models(catalog.search(Query(collections=(name,), version=wanted)))
    if items:
        return Found(_of_one_model(items, name), None, catalog)
    names = [collection.id for collection in catalog.collections()]
    if name not in names:
        raise NotFoundError.unknown("model", name, names, where=catalog.href)
    known = {str(item.properties.get("version")) for item in catalog.search(Query(collections=(name,)))}
    raise NotFoundError(
        f"no version of {name} in {catalog.href} lies in {wanted!r}: there are {', '.join(sorted(known))}"
    )


def _models(items: Iterable[pystac.Item]) -> list[pystac.Item]:
    """Leave out what is no model (data), and what is deprecated unless there is nothing else."""
    found = [item for item in items if any(name.startswith("mlm:") for name in item.properties)]
    return [item for item in found if not item.properties.get("deprecated")] or found


def _of_one_model(items: Sequence[pystac.Item], collection: str) -> tuple[pystac.Item, ...]:
    """Return items, the newest first, of a collection; other people's may hold models that have nothing in common.

    Raises
    ------
    AmbiguousError
        If they do: of ours every item is of one model, of theirs those of one name are.
    """
    models = {_model_of(item): item.id for item in sorted(items, key=lambda item: item.id, reverse=True)}
    if len(models) > 1:
        ids = sorted(models.values())
        raise AmbiguousError(
            f"{collection!r} is a collection of {len(models)} models: {', '.join(ids[:5])}"
            f"{', …' if len(ids) > 5 else ''}; name one of them, such as {f'{collection}/{ids[0]}'!r}"
        )
    return tuple(sorted(items, key=version_of, reverse=True))


def _model_of(item: pystac.Item) -> str | None:
    if OUR_FIELD in item.properties:
        return None
    said = item.properties.get("mlm:name")
    return said.casefold() if isinstance(said, str) and said.strip() else item.id


def version_of(item: pystac.Item) -> Any:
    """Return the version of a model as something to compare; without one it is the oldest."""
    try:
        version = parse_version(str(item.properties["version"]))
    except (InvalidItemError, KeyError):
        version = parse_version("0.dev0")
    return (not version.is_prerelease, version)
