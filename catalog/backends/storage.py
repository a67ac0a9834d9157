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
import uuid
from collections.abc import Iterator
from pathlib import Path

from modelstac.catalog.errors import IntegrityError, ModelStacError, StorageError

STAGING = ".staging"
_LOCK = ".lock"
_CHUNK = 1 << 20
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
        found = {}
        with explained(f"read {self.root}"):
            for folder, names, files in os.walk(self.root):
                names[:] = sorted(name for name in names if not name.startswith("."))
                below = "" if folder == str(self.root) else f"{os.path.relpath(folder, self.root)}/"
                for name in sorted(files):
                    if name.endswith(suffix) and not name.startswith("."):
                        # Writers replace files, so one that changed is another inode at least.
                        status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - thousands of times
                        found[f"{below}{name}"] = f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"
        return found

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, None when it is not there."""
        with explained(f"read {self.root / path}"):
            try:
                return (self.root / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, path: str, data: bytes) -> None:
        """Replace a file atomically and durably: whoever reads sees the old content or the new one, whole.

        The caller holds the lock.
        """
        target = self.root / path
        # One name for ever: what a killed process leaves, the next writer replaces.
        temporary = target.with_name(f".{target.name}.new")
        with explained(f"write {target}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
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
    def lock(self) -> Iterator[None]:
        """Keep other writers out. The operating system frees the lock when its process dies."""
        with explained(f"lock {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
        with _held(self.root / _LOCK, self._lock_timeout):
            yield

    @contextlib.contextmanager
    def staging(self) -> Iterator[Staging]:
        """Give a hidden folder to prepare files in; whatever is left there afterwards is removed.

        Folders that killed processes left behind are removed on the way: their locks are free.
        """
        name = f"{STAGING}/{uuid.uuid4().hex}"
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
            if target.is_dir():
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
            target.parent.mkdir(parents=True, exist_ok=True)
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
