"""What is served beside the STAC API, under an address of its own; what it is, rooms above this one know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send


class Service(Protocol):
    """A service beside the STAC API.

    Attributes
    ----------
    prefix
        Under which address it answers, such as ``/v2``.
    app
        What answers there.
    headers
        Headers of its own, which pages of other sites may send and read.
    failure
        Why the server had to end, None where it had not.
    """

    prefix: str
    app: ASGIApp
    headers: Sequence[str]
    failure: Exception | None

    def running(self, end: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Run while the server does; ``end`` ends the server."""
        ...


class Beside:
    """Hand what is below the address of a service to it; its requests are as large and take as long as it says."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._below = f"{service.prefix}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == self._service.prefix or path.startswith(self._below)):
            await self._service.app(scope, receive, send)
        else:
            await self._app(scope, receive, send)
