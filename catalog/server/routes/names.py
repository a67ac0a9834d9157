"""The names that can be searched for and sorted by, for all models or for one: queryables and sortables."""

from __future__ import annotations

from typing import Any

import attr
from stac_fastapi.extensions.filter.client import AsyncBaseFiltersClient
from stac_fastapi.extensions.sort.client import AsyncBaseSortablesClient
from starlette.requests import Request
from starlette.responses import Response

from modelstac.catalog.errors import NotFoundError
from modelstac.catalog.server.routes.client import answer
from modelstac.catalog.server.stores.links import SCHEMA
from modelstac.catalog.server.stores.queryables import of_collections, queryables, sortables
from modelstac.catalog.server.stores.store import Store


async def _scores(store: Store, collection_id: str | None) -> list[str]:
    if collection_id is not None and await store.collection(collection_id) is None:
        raise NotFoundError(f"no collection {collection_id!r}: see /collections")
    return await store.score_names(collection_id)


@attr.s
class Queryables(AsyncBaseFiltersClient):
    """What can be searched for."""

    store: Store = attr.ib(kw_only=True)

    async def get_queryables(self, collection_id: str | None = None, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``GET /queryables``, for all collections or for one."""
        scores = await _scores(self.store, collection_id)
        return answer(queryables(str(kwargs["request"].url), scores), SCHEMA)


@attr.s
class Sortables(AsyncBaseSortablesClient):
    """What can be sorted by."""

    store: Store = attr.ib(kw_only=True)

    async def get_sortables(self, request: Request | None = None, **_kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``GET /sortables``."""
        return await self._answer(request, None)

    async def get_collection_sortables(  # type: ignore[override]
        self, collection_id: str, request: Request | None = None, **_kwargs: Any
    ) -> Response:
        """Answer ``GET /collections/{collection_id}/sortables``."""
        return await self._answer(request, collection_id)

    async def get_collections_sortables(self, request: Request | None = None, **_kwargs: Any) -> Response:  # type: ignore[override]
        """Answer ``GET /collections-sortables``."""
        return answer(of_collections(_address(request)), SCHEMA)

    async def _answer(self, request: Request | None, collection_id: str | None) -> Response:
        scores = await _scores(self.store, collection_id)
        return answer(sortables(_address(request), scores), SCHEMA)


def _address(request: Request | None) -> str:
    return "" if request is None else str(request.url)
