"""Files from elsewhere, kept under their SHA-256 and shared by all processes of a user.

``sha256/<two digits>/<digest>`` is a file, complete and verified before it has that name. Beside it lie ``.part`` (what
has come so far), ``.json`` (the stamp, whose time is that of the last use) and ``.lock`` (held by whoever downloads,
and freed by the system when that process dies). ``local/`` holds stamps of files that are read where they lie.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from modelstac.catalog.backends.storage import sync_folder
from modelstac.catalog.errors import DownloadError, IntegrityError, ModelStacError, SpecError, StorageError
from modelstac.catalog.items.digests import sha256
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.registry.files.download import Source, download

FOLDER, LIMIT = "MODELSTAC_CACHE", "MODELSTAC_CACHE_LIMIT"
DEFAULT_LIMIT = 50_000_000_000
CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Entry:
    """One file in the cache: digest, bytes, time of the last use (seconds since 1970), whether it is complete."""

    sha256: str
    size: int
    used: float
    complete: bool


class Cache:
    """The cache.

    Parameters
    ----------
    root
        Its folder; by default ``MODELSTAC_CACHE``, or the user's cache folder.
    limit
        Bytes that it may hold; by default ``MODELSTAC_CACHE_LIMIT``, or 50 GB. Least recently used files go first.
    """

    def __init__(self, root: Path | None = None, *, limit: int | None = None) -> None:
        self.root = root or _default_root()
        self.limit = _default_limit() if limit is None else limit

    def path(self, digest: str) -> Path:
        """Return where the file with a digest is, or would be."""
        return self.root / "sha256" / digest[:2] / digest

    def stamp(self, digest: str) -> Path:
        """Return where the stamp of a cached file is."""
        return self.path(digest).with_suffix(".json")

    def local_stamp(self, path: Path) -> Path:
        """Return where the stamp of a file that is no part of the cache is."""
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
        return self.root / "local" / name[:2] / f"{name}.json"

    def provide(self, source: Source, *, report: Report = ignore) -> Path:
        """Return a file, downloaded unless it is here; of many who wait for it one downloads.

        Raises
        ------
        NotFoundError, DownloadError, StorageError
            If it cannot be had, or not be stored.
        IntegrityError
            If another file is at the place.
        """
        path = self.path(source.sha256)
        if path.exists():
            return path
        with self._locked(source.sha256, what=source.what), self._explained(source.what):
            if not path.exists():  # nobody was quicker
                self._fetch(source, path, report)
        self.prune(spare=frozenset({source.sha256}))
        return path

    def _fetch(self, source: Source, path: Path, report: Report) -> None:
        part = path.with_suffix(".part")
        task = f"fetch {source.what}"
        report(Started(task, source.size))
        for last in (False, False, True):
            if source.size is None or _length(part) > source.size:
                part.unlink(missing_ok=True)
            begun = _length(part)
            try:
                found = _receive(source, part, task, report)
            except NotImplementedError:  # the server cannot begin in the middle
                part.unlink()
                continue
            except DownloadError:
                # Whoever got something has a reason to hope for the rest.
                if last or _length(part) <= begun:
                    raise
                continue
            if found == source.sha256:
                part.replace(path)
                sync_folder(path.parent)
                report(Finished(task))
                return
            part.unlink()
            if not begun:  # what was begun may have been the beginning of another file
                raise IntegrityError(
                    f"{source} is not the published file: sha256 is {found}, published was {source.sha256}; "
                    "ask its publisher"
                )
        raise DownloadError(f"{source} breaks off again and again: try again later")

    @contextlib.contextmanager
    def _locked(self, digest: str, *, what: str | None = None, timeout: float = -1) -> Iterator[bool]:
        """Hold the lock of a file; yields whether it could be had within the timeout."""
        import filelock  # not at the top: what is in the cache needs no lock

        lock = filelock.FileLock(self.path(digest).with_suffix(".lock"), timeout=timeout)
        with self._explained(what):
            self.path(digest).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.suppress(filelock.Timeout):
                lock.acquire()
        try:
            yield lock.is_locked
        finally:
            lock.release()

    @contextlib.contextmanager
    def _explained(self, what: str | None = None) -> Iterator[None]:
        try:
            yield
        except ModelStacError:  # some of ours are OSErrors too, and already explained
            raise
        except OSError as error:
            advice = f"free space there, set {LIMIT} or " if error.errno in _FULL else ""
            raise StorageError.doing(
                f"write {what + ' ' if what else ''}into the cache {self.root}",
                error,
                advice=f"{advice}name another folder by {FOLDER}",
            ) from error

    def entries(self) -> list[Entry]:
        """Return what the cache holds, the least recently used first."""
        found = []
        for path in self.root.glob("sha256/*/*"):
            if path.suffix not in {"", ".part"}:
                continue
            with contextlib.suppress(FileNotFoundError):  # somebody prunes
                status, stamp = path.stat(), path.with_suffix(".json")
                used = max(status.st_mtime, stamp.stat().st_mtime if stamp.exists() else 0)
                found.append(Entry(path.stem, status.st_size, used, not path.suffix))
        return sorted(found, key=lambda entry: entry.used)

    def prune(self, limit: int | None = None, *, spare: frozenset[str] = frozenset()) -> list[Entry]:
        """Remove the least recently used files until the rest is within the limit; return what was removed.

        What is being downloaded stays. Whoever reads a file that goes keeps what he has opened.
        """
        limit = self.limit if limit is None else limit
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        removed = []
        for entry in entries:
            if total <= limit:
                break
            if entry.sha256 not in spare and self.remove(entry):
                total -= entry.size
                removed.append(entry)
        return removed

    def verify(self) -> list[Entry]:
        """Hash every complete file anew, remove those that are not what their name says, and return them."""
        bad = [e for e in self.entries() if e.complete and sha256(self.path(e.sha256)) != e.sha256]
        return [entry for entry in bad if self.remove(entry)]

    def remove(self, entry: Entry) -> bool:
        """Remove a file, unless somebody downloads it."""
        with self._locked(entry.sha256, timeout=0) as free:
            if free:
                path = self.path(entry.sha256)
                with self._explained():
                    path.with_suffix(".json").unlink(missing_ok=True)
                    path.with_suffix("" if entry.complete else ".part").unlink(missing_ok=True)
            return free


def _receive(source: Source, part: Path, task: str, report: Report) -> str:
    """Append what is missing to a file, durably, and return the digest of all of it."""
    size = source.size
    with part.open("ab+") as file:
        file.seek(0)
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        length = file.tell()
        report(Advanced(task, length))
        for chunk in download(source, start=length) if length != size else ():
            digest.update(chunk)
            file.write(chunk)
            length += len(chunk)
            report(Advanced(task, len(chunk)))
            if size is not None and length > size:
                break
        file.flush()
        os.fsync(file.fileno())
    if size is not None and length != size:
        part.unlink()
        found = "more" if length > size else str(length)
        raise IntegrityError(f"{source} has {found} bytes, published were {size}: ask its publisher")
    return digest.hexdigest()


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _default_root() -> Path:
    if named := os.environ.get(FOLDER):
        return Path(named)
    return _of_the_user(os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME"))


@lru_cache(maxsize=4)
def _of_the_user(*_: str | None) -> Path:
    """Return the folder that platformdirs makes of these variables: it takes as long as a small file is read."""
    import platformdirs  # not at the top: those who name a folder need it not

    return Path(platformdirs.user_cache_dir("modelstac")) / "artifacts"


def _default_limit() -> int:
    text = os.environ.get(LIMIT) or str(DEFAULT_LIMIT)
    try:
        return parse_size(text)
    except ValueError as error:
        raise SpecError(f"{LIMIT} is {text!r}: a number of bytes is needed, such as 500MB or 20GB") from error


@lru_cache(maxsize=16)
def parse_size(text: str) -> int:
    """Read a number of bytes, such as ``500MB`` or ``20 GB``."""
    match = re.fullmatch(r"([0-9.]+) ?([kMGT]?)B?", text.strip())
    if match is None:
        raise ValueError(text)
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))
