"""Many items in one request, one a line: checked as they come, and stored in one transaction once all have come."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from typing import IO, TypeVar

import orjson
from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from modelstac.catalog.ahead import batches
from modelstac.catalog.errors import InvalidItemError, ModelStacError, StorageError, TooLargeError
from modelstac.catalog.items.documents import Document, now
from modelstac.catalog.items.validation import TOGETHER, until_wrong, validate_document
from modelstac.catalog.server.routes.incoming import Checks, check_id
from modelstac.catalog.server.routes.patches import read_json, refuse_unstorable
from modelstac.catalog.server.stores.links import base_url

Checked = TypeVar("Checked")
MEDIA_TYPE = "application/x-ndjson"
_AT_A_TIME, _BYTES_AT_A_TIME = 500, 4 << 20
_PATIENCE_SECONDS = 30.0
# Whoever sends less than this for a minute holds a connection for nothing.
_SLOWEST, _SLOW_SECONDS = 1 << 10, 60.0
_UNREAD = 256 << 20


class Body:
    """The lines of a request, read as fast as they come and kept on disk until they are checked.

    Parameters
    ----------
    request
        Whose body it is.
    file
        Where they are kept.
    ended
        Set when all have come.
    """

    def __init__(self, request: Request, file: IO[bytes]) -> None:
        self.request = request
        self.ended = asyncio.Event()
        self._file = file.fileno()
        self._kept: asyncio.Queue[tuple[int, int] | Exception | None] = asyncio.Queue()

    async def read(self, limit: int) -> None:
        """Read all of it."""
        place = 0
        try:
            async for lines in _lines(self.request, limit):
                text = b"\n".join(lines)
                await run_in_threadpool(_write, self._file, text, place)
                self._kept.put_nowait((place, len(text)))
                place += len(text)
        except Exception as error:  # noqa: BLE001 - whoever waits for the lines gets it
            self._kept.put_nowait(error)
        else:
            self._kept.put_nowait(None)
            self.ended.set()

    async def lines(self) -> AsyncIterator[list[bytes]]:
        """Yield the lines, some at a time."""
        while (kept := await self._kept.get()) is not None:
            if isinstance(kept, Exception):
                raise kept
            place, size = kept
            yield (await run_in_threadpool(os.pread, self._file, size, place)).split(b"\n")


@contextlib.asynccontextmanager
async def received(request: Request, limit: int) -> AsyncIterator[Body]:
    """Receive the lines of a request.

    Parameters
    ----------
    limit
        Most bytes of one line.

    Raises
    ------
    TooLargeError
        From the lines, if one is larger.
    StorageError
        From the lines, if the rest does not come.
    """
    kind = request.headers.get("content-type", MEDIA_TYPE).partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        raise HTTPException(415, f"Content-Type: {kind[:60]!r} is not understood, {MEDIA_TYPE} is")
    with tempfile.TemporaryFile() as file:
        body = Body(request, file)
        reading = asyncio.create_task(body.read(limit))
        try:
            yield body
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


async def checked_parts(body: Body, checks: Checks) -> AsyncGenerator[list[Document], None]:
    """Yield valid items of a request, some at a time and as they come; the next are checked meanwhile.

    Raises
    ------
    InvalidItemError, TooLargeError
        With the item.
    StorageError
        If the rest does not come.
    """
    base, begun = base_url(body.request), 1
    parts = body.lines()

    async def following() -> list[Document] | None:
        nonlocal begun
        lines = await anext(parts, None)
        if lines is None:
            return None
        first, begun = begun, begun + len(lines)
        return await run_in_threadpool(_checked, lines, first, checks, base)

    coming = asyncio.ensure_future(following())
    try:
        while (part := await coming) is not None:
            coming = asyncio.ensure_future(following())
            if part:
                yield part
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await coming


@contextlib.asynccontextmanager
async def all_there(
    parts: AsyncGenerator[list[Document], None], ended: asyncio.Event
) -> AsyncIterator[AsyncIterator[list[Document]]]:
    """Wait for the end of a request, with what is checked of it by then kept on disk, and give its items.

    What stores them keeps others from writing: that may last until the rest is checked, not as long as a client likes.
    """
    with tempfile.TemporaryFile() as file:
        while not ended.is_set() and (part := await anext(parts, None)) is not None:
            line = orjson.dumps(part) + b"\n"
            await run_in_threadpool(file.write, line)
        file.seek(0)

        async def again() -> AsyncIterator[list[Document]]:
            while line := await run_in_threadpool(file.readline):
                yield orjson.loads(line)
            async for part in parts:
                yield part

        yield again()


async def read_rest(request: Request) -> None:
    """Read what is left of a request that is refused: a client that is still sending would not see the answer."""
    unread = 0
    with contextlib.suppress(ClientDisconnect, TimeoutError, RuntimeError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for chunk in request.stream():
                unread += len(chunk)
                if unread > _UNREAD:
                    return


async def _lines(request: Request, limit: int) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a request, some at a time."""
    chunks = request.stream()
    rest, lines, size, whole_size, begun = b"", [], 0, 0, time.monotonic()
    while True:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                chunk = await anext(chunks, None)
        except (TimeoutError, ClientDisconnect) as error:
            raise StorageError("the body: its rest does not come; nothing was stored, send it again") from error
        whole_size += len(chunk or b"")
        if (lasted := time.monotonic() - begun) > _SLOW_SECONDS and whole_size < lasted * _SLOWEST:
            raise StorageError("the body: it comes too slowly; nothing was stored, send it again")
        *whole, rest = (rest + (chunk or b"")).split(b"\n")
        if chunk is None:
            whole.append(rest)
        if len(rest) > limit or any(len(line) > limit for line in whole):
            raise TooLargeError(f"an item: larger than the {limit} bytes that this server takes")
        for line in whole:
            lines.append(line)
            size += len(line)
            if len(lines) >= _AT_A_TIME or size >= _BYTES_AT_A_TIME:
                yield lines
                lines, size = [], 0
        if chunk is None:
            yield lines
            return


def _write(file: int, text: bytes, place: int) -> None:
    while text:
        written = os.pwrite(file, text, place)
        text, place = text[written:], place + written


def _checked(lines: list[bytes], first: int, checks: Checks, base: str) -> list[Document]:
    moment, stored = now(), []
    for some in batches(enumerate(lines, first), TOGETHER):
        begun, wrong = until_wrong((number, item, *_begun(item, number, checks, base)) for number, item in _items(some))
        for number, item, document, judged in begun:
            _named(item, number, lambda judged=judged: validate_document(judged))  # type: ignore[misc]
            document["properties"] |= {"created": moment, "updated": moment}
            stored.append(document)
        if wrong is not None:
            raise wrong
    return stored


def _items(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Document]]:
    return ((number, _read(line, number)) for number, line in lines if line.strip())


def _read(line: bytes, number: int) -> Document:
    try:
        item = read_json(line)
    except InvalidItemError as error:
        raise InvalidItemError(f"line {number}: {error}") from error
    if not isinstance(item, dict):
        raise InvalidItemError(f"line {number}: expected a JSON object, found {type(item).__name__}")
    return item


def _begun(item: Document, number: int, checks: Checks, base: str) -> tuple[Document, Document]:
    def check() -> tuple[Document, Document]:
        refuse_unstorable(item)
        name = item.get("collection")
        check_id(name, what="collection")
        return checks.begun(item, str(name), base)

    return _named(item, number, check)


def _named(item: Document, number: int, check: Callable[[], Checked]) -> Checked:
    try:
        return check()
    except ModelStacError as error:
        shown = repr(item.get("id"))
        if len(shown) > 100 or shown in str(error):
            shown = ""
        raise type(error)(f"line {number}{shown and f' (item {shown})'}: {error}") from error
