"""A part of what is in memory as a file, read where it lies."""

from __future__ import annotations

import io
from typing import Any


class Part(io.RawIOBase):
    """Some of the bytes as a file: nothing of them is copied until it is read.

    Parameters
    ----------
    data
        All of them.
    begin, end
        Where the part lies.
    """

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        super().__init__()
        self._view, self._place = memoryview(data)[begin:end], 0

    def readable(self) -> bool:
        """Tell that it is there to be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it may be read in any order."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, as in any file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._view)}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Copy what comes next, as much as there is room for."""
        room = memoryview(buffer).cast("B")
        found = self._view[self._place : self._place + len(room)]
        room[: len(found)] = found
        self._place += len(found)
        return len(found)
