"""Talking to a STAC API: pystac-client's session, problem documents turned back into errors, resumable uploads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin

import pystac

from modelstac.catalog import errors
from modelstac.catalog.credentials import bare, identified, refusal, typed, warn_unencrypted
from modelstac.catalog.errors import (
    CatalogError,
    ChangedMeanwhileError,
    ModelStacError,
    NotFoundError,
    StorageError,
    UnauthorizedError,
)
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import BULK_CONFORMANCE, CONFORMANCE
from modelstac.catalog.journal import Asked, Entry
from modelstac.catalog.times import seconds_of

_BY_STATUS: dict[int, type[ModelStacError]] = {
    400: errors.InvalidItemError,
    401: errors.UnauthorizedError,
    403: errors.ForbiddenError,
    404: NotFoundError,
    405: CatalogError,
    409: errors.ItemExistsError,
    412: errors.ChangedMeanwhileError,
    413: errors.TooLargeError,
    422: errors.InvalidItemError,
    501: CatalogError,
}
_TRIES = 5
_PATIENCE_SECONDS = 30.0
# Publishing again what was published changes nothing.
_REPEATABLE = frozenset({"GET", "HEAD", "POST"})
_BUSY, _UNAVAILABLE = 429, 503
_NO_BODIES = frozenset({404, 405, 501})
"""Answers of servers that are searched by an address alone, as the API's specification allows."""
_REFUSED = frozenset({401, 403})
# What an error of the network says of itself, in words of everybody's.
_REASONS = (
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted here; name the authority's file by SSL_CERT_FILE"),
    ("SSL", "it does not speak TLS; is it http:// and not https://?"),
    ("getaddrinfo", "its name is unknown; check the address"),
    ("NameResolution", "its name is unknown; check the address"),
    ("refused", "the connection is refused; check the port and that the server runs"),
    ("timed out", "nothing came in time; try again"),
    ("unreachable", "there is no way to it from here; check the network"),
    ("ProxyError", "the proxy does not let it through; check HTTPS_PROXY and NO_PROXY"),
    ("RemoteDisconnected", "it ended the connection; check that the server runs, then try again"),
    ("reset", "it ended the connection; check that the server runs, then try again"),
    ("Broken pipe", "it ended the connection; check that the server runs, then try again"),
)


def reason(error: BaseException) -> str:
    """Return why nothing answered and what to do, in half a line."""
    text = repr(error).casefold()
    return next((said for sign, said in _REASONS if sign.casefold() in text), " ".join(str(error).split())[:200])


def quoted(text: str) -> str:
    """Return a name as one part of an address."""
    return quote(text, safe="")


def next_request(link: Document, answer: Document) -> Document | None:
    """Return the request of the next page, as a link says it: by itself, or by what it changes of the one before.

    Source: STAC API - Item Search 1.0, "Paging" (``merge``).
    """
    links = answer.get("links") or ()
    found = next((one for one in links if one.get("rel") == "next" and one.get("href")), None)
    if found is None:
        return None
    before = link if found.get("merge") else {}
    after: Document = {"href": urljoin(link["href"], found["href"]), "method": str(found.get("method", "GET")).upper()}
    for key in ("headers", "body"):
        after[key] = (before.get(key) or {}) | (found.get(key) or {})
    return None if after == link else after


def _object(response: Any) -> Document:
    """Read an answer with items."""
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StorageError(f"{bare(response.url)} answers with no JSON object: it is no STAC API, or out of order")
    return found


def _in_address(value: Any) -> Any:
    """Write a value of a search as a parameter: lists with commas, signs of an order before its fields."""
    if isinstance(value, dict):
        return json.dumps(value)
    if not isinstance(value, list | tuple):
        return value
    signs = {"asc": "+", "desc": "-"}
    return ",".join(signs[one["direction"]] + one["field"] if isinstance(one, dict) else str(one) for one in value)


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
        from pystac_client import Client
        from pystac_client.exceptions import APIError
        from pystac_client.stac_api_io import StacApiIO

        self.href = typed(href)
        if key:
            warn_unencrypted(self.href)
        reading = StacApiIO()
        reading.session.auth = _identify
        try:
            self._client = Client.open(self.href, stac_io=reading)
        except APIError as error:
            status = getattr(error, "status_code", None)  # missing where nothing answered
            if status is None:
                raise StorageError(f"{self.href} does not answer: {reason(error)}") from error
            if status in _REFUSED:
                raise UnauthorizedError(f"{self.href} is not read: {refusal(self.href, status)}") from error
            raise CatalogError(f"{self.href} is no STAC API: it answers with status {status}") from error
        except (pystac.STACError, pystac.STACTypeError, ValueError, KeyError) as error:
            raise CatalogError(f"{self.href} is no STAC API: {error}") from error
        if not self._client.conforms_to("ITEM_SEARCH"):
            raise CatalogError(f"{self.href} cannot be searched: it is no STAC API, name its landing page")
        self.is_ours = CONFORMANCE in self._client.get_conforms_to()
        self.takes_lines = BULK_CONFORMANCE in self._client.get_conforms_to()
        self.sorts = any("item-search#sort" in said for said in self._client.get_conforms_to())
        assert self._client._stac_io is not None, "an opened client has a session"
        self._session = self._client._stac_io.session
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections."""
        return self._client.get_collections()

    def collection_documents(self) -> Iterator[Document]:
        """Return all collections as JSON; none of an API that has no list of them but as pystac-client finds them."""
        if not self._client.conforms_to("COLLECTIONS"):
            yield from (found.to_dict(transform_hrefs=False) for found in self.collections())
            return
        link: Document | None = {"href": f"{self.href}/collections{'?limit=250' if self.is_ours else ''}"}
        while link is not None:
            answer = self.follow(link)
            yield from answer["collections"]
            link = next_request(link, answer)

    def get(self, path: str) -> tuple[Document, str | None]:
        """Return a document and its entity tag."""
        response = self._request("GET", f"{self.href}/{path}")
        return response.json(), response.headers.get("ETag")

    def audit(self, asked: Asked) -> tuple[list[Entry], int | None]:
        """Return a page of the audit log, and the number before which the next begins.

        Raises
        ------
        CatalogError
            If the server keeps none.
        """
        named = ("collection", "item", "action", "by", "datetime", "before", "limit")
        given = {name: value for name in named if (value := getattr(asked, name)) is not None}
        try:
            found = self._request("GET", f"{self.href}/audit", params=given, headers=self._headers).json()
        except NotFoundError as error:
            raise CatalogError(f"{self.href} keeps no audit log: it is none of ours, or of an older version") from error
        entries = [Entry(**entry) for entry in found["entries"]]
        more = any(link["rel"] == "next" for link in found["links"])
        return entries, entries[-1].number if more else None

    def search(self, body: Document) -> tuple[Document, Document]:
        """Ask for the first page of a search; give the request that found it, too, as not every server takes a body."""
        link: Document = {"href": f"{self.href}/search", "method": "POST", "body": body}
        response = self._request("POST", link["href"], json=body, unless=() if self.is_ours else _NO_BODIES)
        if response.ok:
            return link, _object(response)
        link = {"href": f"{link['href']}?{urlencode({name: _in_address(value) for name, value in body.items()})}"}
        return link, self.follow(link)

    def follow(self, link: Document) -> Document:
        """Return what a link with method, headers and body leads to."""
        options = {"headers": link["headers"]} if link.get("headers") else {}
        if link.get("method", "GET") == "POST":
            return _object(self._request("POST", link["href"], json=link["body"], **options))
        return _object(self._request("GET", link["href"], **options))

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
            # With the key: an artifact that is here stays until the item is published.
            found = self._session.head(href, headers=self._headers, timeout=120)
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
            except StorageError as error:
                failures += 1
                wait = error.retry_after if error.retry_after is not None else 0.1 * 2**failures
                if failures == _TRIES or time.monotonic() + wait > end:
                    raise
                time.sleep(wait)
            else:
                return href

    def _request(
        self,
        method: str,
        href: str,
        *,
        made: Callable[[], Iterator[bytes]] | None = None,
        unless: Collection[int] = (),
        **options: Any,
    ) -> Any:
        import requests

        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                sent = options if made is None else options | {"data": made()}
                response = self._session.request(method, href, timeout=120, **sent)
            except requests.RequestException as error:
                raise StorageError(f"{self.href} does not answer: {reason(error)}") from error
            if response.ok or response.status_code in unless:
                return response
            wait = seconds_of(response.headers.get("Retry-After"))
            # What is too much is not done at all; what the server could not do may be, and is repeated where that is
            # harmless. A file is sent again from where it ended, by whoever sends it.
            again = response.status_code == _BUSY or (response.status_code == _UNAVAILABLE and method in _REPEATABLE)
            if not again or "data" in options or wait is None or time.monotonic() + wait > end:
                raise _error(response, wait)
            time.sleep(wait)


def _identify(request: Any) -> Any:
    """Say to the server of a request, and to none that it leads to, who one is.

    Without this, requests would take what ``~/.netrc`` has instead of the key that a request has already.
    """
    if "Authorization" not in request.headers:
        request.headers.update(identified(request.url)[1])
    return request


def _error(response: Any, wait: float | None = None) -> ModelStacError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    detail = problem.get("detail") or problem.get("description") or f"status {response.status_code}"
    if response.status_code in _REFUSED and "code" not in problem:  # no server of ours, which says it itself
        detail = f"{bare(response.url)} is not answered: {refusal(response.url, response.status_code)}"
    kind = getattr(errors, str(problem.get("code")), None)
    if not (isinstance(kind, type) and issubclass(kind, ModelStacError)):
        kind = _BY_STATUS.get(response.status_code, StorageError)
    error = kind(str(detail))
    if isinstance(error, StorageError):
        error.retry_after = wait
    return error
