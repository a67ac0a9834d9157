"""Around every request: an id, a line in the log, figures for Prometheus, and a limit on what is read."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelstac.catalog.errors import InvalidQueryError, TooLargeError, UnavailableError
from modelstac.catalog.server.watching.problems import GONE, is_gone, of_bug, of_error, problem
from modelstac.catalog.terminal import escaped

LOG = logging.getLogger("modelstac.access")
_FIT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"})
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_SEARCHING = ("/search", "/aggregate")
_LISTS = frozenset({"ids", "collections", "bbox", "sortby", "fields", "q", "aggregations"})
_SINGLE = frozenset({"limit", "token", "datetime", "intersects", "filter", "filter-lang", "filter-crs", "query"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The figures at ``/metrics``; of the routes, not of the addresses, so that their number is bounded."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "modelstac_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "modelstac_request_seconds", "Time to answer", ["method", "route"], registry=self.registry, buckets=_BUCKETS
        )
        self.running = Gauge("modelstac_requests_running", "Requests being answered", registry=self.registry)
        self._kinds: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        kind = (method, route, status)
        if kind not in self._kinds:
            # Finding the figures of a kind takes longer than counting.
            self._kinds[kind] = self.requests.labels(*kind).inc, self.seconds.labels(method, route).observe
        count, observe = self._kinds[kind]
        count()
        observe(seconds)


class Observe:
    """Give every request an id (``X-Request-ID``, that of the client if it is fit), count it and log it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = next((v for name, v in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        request_id = sent if _FIT_ID.fullmatch(sent) else uuid.uuid4().hex
        status, begun = 500, time.perf_counter()
        begun_to_answer = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, begun_to_answer
            if message["type"] == "http.response.start":
                status, begun_to_answer = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            with self._metrics.running.track_inprogress():
                await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - the last guard before a broken connection
            if is_gone(error):
                status = GONE
                return
            answer = of_bug(error, request_id)
            if not begun_to_answer:
                await answer(scope, receive, send_with_id)
        finally:
            self._record(scope, request_id, status, time.perf_counter() - begun)

    def _record(self, scope: MutableMapping[str, Any], request_id: str, status: int, seconds: float) -> None:
        # An address that no route knows could be anything.
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} else "other"
        self._metrics.answered(method, route, status, seconds)
        writer = scope.get("state", {}).get("writer")
        LOG.info(
            "request",
            extra={
                "fields": {
                    "id": request_id,
                    "method": method,
                    "path": scope["path"][:500],
                    "status": status,
                    "ms": round(seconds * 1e3, 2),
                }
                | ({"key": writer} if writer else {})
            },
        )


class Forwarded:
    """Take the address by which a proxy is known from its headers, and off the path below which it shows the server.

    Source: RFC 7239. Of several proxies the first counts, which is the one that the client asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            if any(name in _FORWARDED for name, _ in scope["headers"]):
                _take_address(scope)
            root, path = scope.get("root_path", ""), scope["path"]
            if root and f"{path}/".startswith(f"{root}/"):  # some proxies leave it, others take it off themselves
                scope["path"] = path[len(root) :] or "/"
        await self._app(scope, receive, send)


def _take_address(scope: Scope) -> None:
    said = {name: value.decode("latin-1").partition(",")[0].strip() for name, value in reversed(scope["headers"])}
    parts = (part.partition("=") for part in said.get(b"forwarded", "").split(";"))
    forwarded = {name.strip().lower(): value.strip().strip('"') for name, _, value in parts}
    scheme = (forwarded.get("proto") or said.get(b"x-forwarded-proto", "")).lower()
    if scheme in _PORTS:
        scope["scheme"] = scheme
    found = _HOST.fullmatch(forwarded.get("host") or said.get(b"x-forwarded-host") or said.get(b"host", ""))
    if found is None:
        return
    host, port = found[0], said.get(b"x-forwarded-port", "")
    if found[1] is None and port.isdecimal() and int(port) != _PORTS[scope["scheme"]]:
        host = f"{host}:{port}"
    scope["headers"] = [(b"host", host.encode()), *(kept for kept in scope["headers"] if kept[0] != b"host")]


class Below:
    """Put the path below which a proxy shows the server before that of the request, where all addresses have it.

    Stands within what looks at paths.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            scope["path"] = scope.get("root_path", "") + scope["path"]
        await self._app(scope, receive, send)


class LimitBody:
    """Refuse a request that is packed, or longer than the server takes, as soon as that shows."""

    def __init__(self, app: ASGIApp, limit: int, searches: int, without: tuple[str, ...]) -> None:
        self._app = app
        self._limit = limit
        self._searches = searches
        self._without = without

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        coding = dict(scope.get("headers", ())).get(b"content-encoding", b"").strip().lower()
        if coding not in {b"", b"identity"} and scope["method"] not in {"GET", "HEAD"}:
            detail = f"Content-Encoding: {coding.decode('latin-1')[:40]!r} is not understood: send the body unpacked"
            await problem(415, "HTTPError", detail)(scope, receive, send)
            return
        if scope["type"] != "http" or scope["path"].startswith(self._without):
            await self._app(scope, receive, send)
            return
        # Who searches needs no key.
        limit = min(self._limit, self._searches) if scope["path"].endswith(_SEARCHING) else self._limit
        error = TooLargeError(f"the body: larger than the {limit} bytes that this server takes")
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > limit:
            await of_error(error)(scope, receive, send)
            return
        read = 0

        async def receive_some() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise error
            return message

        await self._app(scope, receive_some, send)


class Deadline:
    """End a request that takes longer than it may, whatever it waits for; its body, too, has to come in that time."""

    def __init__(self, app: ASGIApp, seconds: float, without: tuple[str, ...]) -> None:
        self._app = app
        self._seconds = seconds
        self._without = without

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"].startswith(self._without):
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_some(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, receive, send_some)
        except TimeoutError:
            if begun:
                raise
            await of_error(UnavailableError(f"the request takes more than {self._seconds:g} s: ask for less"))(
                scope, receive, send
            )


class ReadAddress:
    """Refuse an address with characters that are none (half of UTF-8) or are in no catalog (NUL).

    So is one that says two things. Lists that come in parts (``ids=a&ids=b``) are one list.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and (b"%" in scope["query_string"] or b"%" in scope.get("raw_path", b"")):
            place = _unreadable(scope.get("raw_path", b""), scope["query_string"])
            if place is not None:
                error = InvalidQueryError(f"{place}: a NUL character, or bytes that are no UTF-8")
                await of_error(error)(scope, receive, send)
                return
        if scope["type"] == "http" and b"&" in scope["query_string"]:
            try:
                scope["query_string"] = _each_once(scope["query_string"])
            except InvalidQueryError as error:
                await of_error(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _each_once(query: bytes) -> bytes:
    """Return a query in which each parameter of a search stands once: of several the last alone would be read."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    if len(values) == len(pairs):
        return query
    for name in values.keys() & _SINGLE:
        if len(set(values[name])) > 1:
            raise InvalidQueryError(f"{name}: it is given {len(values[name])} times: give it once")
    joined = {name: [",".join(filter(None, found))] for name, found in values.items() if name in _LISTS}
    return urlencode(values | joined, doseq=True).encode()


def _unreadable(path: bytes, query: bytes) -> str | None:
    for part in query.split(b"&"):
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        if not (_readable(name) and _readable(value)):
            return unquote_to_bytes(name).decode(errors="replace").replace("\0", "\\0")[:60]
    return None if _readable(path) else "the path"


def _readable(quoted: bytes) -> bool:
    try:
        return "\0" not in unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        return False


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return escaped(json.dumps(line, ensure_ascii=False))
