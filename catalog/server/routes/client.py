"""The reading half of the API: what stac-fastapi's core and filter routes answer, over any store."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import attr
import orjson
from fastapi import Request
from stac_fastapi.types.core import AsyncBaseCoreClient
from starlette.responses import Response

from modelstac.catalog.errors import NotFoundError
from modelstac.catalog.items.documents import SORTABLES, Document, link
from modelstac.catalog.items.identity import about_all
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql.fields import reduced
from modelstac.catalog.server.routes.requests import query_from
from modelstac.catalog.server.stores.links import (
    GEOJSON,
    JSON,
    MODELS,
    SCHEMA,
    base_url,
    etag,
    form,
    names_tag,
    shown_collection,
    shown_item,
)
from modelstac.catalog.server.stores.store import Shown, Store


def answer(document: Any, media_type: str = JSON, *, status: int = 200, tag: str | None = None) -> Response:
    """Return a JSON answer."""
    headers = {"ETag": tag} if tag else None
    return Response(orjson.dumps(document), status, headers, media_type=media_type)


def answer_stored(request: Request, stored: Document, *, status: int = 200) -> Response:
    """Return an item or collection with its entity tag; 304 when the client has it already."""
    tag = etag(stored)
    if request.method == "GET" and names_tag(request.headers.get("if-none-match"), tag, weak=True):
        return Response(status_code=304, headers={"ETag": tag})
    base = base_url(request)
    if stored["type"] == "Feature":
        return answer(shown_item(stored, base), GEOJSON, status=status, tag=tag)
    return answer(shown_collection(stored, base), status=status, tag=tag)


@attr.s
class Reader(AsyncBaseCoreClient):
    """Landing page, collections, items and searches."""

    store: Store = attr.ib(kw_only=True)

    async def landing_page(self, **kwargs: Any) -> Any:
        """Answer ``GET /``."""
        page = await super().landing_page(**kwargs)
        base = base_url(kwargs["request"])
        page["links"].append(link(SORTABLES, f"{base}sortables", SCHEMA, title="Sortables"))
        page["links"].append(form("create-form", base, "collections"))
        page["links"].append(link("catalogs", f"{base}catalogs", title="Catalogs of teams"))
        page["links"].append(about_all(f"{base}{MODELS}"))
        return page

    async def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``GET /collections/{collection_id}/items/{item_id}``."""
        stored = await self.store.item(collection_id, item_id)
        if stored is None:
            raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}")
        return answer_stored(kwargs["request"], stored)

    async def get_collection(self, collection_id: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``GET /collections/{collection_id}``."""
        return answer_stored(kwargs["request"], await self._collection(collection_id))

    async def _collection(self, collection_id: str) -> Document:
        stored = await self.store.collection(collection_id)
        if stored is None:
            raise NotFoundError(f"no collection {collection_id!r}: see /collections")
        return stored

    async def all_collections(self, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``GET /collections``, which is also the search for collections."""
        request: Request = kwargs.pop("request")
        query = query_from(kwargs, request)
        page = await self.store.search_collections(query)
        base = base_url(request)
        shown = [reduced(shown_collection(found, base), query.fields) for found in page.documents]
        links = [
            link("root", base),
            link("self", f"{base}collections"),
            link(SORTABLES, f"{base}collections-sortables", SCHEMA, title="Sortables"),
            form("create-form", base, "collections"),
        ]
        body = {"collections": shown, "links": links + _paging(request, page), "numberReturned": len(shown)}
        return answer(body | _matched(page))

    async def get_search(self, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``GET /search``."""
        return await self._search(kwargs.pop("request"), kwargs)

    async def post_search(self, search_request: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``POST /search``."""
        given = {name: getattr(search_request, name) for name in type(search_request).model_fields}
        return await self._search(kwargs["request"], given, body=search_request)

    async def item_collection(self, collection_id: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``GET /collections/{collection_id}/items``."""
        await self._collection(collection_id)
        return await self._search(kwargs.pop("request"), kwargs | {"collections": [collection_id]})

    async def _search(self, request: Request, given: dict[str, Any], *, body: Any = None) -> Response:
        return await self.found(request, query_from(given, request), body=body)

    async def found(self, request: Request, query: Query, *, body: Any = None) -> Response:
        """Answer with a page of the items that a query finds."""
        base = base_url(request)
        page = await self.store.shown(query, base)
        links = [link("root", base), link("self", str(request.url), GEOJSON), *_paging(request, page, body)]
        features = {"features": page.features, "links": links, "numberReturned": len(page.features)}
        return answer({"type": "FeatureCollection"} | features | _matched(page), GEOJSON)


def _matched(page: Page | Shown) -> Document:
    return {} if page.matched is None else {"numberMatched": page.matched}


def _paging(request: Request, page: Page | Shown, body: Any = None) -> list[Document]:
    if page.next is None:
        return []
    if body is not None:
        given = body.model_dump(mode="json", by_alias=True, exclude_unset=True) | {"token": page.next}
        return [link("next", str(request.url), GEOJSON) | {"method": "POST", "body": given}]
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    href = str(request.url.replace(query=urlencode([*kept, ("token", page.next)])))
    return [link("next", href, GEOJSON) | {"method": "GET"}]
