"""HEAD wherever GET is, and compression that keeps to HTTP: one entity tag an encoding, and parts of the file itself.

Source: RFC 9110, 8.8.3 (two encodings of one document are two representations) and 9.3.2 (HEAD is GET without content).
"""

from __future__ import annotations

import re

from brotli_asgi import BrotliMiddleware
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CONDITIONS = frozenset({b"if-match", b"if-none-match", b"if-range"})
_MARKED = re.compile(r'-(br|gzip)"')


class Heads:
    """Answer HEAD as GET is answered, without the content."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        # Artifacts have a HEAD of their own, which reads nothing and tells how much of an upload is here.
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].startswith("/artifacts/"):
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
            await send(message)

        scope["method"] = "GET"
        try:
            await self._app(scope, receive, send_head)
        finally:
            scope["method"] = "HEAD"


class EntityTags:
    """Give each encoding of a document an entity tag of its own, and take all of them for the document's.

    Stands around what compresses.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = ""
        headers = []
        for name, value in scope["headers"]:
            if name in _CONDITIONS:
                asked += value.decode("latin-1")
                value = _MARKED.sub('"', value.decode("latin-1")).encode("latin-1")  # noqa: PLW2901 - a copy
            headers.append((name, value))
        scope["headers"] = headers

        async def send_tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(raw=message["headers"])
                tag, encoding = answer.get("etag"), answer.get("content-encoding")
                if tag and message["status"] == 304:
                    # That of the copy which the client has.
                    marked = next((f'{tag[:-1]}-{e}"' for e in ("br", "gzip") if f'{tag[:-1]}-{e}"' in asked), tag)
                    answer["etag"] = marked
                elif tag and encoding in {"br", "gzip"}:
                    answer["etag"] = f'{tag[:-1]}-{encoding}"'
                message = {**message, "headers": answer.raw}
            await send(message)

        await self._app(scope, receive, send_tagged)


class Compress(BrotliMiddleware):
    """Compress what is text; a part of a file is counted in the file's own bytes, and artifacts are no text."""

    def _is_handler_excluded(self, scope: Scope) -> bool:
        excluded = scope["type"] == "http" and (
            scope["path"].startswith("/artifacts/") or any(name == b"range" for name, _ in scope["headers"])
        )
        return bool(excluded)
