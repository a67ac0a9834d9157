"""Aggregation: how many items there are of each framework, version, format and task."""

from __future__ import annotations

from typing import Any

import attr
from fastapi import Request
from stac_fastapi.extensions.aggregation.client import AsyncBaseAggregationClient
from starlette.responses import Response

from modelstac.catalog.errors import InvalidQueryError, NotFoundError
from modelstac.catalog.items.documents import Document, link
from modelstac.catalog.server.routes.client import answer
from modelstac.catalog.server.routes.requests import query_from
from modelstac.catalog.server.stores.links import base_url
from modelstac.catalog.server.stores.store import Store

FACETS = {
    "framework_frequency": "mlm:framework",
    "framework_version_frequency": "mlm:framework_version",
    "backend_frequency": "interop:backend",
    "format_frequency": "interop:format",
    "task_frequency": "mlm:tasks",
    "architecture_frequency": "mlm:architecture",
    "version_frequency": "version",
}
TOTAL = "total_count"


@attr.s
class Facets(AsyncBaseAggregationClient):
    """Counts for a page that lets people narrow a search."""

    store: Store = attr.ib(kw_only=True)

    async def get_aggregations(self, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer which counts there are."""
        names = [{"name": TOTAL, "data_type": "integer"}]
        names += [{"name": name, "data_type": "frequency_distribution"} for name in FACETS]
        return _answered(kwargs["request"], names)

    async def aggregate(self, *given: Any, collection_id: str | None = None, **kwargs: Any) -> Response:  # type: ignore[override]
        """Answer with the counts that are asked for; all when none is named."""
        request: Request = kwargs.pop("request")
        parameters = {name: getattr(given[0], name) for name in type(given[0]).model_fields} if given else kwargs
        asked = parameters.pop("aggregations", None) or [TOTAL, *FACETS]
        asked = list(dict.fromkeys(asked))
        if unknown := set(asked) - {TOTAL, *FACETS}:
            raise InvalidQueryError(f"aggregations: unknown {sorted(unknown)[0]!r}; see /aggregations")
        collection_id = collection_id or request.path_params.get("collection_id")
        if collection_id is not None:
            if await self.store.collection(collection_id) is None:
                raise NotFoundError(f"no collection {collection_id!r}: see /collections")
            parameters["collections"] = [collection_id]
        query = query_from(parameters, request)
        names = [FACETS[name] for name in asked if name in FACETS]
        counts, total = await self.store.facets(query, names, count=TOTAL in asked)
        found = []
        for name in asked:
            if name == TOTAL:
                found.append({"name": name, "data_type": "integer", "value": total})
            else:
                found.append(_buckets(name, counts[FACETS[name]]))
        return _answered(request, found)


def _buckets(name: str, counts: dict[str, int]) -> Document:
    buckets = [{"key": key, "data_type": "string", "frequency": count} for key, count in counts.items()]
    return {"name": name, "data_type": "frequency_distribution", "overflow": 0, "buckets": buckets}


def _answered(request: Request, aggregations: list[Document]) -> Response:
    links = [link("root", base_url(request)), link("self", str(request.url))]
    return answer({"type": "AggregationCollection", "aggregations": aggregations, "links": links})
