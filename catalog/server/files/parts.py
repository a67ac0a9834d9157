"""Uploads that are not complete: a file for each sender, locked while it is written, whatever server writes it.

A lock is the operating system's own: it ends with its process, so that a part which nobody has locked is one that broke
off. Who goes on with it takes the lock; who is too late begins a part of his own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Part:
    """A part that this process alone writes."""

    path: Path
    file: BinaryIO

    def remove(self) -> None:
        """Throw it away."""
        self.path.unlink(missing_ok=True)


class Parts:
    """The folder of parts.

    Parameters
    ----------
    folder
        Shared by all servers of one catalog; it is made when the first part comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def taken(self, path: str, start: int) -> Iterator[Part | None]:
        """Give a new part for an artifact, or one that broke off after ``start`` bytes; None when there is none."""
        part = self._broken_off(path, start) if start else self._new(path)
        if part is None:
            yield None
            return
        with part.file:
            try:
                yield part
            finally:
                with contextlib.suppress(FileNotFoundError):
                    part.file.flush()
                    if part.path.stat().st_size == 0:
                        part.remove()

    def _new(self, path: str) -> Part:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Locked before it has a name that others look for.
        hidden = self.folder / f".{uuid.uuid4().hex}"
        file = hidden.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        named = self.folder / f"{_key(path)}.{hidden.name[1:]}"
        hidden.rename(named)
        return Part(named, file)

    def _broken_off(self, path: str, size: int) -> Part | None:
        for found in self._of(path):
            file = _locked(found)
            if file is None:
                continue
            if os.fstat(file.fileno()).st_size == size:
                file.seek(size)
                return Part(found, file)
            file.close()
        return None

    def _of(self, path: str) -> list[Path]:
        return sorted(self.folder.glob(f"{_key(path)}.*"))

    def received(self, path: str) -> int:
        """Return the size of the largest part of an artifact that broke off."""
        return max((size for _, size in self._free(self._of(path))), default=0)

    def forget(self, path: str) -> None:
        """Remove the parts of an artifact that broke off: it is here, or they were of something else."""
        for found, _ in self._free(self._of(path)):
            found.unlink(missing_ok=True)

    def old(self, before: float) -> Iterator[tuple[Path, int, float]]:
        """Yield path, size and time of the parts that broke off before a time."""
        if self.folder.is_dir():
            for found, size in self._free(sorted(self.folder.iterdir())):
                with contextlib.suppress(FileNotFoundError):
                    if (modified := found.stat().st_mtime) < before:
                        yield found, size, modified

    def _free(self, paths: list[Path]) -> Iterator[tuple[Path, int]]:
        for found in paths:
            if (file := _locked(found)) is not None:
                with file:
                    yield found, os.fstat(file.fileno()).st_size


def _key(path: str) -> str:
    return path.split("/")[1]


def _locked(path: Path) -> BinaryIO | None:
    """Return a part open and locked, None while somebody else has it or when it is gone."""
    try:
        file = path.open("r+b")
    except (FileNotFoundError, IsADirectoryError):
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()
    return None
