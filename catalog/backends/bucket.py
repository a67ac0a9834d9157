"""The seam between a static catalog and an object store: conditional writes, streamed uploads, errors in one line."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from modelstac.catalog import forks
from modelstac.catalog.backends.storage import explained
from modelstac.catalog.credentials import identified, refusal, shown
from modelstac.catalog.errors import CatalogError, IntegrityError, NotFoundError, StorageError
from modelstac.catalog.later import needing

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_CHUNK = 8 << 20
_READ_ONLY = ("http://", "https://")


class Bucket:
    """A prefix of an object store.

    Parameters
    ----------
    url
        Such as ``s3://bucket/models``; ``https://`` is for reading only.
    """

    def __init__(self, url: str) -> None:
        with needing(f"opening {url}"):
            import obstore
            from obstore.store import from_url

        self.url, known = identified(url)
        url = self.url
        self._api = obstore
        with self._explained("open"):
            # What is down should be known in seconds.
            retries: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
            options: ClientConfig = {"allow_http": True} if url.startswith("http://") else {}
            if known:
                options["default_headers"] = known  # which another server that this one leads to does not get
            self._store = from_url(url, client_options=options or None, retry_config=retries, config=None)

    def read(self, path: str) -> tuple[bytes, str | None] | None:
        """Return content and tag of an object, None when it is not there."""
        with self._explained(f"read {path} in"):
            try:
                found = self._api.get(self._store, path)
            except FileNotFoundError:
                return None
            return bytes(found.bytes()), found.meta["e_tag"]

    def write(self, path: str, data: bytes, *, tag: str | None) -> bool:
        """Write an object if it still has this tag, or if there is none; tell whether it did."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        self._refuse_read_only()
        with self._explained(f"write {path} in"):
            try:
                self._api.put(self._store, path, data, mode="create" if tag is None else {"e_tag": tag})
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def upload(self, source: Path, path: str, *, sha256: str) -> None:
        """Stream a file into an object, verified on the way.

        Raises
        ------
        IntegrityError
            If it is not the file with this SHA-256.
        """
        self._refuse_read_only()
        digest = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            with explained(f"read {source}"), source.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    yield chunk

        with self._explained(f"write {path} in"):
            self._api.put(self._store, path, chunks())
        if digest.hexdigest() != sha256:
            raise IntegrityError(
                f"{source} has SHA-256 {digest.hexdigest()}, its item says {sha256}: it changed after it was described"
            )

    def remove(self, prefix: str) -> None:
        """Remove all objects below a prefix."""
        self._refuse_read_only()
        with self._explained(f"remove {prefix} in"):
            for found in self._api.list(self._store, prefix):
                self._api.delete(self._store, [meta["path"] for meta in found])

    def remove_one(self, path: str) -> None:
        """Remove an object."""
        self._refuse_read_only()
        with self._explained(f"remove {path} in"):
            self._api.delete(self._store, path)

    def tags(self, suffix: str) -> dict[str, str] | None:
        """Return, by its path, what changes whenever an object with this suffix does; the web cannot be listed."""
        if self.url.startswith(_READ_ONLY):
            return None
        with self._explained("list"):
            return {
                meta["path"]: f"{meta['e_tag']} {meta['last_modified']}"
                for found in self._api.list(self._store)
                for meta in found
                if meta["path"].endswith(suffix)
            }

    def download(self, path: str, target: Path) -> str:
        """Write an object into a new file, and return its SHA-256."""
        digest = hashlib.sha256()
        with self._explained(f"read {path} in"), explained(f"write {target}"):
            try:
                found = self._api.get(self._store, path)
            except FileNotFoundError as error:
                raise NotFoundError(f"no file {path} in {self.url}") from error
            with target.open("xb") as file:
                for chunk in found.stream(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
        return digest.hexdigest()

    def _refuse_read_only(self) -> None:
        if self.url.startswith(_READ_ONLY):
            raise CatalogError(f"{self.url} can only be read: publish into the place that it is served from")

    @contextlib.contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        forks.use("obstore", task=f"{action} {self.url}")
        try:
            yield
        except (BaseError, PermissionError, ValueError) as error:
            if isinstance(error, IntegrityError):
                raise
            status = {"UnauthenticatedError": 401, "PermissionDeniedError": 403}.get(type(error).__name__)
            if status is not None and self.url.startswith(_READ_ONLY):
                raise StorageError(f"cannot {action} {self.url}: {refusal(self.url, status)}") from error
            reason = str(error).partition("\n")[0][:300]
            raise StorageError(
                f"cannot {action} {self.url}: {reason}; check address, network and credentials (AWS_ACCESS_KEY_ID …)"
            ) from error


def download(href: str, target: Path, *, sha256: str) -> None:
    """Write the file at a URL of an object store or the web into a new file.

    Raises
    ------
    NotFoundError
        If it is not there.
    IntegrityError
        If it is not the file with this SHA-256; nothing is left.
    """
    parts = urlsplit(href)
    folder, _, name = parts.path.rpartition("/")
    found = Bucket(f"{parts.scheme}://{parts.netloc}{folder}").download(unquote(name), target)
    if found != sha256:
        target.unlink()
        raise IntegrityError(f"{shown(href)} has SHA-256 {found}, its item says {sha256}: it is not the published file")
