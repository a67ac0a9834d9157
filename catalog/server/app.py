"""The whole service, in order: store, keys, reading, writing, artifacts, watching, browser, and what wraps them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from brotli_asgi import BrotliMiddleware
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import (
    ItemCollectionUri,
    create_get_request_model,
    create_post_request_model,
    create_request_model,
)
from stac_fastapi.extensions import (
    AggregationExtension,
    CollectionSearchExtension,
    CollectionSearchFilterExtension,
    FieldsExtension,
    FreeTextExtension,
    ItemCollectionFilterExtension,
    QueryExtension,
    SearchFilterExtension,
    TokenPaginationExtension,
)
from stac_fastapi.extensions.fields import FieldsConformanceClasses
from stac_fastapi.extensions.filter import FilterConformanceClasses as Cql2
from stac_fastapi.extensions.free_text import FreeTextConformanceClasses
from stac_fastapi.extensions.query import QueryConformanceClasses
from stac_fastapi.extensions.sort import CollectionSearchSortExtension, ItemCollectionSortExtension, SearchSortExtension
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.search import APIRequest
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from modelstac.catalog.server.routes.client import Queryables, Reader
from modelstac.catalog.server.routes.direct import add_direct_routes
from modelstac.catalog.server.routes.downloads import Artifacts
from modelstac.catalog.server.routes.facets import Facets
from modelstac.catalog.server.routes.incoming import Checks
from modelstac.catalog.server.routes.keys import Keys, Open
from modelstac.catalog.server.routes.requests import objects_only
from modelstac.catalog.server.routes.transactions import Transactions
from modelstac.catalog.server.settings import ServerSettings
from modelstac.catalog.server.stores.artifacts import ArtifactStore
from modelstac.catalog.server.stores.store import Store
from modelstac.catalog.server.watching import problems
from modelstac.catalog.server.watching.middleware import Forwarded, LimitBody, Metrics, Observe, ReadAddress

VERSION = version("modelstac")
_CQL2 = [
    Cql2.FILTER,
    Cql2.CQL2_TEXT,
    Cql2.CQL2_JSON,
    Cql2.BASIC_CQL2,
    Cql2.ADVANCED_COMPARISON_OPERATORS,
    Cql2.CASE_INSENSITIVE_COMPARISON,
    Cql2.BASIC_SPATIAL_FUNCTIONS,
    Cql2.TEMPORAL_FUNCTIONS,
    Cql2.ARRAY_FUNCTIONS,
]


def create_app(settings: ServerSettings, store: Store) -> FastAPI:
    """Put the service together.

    Parameters
    ----------
    store
        Where items and collections are; it is opened when the service starts and closed when it ends.
    """
    metrics = Metrics()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await store.open()
        yield
        await store.close()

    app = FastAPI(
        title=settings.title,
        description=settings.description,
        version=VERSION,
        root_path=settings.root_path,
        openapi_url="/api",
        docs_url="/api.html",
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_watching(app, store, metrics)
    _add_stac(app, settings, store, metrics)
    problems.add_handlers(app)
    if settings.browser_folder is not None:
        app.mount("/browser", _browser(settings.browser_folder), name="browser")
    return app


def _add_stac(app: FastAPI, settings: ServerSettings, store: Store, metrics: Metrics) -> None:
    """Add the STAC API: reading, searching, writing, artifacts."""
    keys = Keys(settings.keys_file) if settings.writes == "keys" else Open(settings.keys_file)
    reader = Reader(store=store, landing_page_id=settings.landing_id)
    search, items, collections = _extensions(Queryables(store=store))
    post_search = objects_only(create_post_request_model(search))
    StacApi(
        app=app,
        settings=ApiSettings(
            stac_fastapi_title=settings.title,
            stac_fastapi_description=settings.description,
            stac_fastapi_version=VERSION,
            stac_fastapi_landing_id=settings.landing_id,
            root_path=settings.root_path,
        ),
        client=reader,
        extensions=[
            *search,
            *items,
            collections,
            AggregationExtension(client=Facets(store=store)),
            Transactions(
                store=store, keys=keys, checks=Checks(any_items=settings.items == "any"), largest=settings.max_body
            ),
            Artifacts(artifacts=ArtifactStore(settings.artifact_place, limit=settings.max_artifact), keys=keys),
        ],
        search_get_request_model=create_get_request_model(search),
        search_post_request_model=post_search,
        items_get_request_model=cast("type[APIRequest]", create_request_model("Items", ItemCollectionUri, items)),
        collections_get_request_model=collections.GET,
        middlewares=_middlewares(settings, metrics),
    )
    add_direct_routes(app, reader, post_search)


def _extensions(queryables: Queryables) -> tuple[list[Any], list[Any], CollectionSearchExtension]:
    """Return what the searches for items, the items of a collection and the search for collections can do."""
    search = [
        SearchFilterExtension(client=queryables, conformance_classes=[*_CQL2, Cql2.SEARCH]),
        SearchSortExtension(),
        FieldsExtension(),
        QueryExtension(),
        FreeTextExtension(),
        TokenPaginationExtension(),
    ]
    items = [
        ItemCollectionFilterExtension(client=queryables, conformance_classes=[*_CQL2, Cql2.ITEMS]),
        ItemCollectionSortExtension(),
        FieldsExtension(conformance_classes=[FieldsConformanceClasses.ITEMS]),
        QueryExtension(conformance_classes=[QueryConformanceClasses.ITEMS]),
        FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.ITEMS]),
        TokenPaginationExtension(),
    ]
    collections = CollectionSearchExtension.from_extensions(
        [
            CollectionSearchFilterExtension(client=queryables),
            CollectionSearchSortExtension(),
            FieldsExtension(conformance_classes=[FieldsConformanceClasses.COLLECTIONS]),
            FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.COLLECTIONS]),
            TokenPaginationExtension(),
        ]
    )
    return search, items, collections


def _middlewares(settings: ServerSettings, metrics: Metrics) -> list[Middleware]:
    """Return what every request passes through; the last is the outermost."""
    return [
        Middleware(ReadAddress),
        Middleware(LimitBody, limit=settings.max_body, without=("/artifacts/", "/bulk_items")),
        Middleware(BrotliMiddleware, minimum_size=1_000),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "Prefer",
                "Range",
                "X-Request-ID",
            ],
            expose_headers=["Accept-Ranges", "Content-Range", "ETag", "Location", "Repr-Digest", "X-Request-ID"],
            max_age=600,
        ),
        Middleware(Forwarded),
        Middleware(Observe, metrics=metrics),
    ]


def _add_watching(app: FastAPI, store: Store, metrics: Metrics) -> None:
    async def healthz() -> Response:
        """Tell whether the store answers."""
        await store.ping()
        return JSONResponse({"status": "ok", "version": VERSION})

    async def figures() -> Response:
        """Answer with figures for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.add_api_route("/healthz", healthz, tags=["Watching"], response_model=None)
    app.add_api_route("/metrics", figures, tags=["Watching"], response_model=None)


def _browser(folder: Path) -> StaticFiles:
    class Browser(StaticFiles):
        """STAC Browser: an address that is no file of its own is a page that its script shows."""

        def lookup_path(self, path: str) -> Any:
            found = super().lookup_path(path)
            return found if found[1] is not None else super().lookup_path("index.html")

    return Browser(directory=folder, html=True)
