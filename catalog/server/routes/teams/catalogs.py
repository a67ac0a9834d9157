"""Sub-catalogs for teams: the reading half of the multi-tenant catalogs extension, over any store.

Source: https://github.com/StacLabs/multi-tenant-catalogs, 1.0.0; its package for stac-fastapi makes the routes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import attr
from fastapi import Request
from stac_fastapi_catalogs_extension import AsyncBaseCatalogsClient, AsyncCatalogsSearchClient
from starlette.responses import Response

from modelstac.catalog.errors import InvalidQueryError, NotFoundError
from modelstac.catalog.items.documents import Document, link
from modelstac.catalog.search.query import Query
from modelstac.catalog.server.routes.client import Reader, answer
from modelstac.catalog.server.routes.requests import query_from
from modelstac.catalog.server.stores.links import GEOJSON, JSON, SCHEMA, base_url, shown_collection, shown_item
from modelstac.catalog.server.stores.queryables import queryables
from modelstac.catalog.server.stores.store import Store
from modelstac.catalog.server.teams import hierarchy
from modelstac.catalog.server.teams.hierarchy import CATALOG, COLLECTION, Kind
from modelstac.catalog.server.teams.session import Session

_MOST = 1_000


@attr.s
class Catalogs(AsyncBaseCatalogsClient, AsyncCatalogsSearchClient):  # type: ignore[misc]  # has no types
    """What is read of catalogs; whoever writes them is in :mod:`modelstac.catalog.server.routes.teams.arranging`."""

    store: Store = attr.ib(kw_only=True)
    reader: Reader = attr.ib(kw_only=True)

    async def get_catalogs(
        self, limit: int | None = None, token: str | None = None, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``GET /catalogs``."""
        base, size = base_url(request), min(limit or 10, _MOST)
        found = await self.store.run(lambda session: hierarchy.page(session, size + 1, token or ""))
        shown = [await self.shown(document["id"], base, document) for document in found[:size]]
        links = [link("root", base), link("self", str(request.url)), *_next(request, found, size)]
        return answer({"catalogs": shown, "links": links, "numberReturned": len(shown)})

    async def get_catalog(self, catalog_id: str, request: Any = None, **_kwargs: Any) -> Response:
        """Answer ``GET /catalogs/{catalog_id}``."""
        # Opened by a client it is a landing page.
        shown = await self.shown(catalog_id, base_url(request))
        return answer(shown | {"conformsTo": self.reader.conformance_classes()})

    async def shown(self, catalog_id: str, base: str, document: Document | None = None) -> Document:
        """Return a catalog with its links."""

        async def read(session: Session) -> tuple[Document, list[str], list[str], list[str]]:
            return (
                document or await hierarchy.get(session, catalog_id),
                await hierarchy.parents(session, CATALOG, catalog_id),
                await hierarchy.children(session, catalog_id, CATALOG),
                await hierarchy.children(session, catalog_id, COLLECTION),
            )

        stored, parents, catalogs, collections = await self.store.run(read)
        here = _address(base, catalog_id)
        links = [
            link("self", here),
            link("root", base),
            link("parent", _address(base, parents[0]) if parents else base),
            *(link("related", _address(base, parent), title="Another catalog that shows it") for parent in parents[1:]),
            link("data", f"{here}/collections"),
            link("catalogs", f"{here}/catalogs"),
            link("children", f"{here}/children"),
            link("conformance", f"{here}/conformance"),
            link("search", f"{here}/search", GEOJSON) | {"method": "GET"},
            link("search", f"{here}/search", GEOJSON) | {"method": "POST"},
            *(link("child", _address(base, child)) for child in catalogs),
            *(link("child", _address(base, catalog_id, child)) for child in collections),
        ]
        return stored | {"links": links + stored["links"]}

    async def get_catalog_collections(
        self, catalog_id: str, limit: int | None = None, token: str | None = None, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``GET /catalogs/{catalog_id}/collections``."""
        return await self._children(request, catalog_id, (limit, token), (COLLECTION,), "collections")

    async def get_sub_catalogs(
        self, catalog_id: str, limit: int | None = None, token: str | None = None, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``GET /catalogs/{catalog_id}/catalogs``."""
        return await self._children(request, catalog_id, (limit, token), (CATALOG,), "catalogs")

    async def get_catalog_children(
        self,
        catalog_id: str,
        limit: int | None = None,
        token: str | None = None,
        type: Any = None,  # noqa: A002 - the parameter of the standard
        request: Any = None,
        **_kwargs: Any,
    ) -> Response:
        """Answer ``GET /catalogs/{catalog_id}/children``: catalogs, then collections."""
        kinds: tuple[Kind, ...] = (CATALOG, COLLECTION) if type is None else (type,)
        return await self._children(request, catalog_id, (limit, token), kinds, "children")

    async def _children(
        self,
        request: Request,
        catalog_id: str,
        paged: tuple[int | None, str | None],
        kinds: tuple[Kind, ...],
        name: str,
    ) -> Response:
        async def read(session: Session) -> list[tuple[str, str]]:
            await hierarchy.get(session, catalog_id)
            return [(kind, child) for kind in kinds for child in await hierarchy.children(session, catalog_id, kind)]

        base, size = base_url(request), min(paged[0] or 10, _MOST)
        after = _place(paged[1])
        found = [one for one in await self.store.run(read) if one > after]
        shown = []
        for kind, child in found[:size]:
            if kind == CATALOG:
                shown.append(await self.shown(child, base))
            elif (stored := await self.store.collection(child)) is not None:
                shown.append(_scoped_collection(stored, base, catalog_id))
        links = [link("root", base), link("parent", _address(base, catalog_id)), link("self", str(request.url))]
        if len(found) > size:
            following = request.url.include_query_params(token="/".join(found[size - 1]))
            links.append(link("next", str(following)))
        return answer({name: shown, "links": links, "numberReturned": len(shown), "numberMatched": len(found)})

    async def get_catalog_collection(
        self, catalog_id: str, collection_id: str, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``GET /catalogs/{catalog_id}/collections/{collection_id}``."""
        stored = await self.collection_in(catalog_id, collection_id)
        return answer(_scoped_collection(stored, base_url(request), catalog_id))

    async def collection_in(self, catalog_id: str, collection_id: str) -> Document:
        """Return a collection that a catalog shows, as stored.

        Raises
        ------
        NotFoundError
            If it shows none of this id.
        """

        async def read(session: Session) -> list[str]:
            await hierarchy.get(session, catalog_id)
            return await hierarchy.parents(session, COLLECTION, collection_id)

        parents = await self.store.run(read)
        stored = await self.store.collection(collection_id)
        if stored is None or catalog_id not in parents:
            raise NotFoundError(f"no collection {collection_id!r} in catalog {catalog_id!r}")
        return stored

    async def get_catalog_collection_items(
        self, catalog_id: str, collection_id: str, request: Any = None, **given: Any
    ) -> Response:
        """Answer ``GET /catalogs/{catalog_id}/collections/{collection_id}/items``."""
        await self.collection_in(catalog_id, collection_id)
        return await self.reader.found(request, query_from(given | {"collections": [collection_id]}, request))

    async def get_catalog_collection_item(
        self, catalog_id: str, collection_id: str, item_id: str, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``GET /catalogs/{catalog_id}/collections/{collection_id}/items/{item_id}``."""
        await self.collection_in(catalog_id, collection_id)
        stored = await self.store.item(collection_id, item_id)
        if stored is None:
            raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}")
        base = base_url(request)
        there, found = _address(base, catalog_id, collection_id), shown_item(stored, base)
        own = {"self": f"{there}/items/{quote(item_id, safe='')}", "parent": there, "collection": there}
        return answer(_rescoped(found, own), GEOJSON)

    async def get_catalog_conformance(self, catalog_id: str, request: Any = None, **_kwargs: Any) -> Any:
        """Answer ``GET /catalogs/{catalog_id}/conformance``; the package adds the classes of its extensions."""
        del request
        await self.store.run(lambda session: hierarchy.get(session, catalog_id))
        return {"conformsTo": self.reader.conformance_classes()}

    async def get_catalog_queryables(self, catalog_id: str, request: Any = None, **_kwargs: Any) -> Response:
        """Answer ``GET /catalogs/{catalog_id}/queryables``."""
        await self.store.run(lambda session: hierarchy.get(session, catalog_id))
        return answer(queryables(str(request.url), await self.store.score_names(None)), SCHEMA)

    async def get_all_descendant_collections(self, catalog_id: str, request: Any = None, **_kwargs: Any) -> list[str]:
        """Return the ids of the collections in a catalog and in those below it."""
        del request

        async def read(session: Session) -> list[str]:
            await hierarchy.get(session, catalog_id)
            return await hierarchy.collections_below(session, catalog_id)

        return await self.store.run(read)

    async def catalog_search_get(self, catalog_id: str, request: Any = None, **given: Any) -> Response:
        """Answer ``GET /catalogs/{catalog_id}/search``."""
        return await self.reader.found(request, await self._within(catalog_id, query_from(given, request)))

    async def catalog_search_post(
        self, catalog_id: str, search_request: Any, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``POST /catalogs/{catalog_id}/search``."""
        given = {name: getattr(search_request, name) for name in type(search_request).model_fields}
        query = await self._within(catalog_id, query_from(given, request))
        return await self.reader.found(request, query, body=search_request)

    async def _within(self, catalog_id: str, query: Query) -> Query:
        inside = await self.get_all_descendant_collections(catalog_id)
        wanted = [name for name in inside if query.collections is None or name in query.collections]
        return query.changed(collections=tuple(wanted))


def _place(token: str | None) -> tuple[str, str]:
    if token is None:
        return "", ""
    kind, slash, child = token.partition("/")
    if not slash or kind not in {CATALOG, COLLECTION}:
        raise InvalidQueryError("token: this is none that a list gave")
    return kind, child


def _next(request: Request, found: list[Document], size: int) -> list[Document]:
    if len(found) <= size:
        return []
    return [link("next", str(request.url.include_query_params(token=found[size - 1]["id"])))]


def _address(base: str, catalog_id: str, collection_id: str | None = None) -> str:
    here = f"{base}catalogs/{quote(catalog_id, safe='')}"
    return here if collection_id is None else f"{here}/collections/{quote(collection_id, safe='')}"


def _scoped_collection(stored: Document, base: str, catalog_id: str) -> Document:
    here = _address(base, catalog_id, stored["id"])
    return _rescoped(
        shown_collection(stored, base), {"self": here, "parent": _address(base, catalog_id), "items": f"{here}/items"}
    )


def _rescoped(found: Document, own: dict[str, str]) -> Document:
    """Return a document as it is below a catalog: it says where it is without one."""
    whole = next(one["href"] for one in found["links"] if one["rel"] == "self")
    kind = GEOJSON if found["type"] == "Feature" else JSON
    links = [one | {"href": own.get(one["rel"], one["href"])} for one in found["links"]]
    return found | {"links": [*links, link("canonical", whole, kind)]}
