"""The server's artifacts: files under their SHA-256, in a folder or on an object store, for any number of servers.

Layout and addresses: ``<first two digits>/<digest>/<file name>``, as beside an embedded catalog. A file has its
name once it is complete, verified and durable, and is never written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from modelstac.catalog.backends.storage import make_folder, sync_folder
from modelstac.catalog.errors import (
    CatalogError,
    ChangedMeanwhileError,
    IntegrityError,
    InvalidItemError,
    ModelStacError,
    StorageError,
    TooLargeError,
)
from modelstac.catalog.server.files.parts import Part, Parts

if TYPE_CHECKING:
    from obstore.store import ObjectStore

LOG = logging.getLogger("modelstac.server")
CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[^./\\%\x00-\x1f\x7f][^/\\%\x00-\x1f\x7f]*")
_LONGEST_NAME = 255  # bytes, which file systems take
_SPOOL = ".uploads"
_TRIES = 100


def artifact_path(digest: str, name: str) -> str:
    """Return the path of an artifact.

    Raises
    ------
    InvalidItemError
        If the digest or the name is none.
    """
    if not _DIGEST.fullmatch(digest):
        raise InvalidItemError("artifact: the address needs the 64 lower-case hexadecimal digits of a SHA-256")
    if not _NAME.fullmatch(name) or len(os.fsencode(name)) > _LONGEST_NAME:
        raise InvalidItemError(
            f"artifact: {name[:60]!r} is no name of a file here, which has up to {_LONGEST_NAME} bytes, no '/', '\\', "
            "'%' or control character, and no '.' first: give the file another name"
        )
    return f"{digest[:2]}/{digest}/{name}"


@dataclass(frozen=True)
class Stored:
    """What is known of a stored artifact, or of an upload that broke off.

    Parameters
    ----------
    digest
        None for what never got its place.
    """

    path: str
    size: int
    modified: datetime
    digest: str | None = None


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
        self._parts = Parts(spool or (self._folder / _SPOOL if self._folder else Path("modelstac.uploads")))

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

    def find(self, path: str) -> Stored | None:
        """Return what is known of an artifact, None when there is none."""
        digest = path.split("/")[1]
        try:
            if self._folder is not None:
                status = (self._folder / path).stat()
                return Stored(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC), digest)
            import obstore

            found = obstore.head(self._objects, path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            LOG.exception("%s cannot be read", self.place)
            raise StorageError("the artifacts cannot be read: try again") from error
        return Stored(path, found["size"], found["last_modified"], digest)

    def renew(self, path: str) -> None:
        """Make an artifact as young as if it came now: who is told that it is here will name it soon.

        On an object store it keeps its age: a publish finds it missing then, and it is sent again.
        """
        if self._folder is not None:
            with contextlib.suppress(OSError):
                os.utime(self._folder / path)

    def received(self, path: str) -> int:
        """Return how many bytes of an incomplete upload are here."""
        return self._parts.received(path)

    async def read(self, path: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` up to, not including, ``end``."""
        import obstore

        while start < end:
            stop = min(start + CHUNK, end)
            yield bytes(await obstore.get_range_async(self._objects, path, start=start, end=stop))
            start = stop

    async def write(self, path: str, body: AsyncIterator[bytes], *, start: int, total: int | None) -> bool:
        """Take the bytes of an artifact from ``start`` on; it appears once it is complete, verified and durable.

        Others may send the same artifact at the same time, to this server or another: each has a part of its own.

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
            If no upload broke off at ``start``.
        TooLargeError
            If it is larger than the limit.
        """
        if total is not None and total > self.limit:
            raise TooLargeError(f"artifact: {total} bytes, this server takes {self.limit} at most")
        try:
            with self._parts.taken(path, start) as part:
                if part is None:
                    raise ChangedMeanwhileError(f"artifact: {self.received(path)} bytes are here, so go on there")
                try:
                    await self._receive(part, body, total)
                except (TooLargeError, OSError):
                    part.remove()  # it is never completed, and would keep a full disk full
                    raise
                if total is not None and part.path.stat().st_size < total:
                    return False
                await self._finish(path, part)
        except ModelStacError:
            raise
        except OSError as error:
            LOG.exception("an upload to %s failed", self.place)
            raise StorageError("artifact: it cannot be kept, as on a full disk; try again later") from error
        self._parts.forget(path)
        return True

    async def _receive(self, part: Part, body: AsyncIterator[bytes], total: int | None) -> None:
        async for chunk in body:
            if part.file.tell() + len(chunk) > (self.limit if total is None else total):
                raise TooLargeError("artifact: more bytes than it may have or was said to have")
            await asyncio.to_thread(part.file.write, chunk)
        await asyncio.to_thread(part.file.flush)

    async def _finish(self, path: str, part: Part) -> None:
        found = await asyncio.to_thread(_sha256, part.path)
        if found != path.split("/")[1]:
            part.remove()
            self._parts.forget(path)
            raise IntegrityError(f"artifact: the bytes have SHA-256 {found}, the address names another")
        if self._folder is not None:
            await asyncio.to_thread(_place, part.path, self._folder / path, self._folder)
        else:
            import obstore

            await obstore.put_async(self._objects, path, part.path)
        part.remove()

    def old(self, older_than: timedelta) -> list[Stored]:
        """Return the artifacts that are older than so long, and what broke off before then."""
        before = datetime.now(UTC) - older_than
        found = [entry for entry in self._listed() if entry.modified < before]
        for path, size, modified in self._parts.old(before.timestamp()):
            shown = f"{self._parts.folder.name}/{path.name}"
            found.append(Stored(shown, size, datetime.fromtimestamp(modified, UTC)))
        return found

    def _listed(self) -> Iterator[Stored]:
        if self._folder is not None:
            for file in sorted(self._folder.glob("??/*/*")):
                with contextlib.suppress(FileNotFoundError):
                    status, path = file.stat(), file.relative_to(self._folder).as_posix()
                    # What a killed process was copying has a hidden name, and belongs to nobody.
                    digest = None if file.name.startswith(".") else file.parent.name
                    yield Stored(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC), digest)
            return
        import obstore

        for batch in obstore.list(self._objects):
            for entry in batch:
                parts = entry["path"].split("/")
                if len(parts) == 3:
                    yield Stored(entry["path"], entry["size"], entry["last_modified"], parts[1])

    def remove(self, stored: Stored) -> bool:
        """Remove an artifact, or what broke off, unless it has become younger since it was listed; tell which."""
        if stored.digest is None:
            place = self._parts.folder / Path(stored.path).name
            if self._folder is not None and not stored.path.startswith(f"{_SPOOL}/"):
                place = self._folder / stored.path
            place.unlink(missing_ok=True)
            return True
        now = self.find(stored.path)
        if now is None or now.modified > stored.modified:
            return False
        if self._folder is not None:
            (self._folder / stored.path).unlink(missing_ok=True)
        else:
            import obstore

            obstore.delete(self._objects, stored.path)
        return True

    def remove_empty(self) -> None:
        """Remove the folders that no file is in; an upload that needs one makes it again."""
        if self._folder is not None:
            for folder in (*self._folder.glob("??/*"), *self._folder.glob("??")):
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _place(part: Path, target: Path, root: Path) -> None:
    """Give a complete file its name, never over another one, and make the name durable."""
    for left in reversed(range(_TRIES)):
        try:
            make_folder(target.parent, root)
            _name(part, target)
        except FileNotFoundError:
            if left == 0 or not part.exists():
                raise
            continue  # the folder was empty, or the file old, and gc removed it meanwhile
        break
    sync_folder(target.parent)


def _name(part: Path, target: Path) -> None:
    try:
        os.link(part, target)
    except FileExistsError:
        if target.stat().st_size != part.stat().st_size:
            part.replace(target)  # half a file, by a server that did not know better
    except FileNotFoundError:
        raise
    except OSError:
        part.rename(target)  # a system without hard links; what is replaced is the same file


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        os.fsync(file.fileno())
    return digest.hexdigest()
