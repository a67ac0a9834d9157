"""Where results go, a path or an object store: written beside their place, and put there when all of them are whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from modelstac.catalog.backends.bucket import Bucket
from modelstac.catalog.backends.storage import sync_folder
from modelstac.catalog.errors import DataError, ModelStacError, StorageError
from modelstac.catalog.items.digests import sha256

Target = str | Path
"""A path, or the URL of an object in a store (``s3://bucket/maps/map.tif``)."""

STORES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
ADVICE = "check that the folder is there, may be written and has space, or name another output"


def suffix(target: Target) -> str:
    """Return the suffix of a target in lower case."""
    return Path(name(target)).suffix.lower()


def name(target: Target) -> str:
    """Return the last part of a target."""
    text = str(target).rstrip("/")
    return unquote(urlsplit(text).path.rpartition("/")[2]) if is_url(target) else Path(text).name


def sibling(target: Target, other: str) -> Target:
    """Return the place of another name beside a target."""
    if is_url(target):
        return f"{str(target).rstrip('/').rpartition('/')[0]}/{quote(other)}"
    return Path(target).with_name(other)


def is_url(target: Target) -> bool:
    """Tell whether a target lies in an object store.

    Raises
    ------
    DataError
        If it is an address that nothing is written to.
    """
    text = str(target)
    scheme = text.partition("://")[0].lower() if isinstance(target, str) and "://" in text else ""
    if not scheme:
        return False
    if scheme not in STORES or not urlsplit(text).path.strip("/"):
        raise DataError(
            f"cannot write {text}: name a path, or an object in a store ({', '.join(STORES[:3])}://bucket/name)"
        )
    return True


def check_place(target: Target, read: Collection[str] = ()) -> None:
    """Refuse a path that could not be written, or that is read.

    Parameters
    ----------
    target
        A path; of an object in a store nothing can be told.
    read
        Paths of files and folders that are read.

    Raises
    ------
    DataError
        If it is read, or a folder that is no Zarr store.
    StorageError
        If its folder is not there, or may not be written.
    """
    if is_url(target):
        return
    path = Path(target).absolute()
    if any(path.is_relative_to(one) or (path.exists() and _is_same(path, one)) for one in read):
        raise DataError(f"cannot write {target}: it is read for this map, and would be lost; name another output")
    _check_folder(path)
    with explained(target):
        if not path.parent.is_dir():
            raise FileNotFoundError(2, "no such folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(13, "its folder may not be written")


def _is_same(path: Path, other: str) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _check_folder(target: Path) -> bool:
    """Tell whether a folder has to give way, and refuse one that is no Zarr store."""
    if not target.is_dir() or target.is_symlink():
        return False
    if target.suffix.lower() != ".zarr" or not (target / "zarr.json").is_file():
        raise DataError(f"cannot write {target}: there is a folder of this name that is no Zarr store; move it away")
    return True


@dataclass
class _Prepared:
    target: Target
    path: Path


@dataclass
class Outputs:
    """Files and folders in the making.

    Inside a ``with`` block each target is written to the path that :meth:`place` gives. When the block ends all of them
    take their places, in the order in which they were asked for; after an error none does, and nothing is left.

    Raises
    ------
    StorageError
        If something cannot be written.
    """

    _prepared: list[_Prepared] = field(default_factory=list)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is None:
                for prepared in self._prepared:
                    _commit(prepared)

    def place(self, target: Target) -> Path:
        """Return the path to write a target to, of the same name, in an empty folder of its own."""
        if any(str(prepared.target) == str(target) for prepared in self._prepared):
            raise DataError(f"two results would be written to {target}: name another place for one of them")
        if is_url(target):
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="modelstac-")))
        else:
            folder = self._stack.enter_context(_beside(Path(target).absolute()))
        prepared = _Prepared(target, folder / name(target))
        self._prepared.append(prepared)
        return prepared.path


@contextlib.contextmanager
def explained(target: Target) -> Iterator[None]:
    """Turn the operating system's errors inside into one line about a target."""
    try:
        yield
    except ModelStacError:  # some of ours are OSErrors too
        raise
    except OSError as error:
        raise StorageError.doing(f"write {target}", error, advice=ADVICE) from error


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a hidden folder beside a path; those that killed processes left for the same path are removed first.

    A lock tells the living from the dead: the system frees it with its process. It is taken before the folder is made.
    """
    import filelock

    with explained(target):
        if not target.parent.is_dir():
            raise FileNotFoundError(2, "no such folder")
        _sweep(target)
        folder = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
        # Made here: filelock waits for ever for a file that cannot be made.
        folder.with_suffix(".lock").touch(exist_ok=False)
        with filelock.FileLock(folder.with_suffix(".lock"), timeout=10):
            try:
                folder.mkdir()
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_suffix(".lock").unlink(missing_ok=True)


def _sweep(target: Path) -> None:
    import filelock

    for lock in target.parent.glob(f".{_literal(target.name)}.*.lock"):
        with contextlib.suppress(OSError, filelock.Timeout), filelock.FileLock(lock, timeout=0):
            shutil.rmtree(lock.with_suffix(".part"), ignore_errors=True)
            lock.unlink(missing_ok=True)


def _literal(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def _commit(prepared: _Prepared) -> None:
    if is_url(prepared.target):
        _upload(prepared.path, str(prepared.target))
        return
    target = Path(prepared.target).absolute()
    with explained(target):
        for path in _files(prepared.path):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        if _check_folder(target):
            # Folders are not replaced in one step: the old one steps aside into ours, which goes with it.
            target.rename(prepared.path.with_name(f"{prepared.path.name}.old"))
        prepared.path.replace(target)
        sync_folder(target.parent)


def _files(path: Path) -> list[Path]:
    return sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]


def _upload(path: Path, url: str) -> None:
    """Upload a file, or a folder with the document that makes it one (``zarr.json`` at its top) last."""
    base, _, last = url.rstrip("/").rpartition("/")
    bucket = Bucket(base)
    last = unquote(last)
    try:
        if path.is_file():
            bucket.upload(path, last, sha256=sha256(path))
            return
        bucket.remove(last)  # chunks of an older and larger one would show through
        for file in sorted(_files(path), key=lambda file: (len(file.relative_to(path).parts) == 1, file)):
            bucket.upload(file, f"{last}/{file.relative_to(path).as_posix()}", sha256=sha256(file))
    except FileNotFoundError as error:  # what stores say of themselves, too
        raise StorageError(f"cannot write {url}: there is no such bucket; make it, or name another") from error
