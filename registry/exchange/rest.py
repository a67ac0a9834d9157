"""A registry of somebody's over HTTP: JSON and files, and one line for whatever goes wrong."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstac.catalog.backends.api.http import reason
from modelstac.catalog.credentials import identified, refusal, typed, warn_unencrypted
from modelstac.catalog.errors import (
    DownloadError,
    NotFoundError,
    StorageError,
    UnauthorizedError,
    UntrustedError,
)
from modelstac.catalog.times import seconds_of

TIMEOUT = 60.0
_CHUNK = 1 << 20
_PATIENCE = 30.0  # seconds that a server may have one wait
_OFFLINE = "MODELSTAC_OFFLINE"


class Server:
    """A server.

    Parameters
    ----------
    href
        Its address; user and password are taken out of it and never shown.
    what
        What it is, for messages.
    header
        By what it knows one, where that is said elsewhere than in the address, a variable or ``~/.netrc``.
    """

    def __init__(self, href: str, what: str, header: str | None = None) -> None:
        import requests

        if os.environ.get(_OFFLINE, "0") not in {"", "0"}:
            raise DownloadError(f"{what} is on the web, and {_OFFLINE} forbids to ask: unset that once")
        self.href, self.what = typed(href).rstrip("/"), what
        self._session = requests.Session()
        self._own = header

        def identify(request: Any) -> Any:
            if self._own:
                warn_unencrypted(request.url)
            request.headers.update({"Authorization": self._own} if self._own else identified(request.url)[1])
            return request

        self._session.auth = identify  # what a redirect leads to is asked without it

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Ask for a document.

        Parameters
        ----------
        method, path
            As in HTTP; the path below the server's address.
        **options
            As requests takes them: ``params``, ``json``, ``data``.

        Raises
        ------
        NotFoundError
            If there is no such thing.
        UnauthorizedError
            If the server does not let one in.
        StorageError, DownloadError
            If it does not answer, or cannot do it.
        """
        response = self._answer(method, path, **options)
        try:
            return response.json() if response.content else {}
        except ValueError as error:
            raise StorageError(f"{self.what} at {self.href} answers with no JSON: is that its address?") from error

    def fetch(self, path: str, target: Path, *, max_bytes: int, params: Mapping[str, str] | None = None) -> str:
        """Write a file, and return its SHA-256.

        Raises
        ------
        UntrustedError
            If it is larger than ``max_bytes``.
        ModelStacError
            As :meth:`ask` does.
        """
        import requests

        digest, size = hashlib.sha256(), 0
        try:
            with self._answer("GET", path, params=params, stream=True) as response, target.open("wb") as file:
                for chunk in response.iter_content(_CHUNK):
                    size += len(chunk)
                    if size > max_bytes:
                        raise UntrustedError(f"{target.name} of {self.what} has more than {max_bytes} bytes")
                    digest.update(chunk)
                    file.write(chunk)
        except requests.RequestException as error:
            raise DownloadError(f"{target.name} of {self.what} broke off: {reason(error)}; try again") from error
        return digest.hexdigest()

    def send(self, path: str, source: Path) -> None:
        """Send a file.

        Raises
        ------
        ModelStacError
            As :meth:`ask` does.
        """
        with source.open("rb") as file:
            self._answer("PUT", path, data=file, headers={"Content-Type": "application/octet-stream"})

    def _answer(self, method: str, path: str, **options: Any) -> Any:
        import requests

        end = time.monotonic() + _PATIENCE
        while True:
            try:
                response = self._session.request(method, f"{self.href}/{path}", timeout=TIMEOUT, **options)
            except requests.RequestException as error:
                raise StorageError(f"{self.what} at {self.href} does not answer: {reason(error)}") from error
            if response.ok:
                return response
            wait = seconds_of(response.headers.get("Retry-After"))
            busy = response.status_code == 429
            if not busy or "data" in options or wait is None or time.monotonic() + wait > end:
                raise self._error(response, wait)
            time.sleep(wait)

    def _error(self, response: Any, wait: float | None) -> Exception:
        status, where = response.status_code, f"{self.what} at {self.href}"
        if status in {401, 403}:
            return UnauthorizedError(f"{where} is not read: {refusal(self.href, status)}")
        if status == 429:
            again = "later" if wait is None else f"in {wait:.0f} s"
            return StorageError(f"{where} has too many requests (429): ask again {again}")
        try:
            found = response.json()
            said = " ".join(str(found.get("message") or found.get("error") or found).split())[:200]
        except (ValueError, AttributeError):
            said = " ".join(response.text.split())[:100]
        if status == 404 or (status == 400 and "not found" in said.casefold()):  # as MLflow says of an alias
            return NotFoundError(f"{where} does not have it ({status}): {said}")
        return StorageError(f"{where} cannot do it ({status}): {said}")
