"""From an exception to an HTTP answer: one table, and problem documents (RFC 9457) that also say what STAC asks for."""

from __future__ import annotations

import logging
import re
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Mount

from modelstac.catalog import errors

LOG = logging.getLogger("modelstac.server")

_LONGEST_DETAIL = 1_000
STATUS: dict[type[Exception], int] = {
    errors.NotFoundError: 404,
    errors.ItemExistsError: 409,
    errors.ConflictError: 409,
    errors.InvalidItemError: 400,
    errors.InvalidQueryError: 400,
    errors.SchemaUnavailableError: 400,
    errors.IntegrityError: 422,
    errors.UntrustedError: 403,
    errors.UnauthorizedError: 401,
    errors.ForbiddenError: 403,
    errors.ChangedMeanwhileError: 412,
    errors.TooLargeError: 413,
    errors.StorageError: 503,
    errors.CatalogError: 503,
    errors.ModelStacError: 500,
    # Documents nested so deeply that reading them runs out of stack.
    RecursionError: 400,
}

# Of places on the server's machine a client is told the last part; what follows a colon or a slash is of a URL.
_ABSOLUTE = re.compile(r"(?<![\w:/.…])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:;,'\"]+[/\\])*(?P<name>[^\s/\\:;,'\"]+)")


NOT_ALLOWED = 405
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
GONE = 499
"""What the log says of a client that did not wait for its answer; the number is nginx's."""


def is_gone(error: BaseException | None) -> bool:
    """Tell whether an error is that the client went away, also in the midst of its answer."""
    return isinstance(error, ClientDisconnect) or (error is not None and is_gone(error.__cause__))


def status_of(error: Exception) -> int:
    """Return the HTTP status of an exception: that of its nearest listed class."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """Return a problem document; ``code`` and ``description`` are what the STAC API specification asks for."""
    body = {"type": "about:blank", "title": code, "status": status, "detail": detail} | {
        "code": code,
        "description": detail,
    }
    return Response(orjson.dumps(body | more), status, headers, media_type="application/problem+json")


def told(error: Exception) -> tuple[int, str, dict[str, str] | None]:
    """Return what a client learns of an exception in the table: status, text, and headers of the answer."""
    status = status_of(error)
    detail = "the document is nested too deeply" if isinstance(error, RecursionError) else str(error)
    if status == STATUS[errors.StorageError]:
        LOG.warning("storage failed: %s", detail)  # of a disk, a database or a client, and no fault of ours
        detail = _ABSOLUTE.sub(lambda found: f"…/{found['name']}", detail)
    if len(detail) > _LONGEST_DETAIL:
        detail = f"{detail[:_LONGEST_DETAIL]}…"
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    if isinstance(error, errors.UnavailableError):
        headers = {"Retry-After": "1"}
    return status, detail, headers


def allowed(request: Request) -> list[str]:
    """Return the methods of what is at an address, whichever of its routes has them (RFC 9110, 10.2.1)."""

    def has(method: str) -> bool:
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        # What is mounted, the browser, is files.
        routes = (r for r in request.app.router.routes if not isinstance(r, Mount) or scope["method"] == "GET")
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return [method for method in _METHODS if method == "OPTIONS" or has(method)]


def of_error(error: Exception) -> Response:
    """Return the problem document of an exception in the table."""
    status, detail, headers = told(error)
    return problem(status, type(error).__name__, detail, headers=headers)


def of_bug(error: Exception, request_id: str) -> Response:
    """Return the problem document of an exception that is not in the table: to the client it says nothing of itself."""
    LOG.error("unexpected %s", type(error).__name__, exc_info=error, extra={"fields": {"id": request_id}})
    return problem(500, "InternalError", f"an unexpected error; the server's log tells more of request {request_id}")


def add_handlers(app: FastAPI) -> None:
    """Answer every exception in the table with a problem document."""

    async def known(_request: Request, error: Exception) -> Response:
        return of_error(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        # Of a field that may be of several types pydantic names these, too.
        place = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        reason = first["msg"].removeprefix("Value error, ")
        return problem(400, "InvalidRequest", f"{place}: {reason}", field=place)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers) if error.headers else None
        if error.status_code == NOT_ALLOWED:
            headers = {"Allow": ", ".join(allowed(request))}
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=headers)
        return problem(error.status_code, "HTTPError", str(error.detail), headers=headers)

    async def gone(_request: Request, _error: Exception) -> Response:
        # Nobody reads it; the log and the figures do.
        return Response(status_code=GONE)

    app.add_exception_handler(ClientDisconnect, gone)
    for kind in STATUS:
        app.add_exception_handler(kind, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
