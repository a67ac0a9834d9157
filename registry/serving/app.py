"""The routes of the Open Inference Protocol v2, below ``/v2``: health, metadata, inference."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from modelstac.catalog.errors import (
    AmbiguousError,
    DataError,
    ModelStacError,
    TooLargeError,
    UnavailableError,
)
from modelstac.catalog.server.watching import problems
from modelstac.registry.serving.memory import Memory, Share
from modelstac.registry.serving.protocol import HEADER_LENGTH, read_length, read_request, write_answer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from modelstac.catalog.server.routes.keys import Keys
    from modelstac.registry.serving.models import Models
    from modelstac.registry.serving.served import Served
    from modelstac.registry.serving.settings import InferenceSettings

LOG = logging.getLogger("modelstac.server")
EXTENSIONS = ("binary_tensor_data", "model_repository(index)")
_LARGE_JSON = 1 << 18
"""JSON of so many bytes is read and written in a thread, so that others are answered meanwhile."""
_OF_A_NUMBER = 8
"""A number in JSON takes about so many times its text while it is read."""
_OF_OTHERS = {b"{": 256, b"[": 64, b'"': 40}
"""Bytes that objects, lists and texts take beside, each by the sign that it is known by (a text by two)."""
_WINDOW = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_CHUNK = 1 << 20

Headers = list[tuple[bytes, bytes]]
Result = TypeVar("Result")


class Inference:
    """What ``modelstac serve --predict`` puts beside the STAC API.

    Parameters
    ----------
    models
        What is served.
    settings
        How.
    keys
        Who may run models, where not everybody may.
    """

    prefix = "/v2"
    headers = (HEADER_LENGTH,)

    def __init__(self, models: Models, settings: InferenceSettings, keys: Keys) -> None:
        self.models = models
        self.failure: Exception | None = None
        self._settings = settings
        self._keys = keys if settings.access == "keys" else None
        memory = Memory(settings.max_memory)
        model = "/v2/models/{name:model}"
        routes = [
            _Route("/v2", self._server),
            _Route("/v2/health/live", self._live),
            _Route("/v2/health/ready", self._ready),
            _Route("/v2/repository/index", self._index, methods=["POST"]),
        ]
        for path in (f"{model}/versions/{{version}}", model):
            routes += [
                _Route(path, self._model),
                _Route(f"{path}/ready", self._model_ready),
                _Route(f"{path}/infer", _Infer(self._infer, memory, settings.seconds), methods=["POST"]),
            ]
        self.app = Starlette(
            routes=routes,
            exception_handlers={
                ModelStacError: _of_error,
                HTTPException: _of_http,
                ClientDisconnect: _of_gone,
                Exception: _of_bug,
            },
        )

    @contextlib.asynccontextmanager
    async def running(self, end: Callable[[], None]) -> AsyncIterator[None]:
        """Load the models and follow their aliases while the server runs.

        Parameters
        ----------
        end
            Called when a model cannot be loaded at the start; ``failure`` then says why.
        """
        task = asyncio.create_task(self._run(end))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.models.close()

    async def _run(self, end: Callable[[], None]) -> None:
        try:
            await self.models.load_all()
        except Exception as error:  # noqa: BLE001 - it is raised where the server was started
            self.failure = error
            end()
        else:
            await self.models.follow()

    async def _server(self, _request: Request) -> Response:
        """Tell what the server is."""
        return JSONResponse({"name": "modelstac", "version": version("modelstac"), "extensions": EXTENSIONS})

    async def _live(self, _request: Request) -> Response:
        """Tell that the server answers."""
        return JSONResponse({"live": True})

    async def _ready(self, _request: Request) -> Response:
        """Tell whether all models are loaded."""
        return JSONResponse({"ready": self.models.ready}, 200 if self.models.ready else 400)

    async def _index(self, _request: Request) -> Response:
        """List the models."""
        return JSONResponse(
            [
                {"name": slot.reference, "version": slot.served.version, "state": "READY", "reason": ""}
                if slot.served
                else {"name": slot.reference, "state": "LOADING", "reason": ""}
                for slot in self.models.slots
            ]
        )

    async def _model(self, request: Request) -> Response:
        """Tell what a model takes and gives."""
        return JSONResponse(self._asked(request).metadata(request.path_params["name"]))

    async def _model_ready(self, request: Request) -> Response:
        """Tell whether a model is loaded."""
        name = request.path_params["name"]
        try:
            self._asked(request)
        except UnavailableError as error:
            return JSONResponse({"name": name, "ready": False, "error": str(error)}, 400)
        return JSONResponse({"name": name, "ready": True})

    def _asked(self, request: Request) -> Served:
        return self.models.find(request.path_params["name"], request.path_params.get("version"))

    async def _infer(self, request: Request, share: Share) -> tuple[Headers, list[bytes | memoryview]]:
        """Run a model."""
        if self._keys is not None:
            self._keys.check(request.headers.get("authorization"))
        self._asked(request)  # what is not served is said before anything is read
        try:
            async with asyncio.timeout(self._settings.seconds):
                body = await self._body(request, share)
                length = read_length(request.headers.get(HEADER_LENGTH), len(body))
                others = sum(count * body.count(sign, 0, length) for sign, count in _OF_OTHERS.items())
                share.take(_OF_A_NUMBER * length + others)
                asked = await _perhaps_in_thread(length, read_request, body, length)
                served = self._asked(request)  # only now: its alias may have moved while the body came
                served.check_kinds(asked.arrays)
                share.take(expected := served.bytes_of(asked.arrays))
                names = [tensor.name for tensor in served.model.signature.outputs]
                wanted = asked.wanted(names)  # what is not there is said before anything runs
                found = await served.batcher.run(asked.arrays, request.receive)
                text = sum(found[one.name].size for one in wanted if not one.binary) * _OF_A_NUMBER
                share.take(max(0, sum(array.nbytes for array in found.values()) - expected) + 2 * text)
                return await _perhaps_in_thread(
                    text, write_answer, asked, found, model=request.path_params["name"], version=served.version
                )
        except TimeoutError as error:
            raise UnavailableError(
                f"the request takes more than {self._settings.seconds:g} s: send fewer samples, or later"
            ) from error

    async def _body(self, request: Request, share: Share) -> bytes:
        """Read a body, unpacked, of no more bytes than are taken."""
        limit = self._settings.max_body
        error = TooLargeError(f"the body: larger than the {limit} bytes that this server takes")
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity" and coding not in _WINDOW:
            raise DataError(f"Content-Encoding is {coding[:40]!r}: send it plain, or by {' or '.join(_WINDOW)}")
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > limit:
            raise error
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise error
            share.take(len(part))
            parts.append(part)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return body if coding == "identity" else await _unpacked(body, coding, limit, share, error)


class _Name(StringConvertor):
    """The name of a model; one with a slash, as of an item with its collection, too."""

    regex = "[^/]+(?:/(?!(?:infer|ready)$|versions/)[^/]+)?"


register_url_convertor("model", _Name())


class _Route(Route):
    """A route that the figures of the server know by its path, whatever its model is called."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, methods: list[str] | None = None) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.path = self.path_format

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return match, {**found, "route": self} if match is not Match.NONE else found


class _Infer:
    """Answer in the form of ASGI itself: what the request holds is held until its answer is sent."""

    def __init__(
        self,
        infer: Callable[[Request, Share], Awaitable[tuple[Headers, list[bytes | memoryview]]]],
        memory: Memory,
        seconds: float,
    ) -> None:
        self._infer = infer
        self._memory = memory
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with Share(self._memory) as share:
            headers, parts = await self._infer(Request(scope, receive), share)
            if sum(map(len, parts)) < _CHUNK:  # each part is a packet of its own
                pieces: list[bytes | memoryview] = [b"".join(parts)]
            else:  # in pieces, each sent when the one before is taken: what a client leaves there is held all the while
                pieces = [part[at : at + _CHUNK] for part in parts for at in range(0, len(part), _CHUNK)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for place, piece in enumerate(pieces, 1):
                try:
                    async with asyncio.timeout(self._seconds):
                        await send({"type": "http.response.body", "body": piece, "more_body": place < len(pieces)})
                except TimeoutError:
                    LOG.warning("a client took nothing of its answer for %g s: given up", self._seconds)
                    return


async def _unpacked(body: bytes, coding: str, limit: int, share: Share, error: TooLargeError) -> bytes:
    """Unpack a body, piece by piece: a small one may become a very large one, and others are answered meanwhile."""
    unpacker = zlib.decompressobj(_WINDOW[coding])
    parts: list[bytes] = []
    size, rest = 0, body
    try:
        while not unpacker.eof and (part := unpacker.decompress(rest, _CHUNK)):
            size, rest = size + len(part), unpacker.unconsumed_tail
            if size > limit:
                raise error
            share.take(len(part))
            parts.append(part)
            await asyncio.sleep(0)
    except zlib.error as problem:
        raise DataError(f"the body is not {coding}: {problem}") from problem
    if not unpacker.eof:
        raise DataError(f"the body is not {coding}: it is cut off")
    if unpacker.unused_data:
        raise DataError(f"the body is {coding}, and {len(unpacker.unused_data)} bytes after it: pack all of it as one")
    return b"".join(parts)


async def _perhaps_in_thread(size: int, work: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    if size < _LARGE_JSON:
        return work(*arguments, **named)
    return await asyncio.to_thread(work, *arguments, **named)


def _answer(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers)


async def _of_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, DataError | AmbiguousError):
        return _answer(400, str(error))
    status, text, headers = problems.told(error)
    return _answer(status, text, headers)


async def _of_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, str(error.detail), dict(error.headers or {}))


async def _of_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=problems.GONE)


async def _of_bug(_request: Request, _error: Exception) -> Response:
    return _answer(500, "an unexpected error; the server's log tells more of the request with this X-Request-ID")
