"""What clients send to be stored: read, checked, and brought into the form in which it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pystac
from fastapi import HTTPException, Request
from pystac.serialization import identify_stac_object, migrate_to_latest

from modelstac.catalog.backends.oddities import oddity
from modelstac.catalog.errors import ChangedMeanwhileError, InvalidItemError
from modelstac.catalog.items.documents import Document, is_image_asset
from modelstac.catalog.items.geometry import check_bbox
from modelstac.catalog.items.identity import ALIASES, EVIDENCE_ASSETS, RULES, is_said_here
from modelstac.catalog.items.validation import (
    check_item,
    declares_mlm,
    is_foreign_model,
    known_schemas,
    validate_document,
)
from modelstac.catalog.rules import ALIAS, check_rules
from modelstac.catalog.search.facts import moments
from modelstac.catalog.server.files.named import check_digests
from modelstac.catalog.server.routes.patches import read_json, refuse_unstorable
from modelstac.catalog.server.stores.links import etag, names_tag, stored_document
from modelstac.catalog.times import first_and_last

_UNFIT = frozenset(":/?#[]@!$&'()*+,;=%\\ ")
_LONGEST_ID = 200
_READABLE = ("http://", "https://", "s3://", "gs://", "az://", "artifacts/")
_MIGRATED = ("1.0.0", "1.1.0")


async def json_body(request: Request, kinds: tuple[type, ...] = (dict,)) -> Any:
    """Return the JSON of a request's body.

    Raises
    ------
    InvalidItemError
        If it is none, of another kind, or what cannot be stored by every backend and answered again.
    """
    media_type = _media_type(request)
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(415, f"Content-Type: {media_type[:60]!r} is not understood, application/json is")
    body = await request.body()
    try:
        document = read_json(body)
    except InvalidItemError as error:
        raise InvalidItemError(f"the body: {error}") from error
    if not isinstance(document, kinds):
        expected = " or ".join("a list of operations" if kind is list else "a JSON object" for kind in kinds)
        raise InvalidItemError(f"the body: expected {expected}, found {type(document).__name__}")
    refuse_unstorable(document)
    return document


async def patch_body(request: Request) -> Any:
    """Return the patch of a request's body: operations where its type says so, what is merged where it says that.

    Raises
    ------
    InvalidItemError
        As :func:`json_body` does.
    """
    kinds = {"application/json-patch+json": (list,), "application/merge-patch+json": (dict,)}
    return await json_body(request, kinds.get(_media_type(request), (dict, list)))


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Checks:
    """What is accepted.

    Parameters
    ----------
    any_items
        Whether items that are no models are, too; these may be changed after they were published.
    """

    any_items: bool = False

    def item(self, item: Any, collection_id: str, base: str, expected_id: str | None = None) -> Document:
        """Return a valid item as it is stored; without its files, which an API cannot see."""
        stored, judged = self.begun(item, collection_id, base, expected_id)
        validate_document(judged)
        return stored

    def begun(
        self, item: Any, collection_id: str, base: str, expected_id: str | None = None
    ) -> tuple[Document, Document]:
        """Return an item as it is stored, and as the schemas are still to judge it; all else is right."""
        if not isinstance(item, dict) or item.get("type") != "Feature":
            raise InvalidItemError("type: expected a STAC item of type 'Feature'")
        check_id(item.get("id"), expected_id)
        if item.setdefault("collection", collection_id) != collection_id:
            found = str(item["collection"])[:60]
            raise InvalidItemError(f"collection: {found!r} is not {collection_id!r}, which the address names")
        for name, kind in (("properties", dict), ("links", list), ("assets", dict)):
            if not isinstance(item.setdefault(name, kind()), kind):
                raise InvalidItemError(f"{name}: expected {'an object' if kind is dict else 'a list'}")
        _refuse_odd(item)
        stored: Document = _read(lambda: stored_document(item, base))
        for key, asset in stored["assets"].items():
            href = asset["href"]
            if key in EVIDENCE_ASSETS and href.startswith("data:"):
                continue
            if is_image_asset(asset):
                continue
            if not href.startswith(_READABLE) or ".." in href.split("/"):
                raise InvalidItemError(
                    f"assets.{key}.href: {href[:80]!r} is neither an address that others can read nor one below "
                    f"{base}artifacts/"
                )
        check_digests(stored)
        stored["properties"] = {name: value for name, value in stored["properties"].items() if name != ALIASES}
        return self._checked(stored, collection_id)

    def _checked(self, stored: Document, collection_id: str) -> tuple[Document, Document]:
        foreign = self.any_items and is_foreign(stored)
        _refuse_unknown(stored, _MIGRATED, extensions=not foreign)
        links = [*stored["links"], {"rel": "collection", "href": f"collections/{collection_id}"}]
        document = stored | {"links": links}
        current = pystac.get_stac_version()
        if stored["stac_version"] != current:
            read: pystac.Item = _read(lambda: pystac.Item.from_dict(document))
            document = read.to_dict(include_self_link=False, transform_hrefs=False)
        # As the current version of STAC has it, which is what every backend stores.
        stored["stac_version"] = current
        if foreign:
            return stored, document | {"stac_extensions": known_schemas(document.get("stac_extensions", ()))}
        check_item(document)
        return stored, document

    def collection(self, collection: Any, base: str, expected_id: str | None = None) -> Document:
        """Return a valid collection as it is stored."""
        if collection.get("type") != "Collection":
            raise InvalidItemError("type: expected a STAC collection of type 'Collection'")
        check_id(collection.get("id"), expected_id)
        _refuse_odd(collection)
        stored: Document = _read(lambda: stored_document(collection, base))
        _refuse_unknown(stored, _MIGRATED, extensions=False)
        if stored["stac_version"] != pystac.get_stac_version():
            stored = _read(lambda: migrate_to_latest(stored, identify_stac_object(stored)))
        _refuse_unknown(stored, _MIGRATED, extensions=not self.any_items)
        validate_document(stored | {"stac_extensions": known_schemas(stored.get("stac_extensions", ()))})
        _check_extent(stored["extent"])
        _check_aliases(stored.get(ALIASES, {}))
        check_rules(stored.get(RULES, {}))
        return stored


def _check_aliases(aliases: Any) -> None:
    """Refuse what are no aliases; whether there are such items is for the store, in its transaction."""
    if not isinstance(aliases, dict):
        raise InvalidItemError(f"{ALIASES}: expected an object of item ids by alias, found {type(aliases).__name__}")
    for alias, item_id in aliases.items():
        if not ALIAS.fullmatch(alias):
            raise InvalidItemError(f"{ALIASES}: {alias[:60]!r} is none: up to 64 letters, digits, '_', '.' and '-'")
        if not isinstance(item_id, str):
            raise InvalidItemError(f"{ALIASES}.{alias}: expected an item id, found {type(item_id).__name__}")


def is_foreign(item: Document) -> bool:
    """Tell whether an item is neither a model nor a dataset of ours: a scene, or a model that others described."""
    if is_said_here(item["properties"]):
        return False
    return is_foreign_model(item) or not (
        declares_mlm(item) or any(name.startswith("mlm:") for name in item["properties"])
    )


def _refuse_unknown(document: Document, versions: tuple[str, ...], *, extensions: bool = True) -> None:
    # A server fetches no address that a client names.
    if document.get("stac_version") not in versions:
        raise InvalidItemError(f"stac_version: {' or '.join(versions)} is needed")
    declared = document.get("stac_extensions", [])
    if not isinstance(declared, list) or not all(isinstance(uri, str) for uri in declared):
        raise InvalidItemError("stac_extensions: expected a list of addresses")
    if extensions and (unknown := set(declared) - set(known_schemas(declared))):
        raise InvalidItemError(f"stac_extensions: this server has no schema {min(unknown)[:120]!r}")


def _refuse_odd(document: Document) -> None:
    """Refuse what of a document could not be searched or read; the schemas take any text as a time."""
    what = "collection" if document["type"] == "Collection" else "item"
    if (odd := oddity(document)) is not None:
        raise InvalidItemError(f"{what} {document['id']!r}: {odd}")
    if what == "item" and (found := moments(document)) is not None and found[0] > found[1]:
        raise InvalidItemError(f"item {document['id']!r}: properties.start_datetime is after properties.end_datetime")


def _check_extent(extent: Document) -> None:
    """Refuse an extent in which nothing could be searched: the schemas take any numbers, and any text as a time."""
    for number, box in enumerate(extent["spatial"]["bbox"]):
        try:
            check_bbox(box)
        except ValueError as error:
            raise InvalidItemError(f"extent.spatial.bbox[{number}]: {str(error).removeprefix('bbox: ')}") from error
    for number, ends in enumerate(extent["temporal"]["interval"]):
        try:
            first, last = (end and first_and_last(end)[0] for end in ends)
        except (OverflowError, ValueError) as error:
            raise InvalidItemError(f"extent.temporal.interval[{number}]: {ends} are no times of RFC 3339") from error
        if first and last and first > last:
            raise InvalidItemError(f"extent.temporal.interval[{number}]: {ends[0]} is after {ends[1]}")


def unchanged_meanwhile(request: Request, stored: Document) -> None:
    """Refuse to change what a request expects to be otherwise (``If-Match``), or not there (``If-None-Match``)."""
    expected, other = request.headers.get("if-match"), request.headers.get("if-none-match")
    if expected is not None and not names_tag(expected, etag(stored), weak=False):
        raise ChangedMeanwhileError("it was changed meanwhile: read it again and repeat the change")
    if names_tag(other, etag(stored), weak=True):
        raise ChangedMeanwhileError(f"If-None-Match is {str(other)[:60]!r}, and it is there: change it by If-Match")


def check_id(found: Any, expected: str | None = None, *, what: str = "id") -> None:
    """Refuse what cannot be part of an address, or is not what an address names."""
    fit = isinstance(found, str) and 0 < len(found) <= _LONGEST_ID and found.isprintable() and not _UNFIT & set(found)
    # Of an address, these two lead elsewhere.
    fit = fit and found not in {".", ".."}
    if not fit:
        shown = repr(found)[:60]
        raise InvalidItemError(f"{what}: {shown} is no name of 1 to {_LONGEST_ID} letters, digits, '.', '-' and '_'")
    if expected not in (None, found):
        raise InvalidItemError(f"{what}: {found!r} is not {expected!r}, which the address names")


def _read(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except (pystac.STACError, pystac.STACTypeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidItemError(f"no STAC document: {type(error).__name__}: {str(error)[:200]}") from error
