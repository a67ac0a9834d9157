"""The writing half of the API: the Transaction extension, bulk items, and keys before all of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import attr
import pystac
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from stac_fastapi.types.extension import ApiExtension
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modelstac.catalog.errors import InvalidItemError, ItemExistsError, ModelStacError
from modelstac.catalog.items.collections.widening import described
from modelstac.catalog.items.documents import Document, now
from modelstac.catalog.items.identity import BULK_CONFORMANCE, EVIDENCE_ASSETS, differences
from modelstac.catalog.server.routes.bulk import Body, all_there, checked_parts, read_rest, received
from modelstac.catalog.server.routes.client import answer, answer_stored
from modelstac.catalog.server.routes.incoming import Checks, is_foreign, json_body, patch_body, unchanged_meanwhile
from modelstac.catalog.server.routes.keys import Keys, admit
from modelstac.catalog.server.routes.openapi import request_body
from modelstac.catalog.server.routes.patches import patched
from modelstac.catalog.server.stores.links import base_url, etag, item_path
from modelstac.catalog.server.stores.store import Change, Store

_METHODS = ("insert", "upsert")


@attr.s
class Transactions(ApiExtension):
    """Routes that write. Every one needs a key."""

    store: Store = attr.ib(kw_only=True)
    keys: Keys = attr.ib(kw_only=True)
    checks: Checks = attr.ib(kw_only=True)
    largest: int = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(
        factory=lambda: [
            "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction",
            "https://api.stacspec.org/v1.0.0/collections/extensions/transaction",
            BULK_CONFORMANCE,
        ]
    )
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the routes."""

        async def with_key(request: Request) -> None:
            # Not in a thread: who writes is known from here on, in this request.
            admit(self.keys, request)

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
                said = request_body(method, path)
                router.add_api_route(path, endpoint, methods=[method], response_model=None, openapi_extra=said)
        app.include_router(router)
        said = request_body("POST", "/bulk_items")
        app.add_api_route(
            "/bulk_items",
            self.create_from_lines,
            methods=["POST"],
            response_model=None,
            openapi_extra=said,
            tags=["Transactions"],
        )

    async def create_items(self, collection_id: str, request: Request) -> Response:
        """Publish an item, or all items of a FeatureCollection, or none."""
        document = await json_body(request)
        if document.get("type") != "FeatureCollection":
            [fresh] = await self._add(collection_id, [document], request)
            stored = await self.store.item(collection_id, document["id"])
            assert stored is not None, "an item that was stored is there"
            response = answer_stored(request, stored, status=201 if fresh else 200)
            response.headers["Location"] = base_url(request) + item_path(collection_id, document["id"])
            return response
        features = document.get("features")
        if not isinstance(features, list):
            raise InvalidItemError("features: expected a list of items")
        await self._add(collection_id, features, request)
        return Response(status_code=201)

    async def create_many(self, collection_id: str, request: Request) -> Response:
        """Publish many items: ``{"items": {id: item}, "method": "insert" | "upsert"}``, all or none.

        Of an upsert, those that are there are changed as by PUT first, all or none; those that are not come then.
        """
        document = await json_body(request)
        items = document.get("items")
        if not isinstance(items, dict):
            raise InvalidItemError("items: expected an object of items by id")
        if (method := document.get("method", "insert")) not in _METHODS:
            raise InvalidItemError(f"method: {str(method)[:60]!r} is not one of {', '.join(_METHODS)}")
        for key, item in items.items():
            if isinstance(item, dict) and item.get("id") != key:
                raise InvalidItemError(f"items: the one under {key[:60]!r} has the id {str(item.get('id'))[:60]!r}")
        changed = await self._changed(collection_id, items, request) if method == "upsert" else frozenset()
        fresh = await self._add(collection_id, [item for key, item in items.items() if key not in changed], request)
        success = len(changed) + sum(fresh)
        return answer({"received": len(items), "success": success, "skipped": len(items) - success, "errors": []})

    async def _changed(self, collection_id: str, items: Document, request: Request) -> Collection[str]:
        """Change those of the items that are there, and return their ids."""
        base = base_url(request)
        checked = await run_in_threadpool(
            lambda: {key: self.checks.item(item, collection_id, base) for key, item in items.items()}
        )
        changes = {}
        for key, item in checked.items():
            if await self.store.item(collection_id, key) is not None:
                changes[key] = self._change(request, partial(_kept_times, item))
        await self.store.change_items(collection_id, changes)
        return changes.keys()

    async def create_from_lines(self, request: Request) -> Response:
        """Publish items of any models, one a line, all or none; collections that are missing are made."""
        count = 0

        async def counted(body: Body) -> AsyncGenerator[list[Document], None]:
            nonlocal count
            async with contextlib.aclosing(checked_parts(body, self.checks)) as parts:
                async for part in parts:
                    count += len(part)
                    yield part

        try:
            # Here and not before: what is left of the request is read even when it is refused.
            admit(self.keys, request)
            async with (
                received(request, self.largest) as body,
                contextlib.aclosing(counted(body)) as parts,
                all_there(parts, body.ended) as items,
            ):
                new = await self.store.add_parts(items)
        except (ModelStacError, HTTPException):
            await read_rest(request)
            raise
        return answer({"received": count, "success": new, "skipped": count - new, "errors": []})

    async def _add(self, collection_id: str, items: Sequence[Any], request: Request) -> list[bool]:
        base = base_url(request)

        def checked() -> list[Document]:
            stored = []
            for item in items:
                document = self.checks.item(item, collection_id, base)
                document["properties"] |= dict.fromkeys(("created", "updated"), now())
                stored.append(document)
            return stored

        # Thousands take a while, in which others want answers, and the database can store those before.
        return await self.store.add_items(collection_id, await run_in_threadpool(checked))

    async def update_item(self, collection_id: str, item_id: str, request: Request) -> Response:
        """Replace an item; only what may change after publication may differ."""
        item = self.checks.item(await json_body(request), collection_id, base_url(request), expected_id=item_id)
        return await self._change_item(collection_id, item_id, request, partial(_kept_times, item))

    async def patch_item(self, collection_id: str, item_id: str, request: Request) -> Response:
        """Change an item by a JSON merge patch, or by a JSON patch."""
        patch = await patch_body(request)
        base = base_url(request)

        def change(stored: Document) -> Document:
            return self.checks.item(patched(stored, patch), collection_id, base, expected_id=item_id)

        return await self._change_item(collection_id, item_id, request, change)

    async def _change_item(self, collection_id: str, item_id: str, request: Request, change: Change) -> Response:
        [stored] = await self.store.change_items(collection_id, {item_id: self._change(request, change)})
        if "return=representation" in request.headers.get("prefer", "").replace(" ", ""):
            return answer_stored(request, stored)
        return Response(status_code=204, headers={"ETag": etag(stored)})

    def _change(self, request: Request, change: Change) -> Change:
        """Return a change that leaves what is fixed of a published item as it is, or is refused."""

        def checked(stored: Document) -> Document:
            unchanged_meanwhile(request, stored)
            changed = change(stored)
            if not (self.checks.any_items and is_foreign(stored) and is_foreign(changed)):
                if differing := _fixed_parts(stored, changed):
                    raise ItemExistsError(
                        f"item {stored['id']!r} is published, so {', '.join(differing[:4])} cannot change: "
                        "publish under a new version"
                    )
                evidence = {key: changed["assets"][key] for key in EVIDENCE_ASSETS & changed["assets"].keys()}
                changed = stored | {"properties": changed["properties"], "assets": stored["assets"] | evidence}
            changed["properties"]["updated"] = now()
            return changed

        return checked

    async def delete_item(self, collection_id: str, item_id: str, request: Request) -> Response:
        """Remove an item; its artifacts go with ``modelstac gc``."""
        await self.store.remove_item(collection_id, item_id, partial(unchanged_meanwhile, request))
        return Response(status_code=204)

    async def create_collection(self, request: Request) -> Response:
        """Create a collection: one model."""
        document = self.checks.collection(await json_body(request), base_url(request))
        await self.store.add_collection(document)
        response = answer_stored(request, document, status=201)
        response.headers["Location"] = f"{base_url(request)}collections/{quote(document['id'], safe='')}"
        return response

    async def update_collection(self, collection_id: str, request: Request) -> Response:
        """Replace a collection; with ``If-Match`` only when nobody changed it meanwhile."""
        document = await json_body(request)
        base = base_url(request)
        changed = self.checks.collection(document, base, collection_id)
        return await self._change_collection(collection_id, request, lambda _: changed)

    async def patch_collection(self, collection_id: str, request: Request) -> Response:
        """Change a collection by a JSON merge patch, or by a JSON patch."""
        patch = await patch_body(request)
        base = base_url(request)

        def change(stored: Document) -> Document:
            return self.checks.collection(patched(stored, patch), base, collection_id)

        return await self._change_collection(collection_id, request, change)

    async def _change_collection(self, collection_id: str, request: Request, change: Change) -> Response:
        def checked(stored: Document) -> Document:
            unchanged_meanwhile(request, stored)
            return described(stored, change(stored))

        return answer_stored(request, await self.store.change_collection(collection_id, checked))

    async def delete_collection(self, collection_id: str, request: Request) -> Response:
        """Remove a collection with all its items."""
        await self.store.remove_collection(collection_id, partial(unchanged_meanwhile, request))
        return Response(status_code=204)


def _fixed_parts(stored: Document, changed: Document) -> list[str]:
    """Return the names of what differs and may not; links and hrefs are the server's own."""
    other = {name for name in stored.keys() | changed.keys() if name not in {"properties", "links", "assets"}}
    differing = {name for name in other if stored.get(name) != changed.get(name)}
    return sorted(differing.union(differences(pystac.Item.from_dict(stored), pystac.Item.from_dict(changed))))


def _kept_times(item: Document, stored: Document) -> Document:
    created = {name: stored["properties"][name] for name in ("created",) if name in stored["properties"]}
    return item | {"properties": item["properties"] | created}
