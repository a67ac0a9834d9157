"""Pages for people: ``/models/{name}``, one a model, and ``/models``, the list of them; HTML that needs no script."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import attr
from fastapi import APIRouter, FastAPI, Request
from stac_fastapi.types.extension import ApiExtension
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modelstac.catalog.errors import NotFoundError
from modelstac.catalog.items.documents import Document, aliases_of
from modelstac.catalog.items.identity import is_model
from modelstac.catalog.pages.page import Links, entry, model_page, models_page, policy
from modelstac.catalog.search.query import Query
from modelstac.catalog.server.stores.links import MODELS, address_of, base_url, is_absolute, item_path, names_tag
from modelstac.catalog.server.stores.store import Store

MOST_ITEMS = 1_000
MOST_MODELS = 100
LONGEST_TOKEN = 20_000


@attr.s
class Pages(ApiExtension):
    """``/models`` and ``/models/{name}``.

    Parameters
    ----------
    store
        Where the models are.
    title
        Of the list.
    footer
        The last line of every page.
    browser
        Whether STAC Browser is shown at ``/browser``.
    """

    store: Store = attr.ib(kw_only=True)
    title: str = attr.ib(kw_only=True)
    footer: str = attr.ib(kw_only=True)
    browser: bool = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(factory=list)
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the routes; they are no part of the API, and not in its description."""
        router = APIRouter(tags=["Pages"], include_in_schema=False)
        router.add_api_route(f"/{MODELS}", self.models, response_model=None)
        router.add_api_route(f"/{MODELS}/{{name}}", self.model, response_model=None)
        app.include_router(router)

    async def model(self, name: str, request: Request) -> Response:
        """Answer with the page of a model."""
        collection = await self.store.collection(name)
        if collection is None:
            raise NotFoundError(f"no model {name!r}: see /{MODELS}")
        found = await self.store.search(Query(collections=(name,), sortby=("-version",), limit=MOST_ITEMS))
        items = list(found.documents)
        if found.next is not None and (pointed := set(aliases_of(collection).values()) - {one["id"] for one in items}):
            more = await self.store.search(Query(collections=(name,), ids=tuple(sorted(pointed)), limit=MOST_ITEMS))
            items += more.documents
        links = self._links(collection, base_url(request))
        return await _answer(request, partial(model_page, collection, items, links, footer=self.footer))

    async def models(self, request: Request) -> Response:
        """Answer with a part of the list of models."""
        token = request.query_params.get("token", "")[:LONGEST_TOKEN] or None
        page = await self.store.search_collections(Query(limit=MOST_MODELS, token=token))
        # A link without a folder would stand below the server's own address.
        listed = [
            entry(found, f"{MODELS}/{quote(str(found['id']), safe='')}") for found in page.documents if is_model(found)
        ]
        more = None if page.next is None else f"{MODELS}?{urlencode({'token': page.next})}"
        links = Links(base_url(request), collection="./", browser="browser/" if self.browser else None)
        return await _answer(request, partial(models_page, self.title, listed, links, footer=self.footer, more=more))

    def _links(self, collection: Document, base: str) -> Links:
        """Return where the page of a model leads; addresses are seen from it, so that any proxy may stand before."""
        path = f"collections/{quote(str(collection['id']), safe='')}"

        def item(document: Mapping[str, Any]) -> str:
            found = item_path(str(document["collection"]), str(document["id"]))
            return f"../browser/{found}" if self.browser else f"../{found}"

        def asset(document: Mapping[str, Any], key: str) -> str | None:
            href = document["assets"][key].get("href")
            return href if not isinstance(href, str) or is_absolute(href) else f"../{address_of(href)}"

        return Links(
            catalog=base.rstrip("/"),
            collection=f"../{path}",
            models=f"../{MODELS}",
            browser=f"../browser/{path}" if self.browser else None,
            address=f"{base}{MODELS}/{quote(str(collection['id']), safe='')}",
            item=item,
            asset=asset,
            picture=asset,
        )


async def _answer(request: Request, page: Callable[[], str]) -> Response:
    text = await run_in_threadpool(page)
    tag = f'"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'
    headers: dict[str, Any] = {"ETag": tag, "Cache-Control": "no-cache"}
    if names_tag(request.headers.get("if-none-match"), tag, weak=True):
        return Response(status_code=304, headers=headers)
    headers |= {"Content-Security-Policy": policy(), "X-Content-Type-Options": "nosniff"}
    return Response(text, headers=headers, media_type="text/html")
