"""The whole service, in order: store, keys, reading, writing, artifacts, watching, browser, and what wraps them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
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
from stac_fastapi.extensions.sort import (
    CollectionSearchSortExtension,
    ItemCollectionSortExtension,
    SearchSortExtension,
    SortConformanceClasses,
)
from stac_fastapi.types.config import ApiSettings
from stac_fastapi_catalogs_extension import CatalogsExtension, CatalogsSearchExtension, CatalogsTransactionExtension
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from modelstac.catalog.server.beside import Beside, Service
from modelstac.catalog.server.files.artifacts import ArtifactStore
from modelstac.catalog.server.forms.pages import add_forms
from modelstac.catalog.server.routes.bodies import FilterBody, SortBody, TextBody, plain_address, plain_body
from modelstac.catalog.server.routes.client import Reader
from modelstac.catalog.server.routes.direct import add_direct_routes
from modelstac.catalog.server.routes.downloads import Artifacts
from modelstac.catalog.server.routes.facets import Facets
from modelstac.catalog.server.routes.incoming import Checks
from modelstac.catalog.server.routes.keys import Keys, Open, admit
from modelstac.catalog.server.routes.names import Queryables, Sortables
from modelstac.catalog.server.routes.openapi import give_ids
from modelstac.catalog.server.routes.pages import Pages
from modelstac.catalog.server.routes.requests import objects_only
from modelstac.catalog.server.routes.teams.arranging import Arranging
from modelstac.catalog.server.routes.teams.audit import Audit
from modelstac.catalog.server.routes.transactions import Transactions
from modelstac.catalog.server.settings import ServerSettings
from modelstac.catalog.server.stores.store import Store
from modelstac.catalog.server.watching import problems
from modelstac.catalog.server.watching.encodings import Compress, EntityTags, Heads
from modelstac.catalog.server.watching.middleware import (
    Below,
    Deadline,
    Forwarded,
    LimitBody,
    Metrics,
    Observe,
    ReadAddress,
)
from modelstac.catalog.server.webhooks.courier import Courier
from modelstac.catalog.server.webhooks.hooks import Hooks

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

_CATALOGS = "https://api.stacspec.org/v1.0.0/multi-tenant-catalogs"
# Clients look for this one (pystac-client 0.9 knows no other); 1.1 added to it and took nothing away.
_SORT_1_0 = ("https://api.stacspec.org/v1.0.0/item-search#sort", "https://api.stacspec.org/v1.0.0/ogcapi-features#sort")


def create_app(
    settings: ServerSettings, store: Store, beside: Service | None = None, *, end: Callable[[], None] = lambda: None
) -> FastAPI:
    """Put the service together.

    Parameters
    ----------
    store
        Where items and collections are; it is open already, and is closed when the service ends.
    beside
        What else the server answers.
    end
        Ends the server; called when what is beside cannot start.
    """
    metrics = Metrics()
    courier = Courier(
        store,
        Hooks(settings.webhooks_file),
        private=settings.webhook_private,
        seconds=settings.webhook_seconds,
        waits=settings.webhook_retry_seconds,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with courier.working(), contextlib.nullcontext() if beside is None else beside.running(end):
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
    _add_stac(app, settings, store, metrics, beside)
    add_forms(app)
    give_ids(app)
    problems.add_handlers(app)
    if settings.browser_folder is not None:
        app.mount("/browser", _browser(settings.browser_folder), name="browser")
    return app


def _add_stac(app: FastAPI, settings: ServerSettings, store: Store, metrics: Metrics, beside: Service | None) -> None:
    """Add the STAC API: reading, searching, writing, artifacts."""
    keys = Keys(settings.keys_file) if settings.writes == "keys" else Open(settings.keys_file)
    reader = Reader(store=store, landing_page_id=settings.landing_id)
    checks = Checks(any_items=settings.items == "any")
    search, items, collections = _extensions(store)
    get_search = plain_address(create_get_request_model(search))
    post_search = objects_only(plain_body(create_post_request_model(search)))
    get_items = plain_address(create_request_model("Items", ItemCollectionUri, items))
    facets = AggregationExtension(client=Facets(store=store))
    # What is counted is asked for as what is found is.
    asked: list[Any] = [
        found for found in search if isinstance(found, SearchFilterExtension | QueryExtension | FreeTextExtension)
    ]
    facets.GET = plain_address(create_request_model("Aggregate", facets.GET, asked))
    body: Any = create_request_model("AggregateBody", facets.POST, asked, request_type="POST")
    facets.POST = objects_only(plain_body(body))
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
            *collections,
            facets,
            Transactions(store=store, keys=keys, checks=checks, largest=settings.max_body),
            *_catalogs(Arranging(store=store, reader=reader, checks=checks), keys, get_search, post_search),
            Audit(store=store, keys=keys),
            Pages(
                store=store,
                title=settings.title,
                footer=f"modelstac {VERSION}",
                browser=settings.browser_folder is not None,
            ),
            Artifacts(artifacts=ArtifactStore(settings.artifact_place, limit=settings.max_artifact), keys=keys),
        ],
        search_get_request_model=get_search,
        search_post_request_model=post_search,
        items_get_request_model=get_items,
        collections_get_request_model=plain_address(collections[0].GET),
        middlewares=_middlewares(settings, metrics, beside),
    )
    add_direct_routes(app, reader, post_search)


def _catalogs(client: Arranging, keys: Keys, get_search: Any, post_search: Any) -> list[Any]:
    """Return the routes of sub-catalogs for teams; those that write need a key."""

    async def with_key(request: Request) -> None:
        admit(keys, request)

    settings = {"enable_response_models": False}
    return [
        CatalogsExtension(client=client, settings=settings, conformance_classes=[_CATALOGS]),
        CatalogsTransactionExtension(
            client=client, settings=settings, router=APIRouter(dependencies=[Depends(with_key)])
        ),
        CatalogsSearchExtension(
            client=client,
            settings=settings,
            search_get_request_model=get_search,
            search_post_request_model=post_search,
        ),
    ]


def _extensions(store: Store) -> tuple[list[Any], list[Any], list[Any]]:
    """Return what the searches for items, the items of a collection and the search for collections can do."""
    queryables, sortables = Queryables(store=store), Sortables(store=store)
    filters = SearchFilterExtension(client=queryables, conformance_classes=[*_CQL2, Cql2.SEARCH])
    classes = [SortConformanceClasses.ITEM_SEARCH_SORT, SortConformanceClasses.ITEM_SEARCH_SORTABLES, *_SORT_1_0]
    sorting = SearchSortExtension(client=sortables, conformance_classes=classes)
    words = FreeTextExtension()
    filters.POST, sorting.POST, words.POST = FilterBody, SortBody, TextBody
    search = [
        filters,
        sorting,
        FieldsExtension(),
        QueryExtension(),
        words,
        TokenPaginationExtension(),
    ]
    items = [
        ItemCollectionFilterExtension(client=queryables, conformance_classes=[*_CQL2, Cql2.ITEMS]),
        ItemCollectionSortExtension(client=sortables),
        FieldsExtension(conformance_classes=[FieldsConformanceClasses.ITEMS]),
        QueryExtension(conformance_classes=[QueryConformanceClasses.ITEMS]),
        FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.ITEMS]),
        TokenPaginationExtension(),
    ]
    sorted_collections = CollectionSearchSortExtension(client=sortables)
    collections = [
        CollectionSearchExtension.from_extensions(
            [
                CollectionSearchFilterExtension(client=queryables),
                sorted_collections,
                FieldsExtension(conformance_classes=[FieldsConformanceClasses.COLLECTIONS]),
                FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.COLLECTIONS]),
                TokenPaginationExtension(),
            ]
        ),
        sorted_collections,
    ]
    return search, items, collections


def _middlewares(settings: ServerSettings, metrics: Metrics, beside: Service | None) -> list[Middleware]:
    """Return what every request passes through; the last is the outermost."""
    return [
        Middleware(Below),
        Middleware(ReadAddress),
        Middleware(
            LimitBody, limit=settings.max_body, searches=settings.max_search, without=("/artifacts/", "/bulk_items")
        ),
        Middleware(Deadline, seconds=settings.request_seconds, without=("/artifacts/", "/bulk_items")),
        Middleware(Compress, minimum_size=1_000),
        Middleware(EntityTags),
        Middleware(Heads),
        *([] if beside is None else [Middleware(Beside, service=beside)]),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                *(() if beside is None else beside.headers),
                "Prefer",
                "Range",
                "X-Request-ID",
            ],
            expose_headers=[
                "Accept-Ranges",
                "Content-Range",
                "ETag",
                "Location",
                "Repr-Digest",
                "X-Request-ID",
                *(() if beside is None else beside.headers),
            ],
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
