"""Talking to a STAC API: pystac-client's session, problem documents turned back into errors, resumable uploads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pystac

from modelstac.catalog import errors
from modelstac.catalog.errors import (
    CatalogError,
    ChangedMeanwhileError,
    MissingPackageError,
    ModelStacError,
    NotFoundError,
    StorageError,
)
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import BULK_CONFORMANCE, CONFORMANCE

_BY_STATUS: dict[int, type[ModelStacError]] = {
    400: errors.InvalidItemError,
    401: errors.UnauthorizedError,
    403: errors.UnauthorizedError,
    404: NotFoundError,
    409: errors.ItemExistsError,
    412: errors.ChangedMeanwhileError,
    413: errors.TooLargeError,
    422: errors.InvalidItemError,
}
_TRIES = 3
_PATIENCE_SECONDS = 30.0
_REPEATABLE = frozenset({"GET", "POST"})


def quoted(text: str) -> str:
    """Return a name as one part of an address."""
    return quote(text, safe="")


class Api:
    """One API.

    Parameters
    ----------
    href
        Its address, without a slash at the end.
    key
        Key for writing.
    """

    def __init__(self, href: str, key: str | None) -> None:
        try:
            from pystac_client import Client
            from pystac_client.exceptions import APIError
        except ModuleNotFoundError as error:
            raise MissingPackageError.extra(str(error.name), "api", "a catalog behind an API") from error

        self.href = href
        try:
            self._client = Client.open(href)
        except APIError as error:
            status = getattr(error, "status_code", None)  # missing where nothing answered
            if status is None:
                raise StorageError(f"{href} does not answer: check the address and that the server runs") from error
            raise CatalogError(f"{href} is no STAC API: it answers with status {status}") from error
        except (pystac.STACError, pystac.STACTypeError, ValueError, KeyError) as error:
            raise CatalogError(f"{href} is no STAC API: {error}") from error
        if not self._client.conforms_to("ITEM_SEARCH"):
            raise CatalogError(f"{href} cannot be searched: it is no STAC API, name its landing page")
        self.is_ours = CONFORMANCE in self._client.get_conforms_to()
        self.takes_lines = BULK_CONFORMANCE in self._client.get_conforms_to()
        self.sorts = any("item-search#sort" in said for said in self._client.get_conforms_to())
        assert self._client._stac_io is not None, "an opened client has a session"
        self._session = self._client._stac_io.session
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections."""
        return self._client.get_collections()

    def get(self, path: str) -> tuple[Document, str | None]:
        """Return a document and its entity tag."""
        response = self._request("GET", f"{self.href}/{path}")
        return response.json(), response.headers.get("ETag")

    def follow(self, link: Document) -> Document:
        """Return what a link with method and body leads to."""
        if link.get("method", "GET") == "POST":
            found: Document = self._request("POST", link["href"], json=link["body"]).json()
        else:
            found = self._request("GET", link["href"]).json()
        return found

    def send(self, method: str, path: str, document: Document | None = None, *, if_match: str | None = None) -> None:
        """Write."""
        headers = self._headers | ({"If-Match": if_match} if if_match else {})
        self._request(method, f"{self.href}/{path}", json=document, headers=headers)

    def send_lines(self, path: str, lines: Callable[[], Iterator[bytes]]) -> None:
        """Write many documents, one a line, which are made while those before are on their way."""
        headers = self._headers | {"Content-Type": "application/x-ndjson"}
        self._request("POST", f"{self.href}/{path}", made=lines, headers=headers)

    def upload(self, path: Path, checksum: str) -> str:
        """Send a file, going on where an earlier try ended, and return its address."""
        digest = from_multihash(checksum)
        href = f"{self.href}/artifacts/{digest[:2]}/{digest}/{quoted(path.name)}"
        size = path.stat().st_size
        end, failures = time.monotonic() + _PATIENCE_SECONDS, 0
        while True:
            found = self._session.head(href)
            if found.ok:
                return href
            start = int(found.headers.get("Upload-Offset", 0))
            headers = dict(self._headers)
            if 0 < start < size:
                headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
            try:
                with path.open("rb") as file:
                    file.seek(start if "Content-Range" in headers else 0)
                    self._request("PUT", href, data=file if size else b"", headers=headers)
            except ChangedMeanwhileError:
                # Somebody else sends the same file: then it is there soon.
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            except StorageError:
                failures += 1
                if failures == _TRIES:
                    raise
            else:
                return href

    def _request(
        self, method: str, href: str, *, made: Callable[[], Iterator[bytes]] | None = None, **options: Any
    ) -> Any:
        import requests

        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                sent = options if made is None else options | {"data": made()}
                response = self._session.request(method, href, timeout=120, **sent)
            except requests.RequestException as error:
                raise StorageError(
                    f"{self.href} does not answer: check that the server runs, then try again"
                ) from error
            if response.ok:
                return response
            wait = response.headers.get("Retry-After", "")
            # Publishing again what was published changes nothing; a file is sent again from where it ended.
            again = response.status_code == 503 and method in _REPEATABLE and "data" not in options and wait.isdigit()
            if not again or time.monotonic() + int(wait) > end:
                raise _error(response)
            time.sleep(int(wait))


def _error(response: Any) -> ModelStacError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    detail = problem.get("detail") or problem.get("description") or f"status {response.status_code}"
    kind = getattr(errors, str(problem.get("code")), None)
    if not (isinstance(kind, type) and issubclass(kind, ModelStacError)):
        kind = _BY_STATUS.get(response.status_code, StorageError)
    return kind(str(detail))
