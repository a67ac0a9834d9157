"""The bytes of a URL, from the web or wherever obstore reaches, beginning where an earlier attempt ended."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from modelstac.catalog import forks
from modelstac.catalog.credentials import identified, refusal, shown
from modelstac.catalog.errors import DownloadError, ModelStacError, NotFoundError, StorageError
from modelstac.catalog.later import needing
from modelstac.catalog.times import seconds_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = frozenset({"http", "https", "s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"})
OFFLINE, TIMEOUT = "MODELSTAC_OFFLINE", "MODELSTAC_TIMEOUT"
STALLED = 30  # seconds without a byte
RETRIES = 4
BLOCK = 8 << 20
PARALLEL = 4
NO_LENGTH, PARTIAL, GONE, BUSY, BROKEN = "Content-Length Header missing", 206, 404, 429, 500
PASSING = (NO_LENGTH, "429", "status code: 5", "error sending request")
FIRST_WAIT = 0.1  # seconds, where a server does not say how long
PIECE = 1 << 16  # less than that is lost when a connection breaks
# obstore has no class for these; by a word in its message, what happened and what to do
REASONS = MappingProxyType(
    {
        "429": ("the server has too many requests (429)", "try again later"),
        **dict.fromkeys(
            ("Timeout", "timed out"),
            ("the server stalled", f"try again, what has come is kept ({TIMEOUT}=seconds waits longer)"),
        ),
        "status code: 5": ("an error of the server", "try again later, or tell its keeper"),
        "HTTP Error 5": ("an error of the server", "try again later, or tell its keeper"),
        "InvalidCertificate": ("its certificate is not trusted here", "name the authority's file by SSL_CERT_FILE"),
        "error sending request": ("the host cannot be reached", "check network, proxy and the host's name"),
        **dict.fromkeys(("body error", "IncompleteRead"), ("the connection broke", "try again, what has come is kept")),
    }
)


@dataclass(frozen=True)
class Source:
    """A file elsewhere: URL, digest, length if it is known, and what it is, for the messages."""

    href: str
    sha256: str
    size: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.what} at {shown(self.href)}"


def offline() -> bool:
    """Tell whether the user forbids the network."""
    return os.environ.get(OFFLINE, "0") not in {"", "0"}


def download(source: Source, *, start: int) -> Iterator[bytes]:
    """Yield the bytes of a URL from ``start`` on.

    Parameters
    ----------
    source
        The file; a long one comes in parallel ranges if its length is known.
    start
        How many bytes are here already.

    Raises
    ------
    NotFoundError
        If there is nothing at the URL.
    StorageError
        If it may not be read.
    DownloadError
        If there is no network, the server refuses, stalls or breaks off.
    MissingPackageError
        If it lies in an object store, for which obstore is not installed.
    NotImplementedError
        If the server cannot begin at ``start``.
    """
    if offline():
        raise DownloadError(f"{source} is not in the cache, and {OFFLINE} forbids to fetch it: unset that once")
    web = urlsplit(source.href).scheme in {"http", "https"}
    if web and find_spec("obstore") is None:  # it adds to the web several ranges at once
        yield from _patiently(source, start)
        return
    forks.use("obstore", task=f"fetch {source}")
    with needing(f"fetching {source}"):
        from obstore.exceptions import BaseError, NotSupportedError

    here = start
    try:
        for chunk in _by_obstore(source, start):
            here += len(chunk)
            yield chunk
    except ModelStacError:
        raise
    except NotSupportedError as error:
        if here or not web:
            raise NotImplementedError from error
        yield from _patiently(source, here)  # the server has no ranges, and gives it whole
    except (BaseError, OSError, ValueError) as error:
        if not any(sign in str(error) for sign in PASSING) or not web:
            raise _explained(error, source) from error
        yield from _patiently(source, here)


def _by_obstore(source: Source, start: int) -> Iterator[bytes]:
    import obstore

    store, path = _store(source.href)
    if source.size is not None and source.size - start > BLOCK:
        yield from _in_parallel(store, path, start, source.size)
        return
    found = obstore.get(store, path, options={"range": {"offset": start}} if start else None)
    for chunk in found.stream(min_chunk_size=PIECE):
        yield bytes(chunk)


def _patiently(source: Source, start: int) -> Iterator[bytes]:
    """Yield the bytes that a server would not give at once, as late as it says (``Retry-After``), a few times."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError

    end = time.monotonic() + float(os.environ.get(TIMEOUT) or STALLED)
    for attempt in range(RETRIES + 1):
        here = start
        try:
            for piece in _by_http(source, here):
                start += len(piece)
                yield piece
        except DownloadError as error:
            cause = error.__cause__
            if isinstance(cause, HTTPError):
                passing = cause.code == BUSY or cause.code >= BROKEN
            else:
                passing = isinstance(cause, (URLError, HTTPException, ConnectionError))
            if not passing:
                raise
            said = seconds_of(cause.headers.get("Retry-After")) if isinstance(cause, HTTPError) else None
            wait = FIRST_WAIT * 2**attempt if said is None else said
            if attempt == RETRIES or time.monotonic() + wait > end:
                raise
            time.sleep(wait)
        else:
            return


def _by_http(source: Source, start: int) -> Iterator[bytes]:
    """Yield the bytes that a server sends, whether or not it says how many: obstore takes no answer that does not.

    What has come is known by its digest, and what breaks off is noticed by HTTP itself.
    """
    from http.client import HTTPException, IncompleteRead
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    href, credentials = identified(source.href)
    request = Request(href, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 - the caller looked
    for name, value in credentials.items():
        request.add_unredirected_header(name, value)  # a server that it leads to is another one
    try:
        with urlopen(request, timeout=float(os.environ.get(TIMEOUT) or STALLED)) as response:  # noqa: S310
            if start and response.status != PARTIAL:
                raise NotImplementedError
            while piece := response.read(PIECE):
                yield bytes(piece)
            if response.length:  # read in pieces, an answer that ends early is not told
                raise IncompleteRead(b"", response.length)
    except (HTTPException, OSError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise _explained(error, source) from error


def _in_parallel(store: ObjectStore, path: str, start: int, size: int) -> Iterator[bytes]:
    """Fetch a few blocks at a time, and yield them in order: what was yielded can be gone on from."""
    import obstore

    def block(begin: int) -> bytes:
        return bytes(obstore.get_range(store, path, start=begin, end=min(begin + BLOCK, size)))

    with ThreadPoolExecutor(PARALLEL) as pool:
        for window in range(start, size, BLOCK * PARALLEL):
            yield from pool.map(block, range(window, min(window + BLOCK * PARALLEL, size), BLOCK))


def _store(href: str) -> tuple[ObjectStore, str]:
    from obstore.store import HTTPStore, from_url

    stalled = timedelta(seconds=float(os.environ.get(TIMEOUT) or STALLED))
    # "timeout" is for the whole request, however large the file.
    client: Any = {"connect_timeout": stalled, "read_timeout": stalled, "timeout": timedelta(days=1)}
    retry: Any = {"max_retries": RETRIES, "retry_timeout": stalled}
    scheme = urlsplit(href).scheme
    if scheme in {"http", "https"}:
        client["allow_http"] = scheme == "http"
        # The whole URL as the root, because a signed one has a query, which a path would not keep.
        href, credentials = identified(href)
        client |= {"default_headers": credentials} if credentials else {}
        # How long a server wants one to wait, obstore does not tell.
        return HTTPStore(href, client_options=client, retry_config=retry | {"max_retries": 0}), ""
    # Options that are given hide what the environment says of them, and buckets of one's own often speak plain HTTP.
    owner = {"gs": "GOOGLE", "az": "AZURE"}.get(scheme, "AWS")
    client["allow_http"] = os.environ.get(f"{owner}_ALLOW_HTTP", "").casefold() in {"1", "true", "yes", "on"}
    folder, _, name = href.rpartition("/")
    store: ObjectStore = from_url(folder, client_options=client, retry_config=retry)
    return store, name


def _advice(source: Source) -> str:
    """Say how credentials are given where a file lies."""
    scheme = urlsplit(source.href).scheme
    owner = {"gs": "GOOGLE_APPLICATION_CREDENTIALS", "az": "AZURE_STORAGE_ACCOUNT_KEY"}.get(scheme)
    return f"give credentials by the environment ({owner or 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'})"


def _refused(error: Exception) -> int | None:
    """Return the status by which a server or a store does not let one in; None where it is something else."""
    code = getattr(error, "code", None)  # of urllib
    if code in {401, 403}:
        return int(code)
    return {"UnauthenticatedError": 401, "PermissionDeniedError": 403}.get(type(error).__name__)


def _explained(error: Exception, source: Source) -> ModelStacError:
    from urllib.error import HTTPError, URLError

    from modelstac.catalog.backends.api.http import reason as why

    text = str(error)
    if isinstance(error, FileNotFoundError) or getattr(error, "code", None) == GONE:
        return NotFoundError(f"{source} is not there (404): ask its publisher, or look for a later version")
    if (status := _refused(error)) is not None:
        if urlsplit(source.href).scheme in {"http", "https"}:
            hint = ", or get a newly signed URL" if urlsplit(source.href).query else ""
            return StorageError(f"{source} may not be read: {refusal(source.href, status)}{hint}")
        return StorageError(f"{source} may not be read ({status}): {_advice(source)}")
    text = text.replace(source.href, shown(source.href)).replace(identified(source.href)[0], shown(source.href))
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return DownloadError(f"{source} could not be fetched, the host cannot be reached: {why(error)}")
    reason = " ".join(text.partition("Debug source")[0].split())
    reason, advice = next((found for sign, found in REASONS.items() if sign in text), (reason, "try again"))
    return DownloadError(f"{source} could not be fetched: {reason}; {advice}")
