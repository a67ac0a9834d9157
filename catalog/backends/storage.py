"""The seam between a static catalog and where it lies: a folder, atomic writes, locks that die with their owner.

Paths are relative to the root, with ``/`` between names. Every failure of the operating system is a
:class:`~modelstac.catalog.errors.StorageError` that says what to do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from modelstac.catalog.errors import IntegrityError, ModelStacError, StorageError

STAGING = ".staging"
_LOCK = ".lock"
_CHUNK = 1 << 20
LARGEST = 1 << 30
"""Bytes of one document: a collection of many thousand versions has some tens of megabytes."""
_ADVICE = {
    errno.ENOSPC: "free some space and try again, nothing was published",
    errno.EDQUOT: "the quota is used up: free some space and try again, nothing was published",
    errno.EFBIG: "the file is larger than this system or user may write, nothing was published",
    errno.EACCES: "ask for write permission there, or name another catalog",
    errno.EPERM: "ask for write permission there, or name another catalog",
    errno.EROFS: "it is mounted read-only: name another catalog",
    errno.ENOTDIR: "a part of the path is a file: name another catalog",
}


@contextlib.contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn the operating system's errors inside into a :class:`StorageError` for ``action``."""
    try:
        yield
    except ModelStacError:  # some of ours are OSErrors too, and already explained
        raise
    except OSError as error:
        raise StorageError.doing(action, error, advice=_ADVICE.get(error.errno or 0, "")) from error


class NoDocumentError(StorageError):
    """What a link leads to is no file that could be a document: a catalog can do without it."""


def _document(path: Path) -> bytes:
    """Read a document; a device, a pipe, or what is too large for one is none, whatever link leads there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        if error.errno not in {errno.ENAMETOOLONG, errno.ELOOP}:
            raise
        raise NoDocumentError(f"{str(path)[:120]}… cannot be a document: {str(error.strerror).lower()}") from error
    try:
        status = os.fstat(descriptor)  # by its number: it cannot be exchanged meanwhile
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise NoDocumentError(
                f"{path} is {'no file' if not stat.S_ISREG(status.st_mode) else f'{status.st_size:,} bytes long'}, "
                "so no document of a catalog: remove it, or what links to it"
            )
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(status.st_size)
    finally:
        os.close(descriptor)


def _tag(status: os.stat_result) -> str:
    # Writers replace files, so one that changed is another inode at least.
    return f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"


def _place(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _listed(folder: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder and not hidden, by name; nothing of one that is gone, or that may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []


class Folder:
    """A folder of files.

    Parameters
    ----------
    root
        The folder; it need not exist before the first write.
    lock_timeout
        Seconds to wait for another process that is committing. Commits are short: files are copied before.
    """

    def __init__(self, root: Path, *, lock_timeout: float = 120.0) -> None:
        self.root = root.absolute()
        self._lock_timeout = lock_timeout

    def href(self, path: str) -> str:
        """Return the absolute href of a file."""
        return str(self.root / path)

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there."""
        with explained(f"read {self.root / path}"):
            return (self.root / path).exists()

    def names(self) -> list[str]:
        """Return the names at the top that are not hidden; none when there is no folder."""
        with explained(f"list {self.root}"):
            if not self.root.is_dir():
                return []
            return sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))

    def tags(self, suffix: str) -> dict[str, str]:
        """Return, by its path, what changes whenever a file with this suffix is written."""
        found: dict[str, str] = {}
        waiting, seen = [("", str(self.root))], set[tuple[int, int]]()
        with explained(f"read {self.root}"):
            if self.root.is_dir():
                seen.add(_place(self.root.stat()))
            while waiting:
                below, folder = waiting.pop()
                inside = []
                for entry in _listed(folder):
                    try:
                        is_folder = entry.is_dir()
                        if not is_folder and not entry.name.endswith(suffix):
                            continue
                        status = entry.stat()
                    except OSError:  # removed since it was listed, or a link that leads nowhere
                        continue
                    if not is_folder:
                        found[f"{below}{entry.name}"] = _tag(status)
                    # A folder of a model may be a link to another disk; one with two names is read once.
                    elif _place(status) not in seen:
                        seen.add(_place(status))
                        inside.append((f"{below}{entry.name}/", entry.path))
                waiting += reversed(inside)
        return found

    def tag(self, path: str) -> str | None:
        """Return the same for one file, whatever links it lies behind; None where there is none."""
        with contextlib.suppress(OSError, ValueError):
            return _tag((self.root / path).stat())
        return None

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, None when it is not there."""
        with explained(f"read {self.root / path}"):
            try:
                return _document(self.root / path)
            except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: it is no name at all
                return None

    def write(self, path: str, data: bytes, *, private: bool = False) -> None:
        """Replace a file atomically and durably: whoever reads sees the old content or the new one, whole.

        The caller holds the lock. What is private nobody but its owner may read, at no moment.
        """
        target = self.root / path
        # One name for ever: what a killed process leaves, the next writer replaces.
        temporary = target.with_name(f".{target.name}.new")
        with explained(f"write {target}"):
            make_folder(target.parent, self.root)
            try:
                if private:
                    temporary.unlink(missing_ok=True)
                    temporary.touch(0o600, exist_ok=False)
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            sync_folder(target.parent)

    @contextlib.contextmanager
    def lock(self, name: str = _LOCK) -> Iterator[None]:
        """Keep other writers out. The operating system frees the lock when its process dies."""
        with explained(f"lock {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
        with _held(self.root / name, self._lock_timeout):
            yield

    @contextlib.contextmanager
    def staging(self) -> Iterator[Staging]:
        """Give a hidden folder to prepare files in; whatever is left there afterwards is removed.

        Folders that killed processes left behind are removed on the way: their locks are free.
        """
        name = f"{STAGING}/{os.urandom(16).hex()}"
        place = self.root / name
        with contextlib.ExitStack() as stack:
            # Made and locked while the catalog is locked, so that nobody takes it for a dead one.
            with self.lock(), explained(f"write in {self.root}"):
                self._sweep()
                place.parent.mkdir(exist_ok=True)
                # The lock before the folder and longer than it: whoever dies between leaves what the sweep finds.
                stack.enter_context(_held(place.with_suffix(_LOCK), self._lock_timeout))
                place.mkdir()
            try:
                yield Staging(self, place)
            finally:
                shutil.rmtree(place, ignore_errors=True)
                with contextlib.suppress(OSError):
                    place.with_suffix(_LOCK).unlink()

    def _sweep(self) -> None:
        for lock in (self.root / STAGING).glob(f"*{_LOCK}"):
            with contextlib.suppress(StorageError), _held(lock, 0):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        """Remove a file or folder that no document names, and the folder around it when that is empty then."""
        target = self.root / path
        with explained(f"remove {target}"):
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            target.parent.rmdir()


class Staging:
    """A hidden folder inside a :class:`Folder`, where the files of one item are prepared."""

    def __init__(self, folder: Folder, place: Path) -> None:
        self._folder = folder
        self._place = place

    def write(self, name: str, data: bytes) -> None:
        """Write a file durably."""
        with explained(f"write {name} into {self._folder.root}"), (self._place / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def copy(self, source: Path, name: str, *, sha256: str) -> None:
        """Copy a file durably, and check on the way that it is the one described.

        Raises
        ------
        IntegrityError
            If the source is not the file with this SHA-256.
        """
        with explained(f"copy {source} into {self._folder.root}"):
            copy_verified(source, self._place / name, sha256=sha256)

    def move_to(self, path: str) -> None:
        """Move all that was prepared to its place, in one step."""
        target = self._folder.root / path
        with explained(f"write {target}"):
            sync_folder(self._place)
            make_folder(target.parent, self._folder.root)
            self._place.rename(target)
            sync_folder(target.parent)


def copy_verified(source: Path, target: Path, *, sha256: str) -> None:
    """Copy a file durably to where none is.

    Raises
    ------
    IntegrityError
        If the source is not the file with this SHA-256.
    """
    digest = hashlib.sha256()
    with source.open("rb") as incoming, target.open("xb") as outgoing:
        while chunk := incoming.read(_CHUNK):
            digest.update(chunk)
            outgoing.write(chunk)
        outgoing.flush()
        os.fsync(outgoing.fileno())
    if digest.hexdigest() != sha256:
        raise IntegrityError(
            f"{source} has SHA-256 {digest.hexdigest()}, its item says {sha256}: it changed after it was described"
        )


def make_folder(folder: Path, root: Path) -> None:
    """Make a folder below a root whose name is durable, as those of the folders between are."""
    folder.mkdir(parents=True, exist_ok=True)
    # Also where it was there: whoever made it a moment ago may not have come this far.
    above = folder
    while above != root and root in above.parents:
        above = above.parent
        sync_folder(above)
    sync_folder(root.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    # A rename is durable once its folder is; not every system can sync a folder, and none needs it for atomicity.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _held(path: Path, timeout: float) -> Iterator[None]:
    # Imported here: readers never lock, and it costs a quarter of what pystac costs.
    import filelock

    lock = filelock.FileLock(path, timeout=timeout)
    with explained(f"lock {path}"):
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise StorageError(f"cannot lock {path}: another process holds it for {timeout:g} s; try again") from error
    try:
        yield
    finally:
        lock.release()
