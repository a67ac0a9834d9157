"""The routes that are asked most, past what FastAPI does for every request (each dependency solved, some in a thread).

FastAPI keeps its own routes to them behind these, for the description of the API.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from modelstac.catalog.server.routes.client import Reader


def add_direct_routes(app: FastAPI, reader: Reader, search: type[BaseModel]) -> None:
    """Answer the requests for one item, and searches by POST, before FastAPI looks at them.

    Parameters
    ----------
    search
        What a search by POST is validated by.
    """

    async def item(request: Request) -> Response:
        return await reader.get_item(**request.path_params, request=request)

    async def post_search(request: Request) -> Response:
        return await reader.post_search(await _validated(request, search), request=request)

    direct = {"/collections/{collection_id}/items/{item_id}": (item, "GET"), "/search": (post_search, "POST")}
    app.router.routes[:0] = [_Route(path, endpoint, methods=[method]) for path, (endpoint, method) in direct.items()]


class _Route(Route):
    def matches(self, scope: Any) -> Any:
        """Tell the metrics which route it is, as FastAPI's routes do."""
        match, found = super().matches(scope)
        return match, {**found, "route": self} if found else found


async def _validated(request: Request, model: type[BaseModel]) -> BaseModel:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    body = await request.body()
    try:
        # What is not said to be JSON is text, which the model refuses.
        is_json = kind == "application/json" or kind.endswith("+json")
        return model.model_validate(json.loads(body) if is_json else body)
    except ValidationError as error:
        problems = [found | {"loc": ("body", *found["loc"])} for found in error.errors(include_url=False)]
        raise RequestValidationError(problems) from error
    except ValueError as error:
        problem = {"loc": ("body",), "msg": f"no JSON: {error}", "type": "json_invalid"}
        raise RequestValidationError([problem]) from error
