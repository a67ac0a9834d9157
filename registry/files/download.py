"""The bytes of a URL, from wherever obstore reaches, beginning where an earlier attempt ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from modelstac.catalog.errors import DownloadError, ModelStacError, NotFoundError, StorageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = frozenset({"http", "https", "s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"})
OFFLINE, TIMEOUT = "MODELSTAC_OFFLINE", "MODELSTAC_TIMEOUT"
STALLED = 30  # seconds without a byte
RETRIES = 4
BLOCK = 8 << 20
PARALLEL = 4
PIECE = 1 << 16  # less than that is lost when a connection breaks
# obstore has no class for these; by a word in its message, what happened and what to do
REASONS = MappingProxyType(
    {
        "429": ("the server has too many requests (429)", "try again later"),
        "Timeout": ("the server stalled", f"try again, what has come is kept ({TIMEOUT}=seconds waits longer)"),
        "status code: 5": ("an error of the server", "try again later, or tell its keeper"),
        "InvalidCertificate": ("its certificate is not trusted here", "name the authority's file by SSL_CERT_FILE"),
        "error sending request": ("the host cannot be reached", "check network, proxy and the host's name"),
        "body error": ("the connection broke", "try again, what has come is kept"),
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
    NotImplementedError
        If the server cannot begin at ``start``.
    """
    if offline():
        raise DownloadError(f"{source} is not in the cache, and {OFFLINE} forbids to fetch it: unset that once")
    import obstore
    from obstore.exceptions import BaseError, NotSupportedError

    try:
        store, path = _store(source.href)
        if source.size is not None and source.size - start > BLOCK:
            yield from _in_parallel(store, path, start, source.size)
            return
        found = obstore.get(store, path, options={"range": {"offset": start}} if start else None)
        for chunk in found.stream(min_chunk_size=PIECE):
            yield bytes(chunk)
    except ModelStacError:
        raise
    except NotSupportedError as error:
        raise NotImplementedError from error
    except (BaseError, OSError, ValueError) as error:
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
        return HTTPStore(href, client_options=client, retry_config=retry), ""
    # Options that are given hide what the environment says of them, and buckets of one's own often speak plain HTTP.
    owner = {"gs": "GOOGLE", "az": "AZURE"}.get(scheme, "AWS")
    client["allow_http"] = os.environ.get(f"{owner}_ALLOW_HTTP", "").casefold() in {"1", "true", "yes", "on"}
    folder, _, name = href.rpartition("/")
    store: ObjectStore = from_url(folder, client_options=client, retry_config=retry)
    return store, name


def shown(href: str) -> str:
    """Return a URL without what may be secret in it: user, password, signature."""
    parts = urlsplit(href)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _explained(error: Exception, source: Source) -> ModelStacError:
    text = str(error)
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"{source} is not there (404): ask its publisher, or look for a later version")
    if type(error).__name__ in {"PermissionDeniedError", "UnauthenticatedError"}:
        return StorageError(f"{source} may not be read (403): give credentials for it, or a newly signed URL")
    reason = " ".join(text.partition("Debug source")[0].replace(source.href, shown(source.href)).split())
    reason, advice = next((found for sign, found in REASONS.items() if sign in text), (reason, "try again"))
    return DownloadError(f"{source} could not be fetched: {reason}; {advice}")
