"""The server's artifacts: files under their SHA-256, in a folder or on an object store.

Layout and addresses: ``<first two digits>/<digest>/<file name>``, as beside an embedded catalog.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from modelstac.catalog.errors import (
    CatalogError,
    ChangedMeanwhileError,
    IntegrityError,
    InvalidItemError,
    ModelStacError,
    NotFoundError,
    StorageError,
    TooLargeError,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

LOG = logging.getLogger("modelstac.server")
CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+@-]{0,127}")


def artifact_path(digest: str, name: str) -> str:
    """Return the path of an artifact.

    Raises
    ------
    InvalidItemError
        If the digest or the name is none.
    """
    if not _DIGEST.fullmatch(digest):
        raise InvalidItemError("artifact: the address needs the 64 lower-case hexadecimal digits of a SHA-256")
    if not _NAME.fullmatch(name):
        raise InvalidItemError("artifact: a file name of up to 128 letters, digits, '.', '_', '+', '-', '@' is needed")
    return f"{digest[:2]}/{digest}/{name}"


@dataclass(frozen=True)
class Stored:
    """What is known of a stored artifact."""

    path: str
    size: int
    modified: datetime


class ArtifactStore:
    """Where artifacts are.

    Parameters
    ----------
    place
        A folder, or ``s3://``, ``gs://``, ``az://`` with the usual environment variables for access.
    limit
        Largest artifact in bytes.
    spool
        Folder of uploads that are not complete; beside the artifacts when these are in a folder.
    """

    def __init__(self, place: str, *, limit: int, spool: Path | None = None) -> None:
        self.place = place
        self.limit = limit
        self._folder = None if "://" in place else Path(place)
        self._spool = spool or (self._folder / ".uploads" if self._folder else Path("modelstac.uploads"))
        self._busy: set[str] = set()

    @property
    def _objects(self) -> ObjectStore:
        import obstore.store

        try:
            if self._folder is not None:
                return obstore.store.LocalStore(self._folder, mkdir=True)
            return obstore.store.from_url(self.place)
        except Exception as error:
            LOG.exception("artifacts cannot be kept in %s", self.place)
            raise CatalogError("artifacts cannot be kept where the server's settings say: see its log") from error

    async def find(self, path: str) -> Stored | None:
        """Return what is known of an artifact, None when there is none."""
        import obstore

        try:
            found = await obstore.head_async(self._objects, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            LOG.exception("%s cannot be read", self.place)
            raise StorageError("the artifacts cannot be read: try again") from error
        return Stored(path, found["size"], found["last_modified"])

    def received(self, path: str) -> int:
        """Return how many bytes of an incomplete upload are here."""
        try:
            return self._part(path).stat().st_size
        except FileNotFoundError:
            return 0

    async def read(self, path: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` up to, not including, ``end``."""
        import obstore

        while start < end:
            stop = min(start + CHUNK, end)
            yield bytes(await obstore.get_range_async(self._objects, path, start=start, end=stop))
            start = stop

    async def write(self, path: str, body: AsyncIterator[bytes], *, start: int, total: int | None) -> bool:
        """Take the bytes of an artifact from ``start`` on; it appears once it is complete and verified.

        Parameters
        ----------
        total
            Its size, None when the end of the body is the end of the artifact.

        Returns
        -------
        bool
            Whether it is complete now.

        Raises
        ------
        IntegrityError
            If the complete bytes have another SHA-256; they are thrown away.
        ChangedMeanwhileError
            If ``start`` is not where the bytes received before end, or another upload of it is running.
        TooLargeError
            If it is larger than the limit.
        """
        if path in self._busy:
            raise ChangedMeanwhileError("artifact: another upload of it is running; wait for its end")
        self._busy.add(path)
        try:
            await self._receive(path, body, start, total)
            part = self._part(path)
            if total is not None and part.stat().st_size < total:
                return False
            await self._finish(path, part)
        except ModelStacError:
            raise
        except OSError as error:
            LOG.exception("an upload to %s failed", self.place)
            raise StorageError("artifact: it cannot be kept, as on a full disk; try again later") from error
        finally:
            self._busy.discard(path)
        return True

    async def _receive(self, path: str, body: AsyncIterator[bytes], start: int, total: int | None) -> None:
        part = self._part(path)
        part.parent.mkdir(parents=True, exist_ok=True)
        if total is not None and total > self.limit:
            raise TooLargeError(f"artifact: {total} bytes, this server takes {self.limit} at most")
        if start and start != self.received(path):
            raise ChangedMeanwhileError(f"artifact: {self.received(path)} bytes are here, so go on there")
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            async for chunk in body:
                if file.tell() + len(chunk) > (self.limit if total is None else total):
                    raise TooLargeError("artifact: more bytes than it may have or was said to have")
                await asyncio.to_thread(file.write, chunk)

    async def _finish(self, path: str, part: Path) -> None:
        found = await asyncio.to_thread(_sha256, part)
        if found != path.split("/")[1]:
            part.unlink()
            raise IntegrityError(f"artifact: the bytes have SHA-256 {found}, the address names another")
        if self._folder is not None:
            target = self._folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        else:
            import obstore

            await obstore.put_async(self._objects, path, part)
            part.unlink()

    def _part(self, path: str) -> Path:
        return self._spool / path.replace("/", "-")

    def old(self, older_than: timedelta) -> list[Stored]:
        """Return the artifacts that are older than so long."""
        import obstore

        before = datetime.now(UTC) - older_than
        found = []
        for batch in obstore.list(self._objects):
            for entry in batch:
                parts = entry["path"].split("/")
                if len(parts) == 3 and entry["last_modified"] < before:
                    found.append(Stored(entry["path"], entry["size"], entry["last_modified"]))
        return found

    def remove(self, stored: Stored) -> None:
        """Remove an artifact."""
        import obstore

        obstore.delete(self._objects, stored.path)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last that a ``Range`` header asks for, None for everything.

    Raises
    ------
    NotFoundError
        If the range lies outside.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header or "")
    first, last = match.groups() if match else ("", "")
    if (first, last) == ("", "") or (first and last and int(last) < int(first)):
        return None  # RFC 9110: what is not understood is ignored
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise NotFoundError(f"range: the artifact has {size} bytes")
    return start, end


def parse_content_range(header: str | None) -> tuple[int, int | None]:
    """Return the first byte and the total size that a ``Content-Range`` header names."""
    if header is None:
        return 0, None
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", header)
    if match is None:
        raise InvalidItemError("Content-Range: expected 'bytes FIRST-LAST/TOTAL'")
    return int(match.group(1)), int(match.group(3))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        os.fsync(file.fileno())
    return digest.hexdigest()
