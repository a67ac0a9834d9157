"""The writing half of the API: the Transaction extension, bulk items, and keys before all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attr
import orjson
import pystac
from fastapi import APIRouter, Depends, FastAPI, Request
from stac_fastapi.types.extension import ApiExtension
from stac_fastapi.types.requests import get_base_url
from starlette.responses import Response

from modelstac.catalog.documents import Document, now
from modelstac.catalog.errors import ChangedMeanwhileError, InvalidItemError, ItemExistsError
from modelstac.catalog.identity import ALIASES, differences
from modelstac.catalog.server.client import answer, answer_stored
from modelstac.catalog.server.keys import Keys
from modelstac.catalog.server.links import etag, item_path, stored_document
from modelstac.catalog.server.patches import patched
from modelstac.catalog.server.store import Change, Store
from modelstac.catalog.validation import validate, validate_document

_UNFIT = frozenset(":/?#[]@!$&'()*+,;=%\\ ")
_LONGEST_ID = 200
_READABLE = ("http://", "https://", "s3://", "gs://", "az://", "artifacts/")


@attr.s
class Transactions(ApiExtension):
    """Routes that write. Every one needs a key."""

    store: Store = attr.ib(kw_only=True)
    keys: Keys = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(
        factory=lambda: [
            "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction",
            "https://api.stacspec.org/v1.0.0/collections/extensions/transaction",
        ]
    )
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the routes."""

        def with_key(request: Request) -> None:
            request.state.writer = self.keys.check(request.headers.get("authorization"))

        router = APIRouter(dependencies=[Depends(with_key)], tags=["Transactions"])
        paths: dict[str, dict[str, Callable[..., Any]]] = {
            "/collections": {"POST": self.create_collection},
            "/collections/{collection_id}": {
                "PUT": self.update_collection,
                "PATCH": self.patch_collection,
                "DELETE": self.delete_collection,
            },
            "/collections/{collection_id}/items": {"POST": self.create_items},
            "/collections/{collection_id}/bulk_items": {"POST": self.create_many},
            "/collections/{collection_id}/items/{item_id}": {
                "PUT": self.update_item,
                "PATCH": self.patch_item,
                "DELETE": self.delete_item,
            },
        }
        for path, routes in paths.items():
            for method, endpoint in routes.items():
                router.add_api_route(path, endpoint, methods=[method], response_model=None)
        app.include_router(router)

    async def create_items(self, collection_id: str, request: Request) -> Response:
        """Publish an item, or all items of a FeatureCollection, or none."""
        document = await _json_body(request)
        if document.get("type") != "FeatureCollection":
            [fresh] = await self._add(collection_id, [document], request)
            stored = await self.store.item(collection_id, document["id"])
            assert stored is not None, "an item that was stored is there"
            response = answer_stored(request, stored, status=201 if fresh else 200)
            response.headers["Location"] = get_base_url(request) + item_path(collection_id, document["id"])
            return response
        features = document.get("features")
        if not isinstance(features, list):
            raise InvalidItemError("features: expected a list of items")
        await self._add(collection_id, features, request)
        return Response(status_code=201)

    async def create_many(self, collection_id: str, request: Request) -> Response:
        """Publish many items: ``{"items": {id: item}, "method": "insert" | "upsert"}``, all or none."""
        document = await _json_body(request)
        items = document.get("items")
        if not isinstance(items, dict):
            raise InvalidItemError("items: expected an object of items by id")
        fresh = await self._add(collection_id, list(items.values()), request)
        skipped = len(fresh) - sum(fresh)
        return answer({"received": len(fresh), "success": sum(fresh), "skipped": skipped, "errors": []})

    async def _add(self, collection_id: str, items: Sequence[Any], request: Request) -> list[bool]:
        base = get_base_url(request)
        stored = []
        for item in items:
            document = _checked_item(item, collection_id, base)
            document["properties"] |= dict.fromkeys(("created", "updated"), now())
            stored.append(document)
        return await self.store.add_items(collection_id, stored)

    async def update_item(self, collection_id: str, item_id: str, request: Request) -> Response:
        """Replace an item; only what may change after publication may differ."""
        item = _checked_item(await _json_body(request), collection_id, get_base_url(request), expected_id=item_id)
        return await self._change_item(collection_id, item_id, request, lambda stored: _kept_times(item, stored))

    async def patch_item(self, collection_id: str, item_id: str, request: Request) -> Response:
        """Change an item by a JSON merge patch, or by a JSON patch."""
        patch = await _json_body(request, kinds=(dict, list))
        base = get_base_url(request)

        def change(stored: Document) -> Document:
            return _checked_item(patched(stored, patch), collection_id, base, expected_id=item_id)

        return await self._change_item(collection_id, item_id, request, change)

    async def _change_item(self, collection_id: str, item_id: str, request: Request, change: Change) -> Response:
        def checked(stored: Document) -> Document:
            _unchanged_meanwhile(request, stored)
            changed = change(stored)
            if differing := differences(pystac.Item.from_dict(stored), pystac.Item.from_dict(changed)):
                raise ItemExistsError(
                    f"item {item_id!r} is published, so {', '.join(differing[:4])} cannot change: "
                    "publish under a new version"
                )
            changed["properties"]["updated"] = now()
            return changed

        return answer_stored(request, await self.store.change_item(collection_id, item_id, checked))

    async def delete_item(self, collection_id: str, item_id: str) -> Response:
        """Remove an item; its artifacts go with ``modelstac gc``."""
        await self.store.remove_item(collection_id, item_id)
        return Response(status_code=204)

    async def create_collection(self, request: Request) -> Response:
        """Create a collection: one model."""
        document = _checked_collection(await _json_body(request), get_base_url(request))
        await self.store.add_collection(document)
        response = answer_stored(request, document, status=201)
        response.headers["Location"] = f"{get_base_url(request)}collections/{document['id']}"
        return response

    async def update_collection(self, collection_id: str, request: Request) -> Response:
        """Replace a collection; with ``If-Match`` only when nobody changed it meanwhile."""
        document = await _json_body(request)
        base = get_base_url(request)
        changed = _checked_collection(document, base, collection_id)
        return await self._change_collection(collection_id, request, lambda _: changed)

    async def patch_collection(self, collection_id: str, request: Request) -> Response:
        """Change a collection by a JSON merge patch, or by a JSON patch."""
        patch = await _json_body(request, kinds=(dict, list))
        base = get_base_url(request)

        def change(stored: Document) -> Document:
            return _checked_collection(patched(stored, patch), base, collection_id)

        return await self._change_collection(collection_id, request, change)

    async def _change_collection(self, collection_id: str, request: Request, change: Change) -> Response:
        def checked(stored: Document) -> Document:
            _unchanged_meanwhile(request, stored)
            return change(stored)

        return answer_stored(request, await self.store.change_collection(collection_id, checked))

    async def delete_collection(self, collection_id: str) -> Response:
        """Remove a collection with all its items."""
        await self.store.remove_collection(collection_id)
        return Response(status_code=204)


async def _json_body(request: Request, kinds: tuple[type, ...] = (dict,)) -> Any:
    try:
        document = orjson.loads(await request.body())
    except ValueError as error:
        raise InvalidItemError(f"the body is no JSON: {error}") from error
    if not isinstance(document, kinds):
        raise InvalidItemError(f"the body: expected a JSON object, found {type(document).__name__}")
    return document


def _checked_item(item: Any, collection_id: str, base: str, expected_id: str | None = None) -> Document:
    """Return a valid item as it is stored; without its files, which an API cannot see."""
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise InvalidItemError("type: expected a STAC item of type 'Feature'")
    _check_id(item.get("id"), expected_id)
    if item.setdefault("collection", collection_id) != collection_id:
        raise InvalidItemError(f"collection: {item['collection']!r} is not {collection_id!r}, which the address names")
    stored: Document = _read(lambda: stored_document(item, base))
    for key, asset in stored.get("assets", {}).items():
        href = asset["href"]
        if not href.startswith(_READABLE) or ".." in href.split("/"):
            raise InvalidItemError(
                f"assets.{key}.href: {asset['href'][:80]!r} is neither an address that others can read nor one below "
                f"{base}artifacts/"
            )
    stored["properties"] = {name: value for name, value in stored["properties"].items() if name != ALIASES}
    collection_link = {"rel": "collection", "href": f"collections/{collection_id}"}
    validate(_read(lambda: pystac.Item.from_dict(stored | {"links": [*stored["links"], collection_link]})))
    return stored


def _checked_collection(collection: Any, base: str, expected_id: str | None = None) -> Document:
    if collection.get("type") != "Collection":
        raise InvalidItemError("type: expected a STAC collection of type 'Collection'")
    _check_id(collection.get("id"), expected_id)
    stored: Document = _read(lambda: stored_document(collection, base))
    validate_document(stored)
    return stored


def _check_id(found: Any, expected: str | None) -> None:
    fit = isinstance(found, str) and 0 < len(found) <= _LONGEST_ID and found.isprintable() and not _UNFIT & set(found)
    if not fit:
        shown = repr(found)[:60]
        raise InvalidItemError(f"id: {shown} is no name of 1 to {_LONGEST_ID} letters, digits, '.', '-' and '_'")
    if expected not in (None, found):
        raise InvalidItemError(f"id: {found!r} is not {expected!r}, which the address names")


def _read(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except (pystac.STACError, pystac.STACTypeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidItemError(f"no STAC document: {type(error).__name__}: {error}") from error


def _kept_times(item: Document, stored: Document) -> Document:
    created = {name: stored["properties"][name] for name in ("created",) if name in stored["properties"]}
    return item | {"properties": item["properties"] | created}


def _unchanged_meanwhile(request: Request, stored: Document) -> None:
    expected = request.headers.get("if-match")
    if expected not in (None, "*", etag(stored)):
        raise ChangedMeanwhileError("it was changed meanwhile: read it again and repeat the change")
