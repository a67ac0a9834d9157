"""Memory that two processes share: arrays cross without being written anywhere.

The one who asks makes and removes all of it, so that nothing is left when the one who answers dies.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import StorageError

_ALIGNMENT = 64  # bytes; frameworks copy what lies askew
_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it, not a temporary file


class SharedBuffer:
    """A piece of memory that is made anew when more is needed."""

    def __init__(self) -> None:
        self._memory: SharedMemory | None = None

    def reserve(self, size: int) -> str:
        """Make room for so many bytes, and return the name by which another process opens it.

        Raises
        ------
        StorageError
            If there is not so much memory to share.
        """
        if self._memory is None or self._memory.size < size:
            self.close()
            try:
                self._memory = SharedMemory(create=True, size=max(size, 1))
                _allocate(self._memory)
            except OSError as error:
                self.close()
                raise StorageError.doing(
                    f"share {size:,} bytes of memory with a worker",
                    error,
                    advice="use a smaller batch, or give the container more of it (docker run --shm-size)",
                ) from error
        return self._memory.name

    def put(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Copy arrays there, and say where each lies, for :meth:`OpenedMemory.arrays`."""
        places, size = placed(arrays)
        name = self.reserve(size)
        assert self._memory is not None
        _copy(arrays, places, self._memory)
        return {"memory": name, "arrays": places}

    def take(self, places: Mapping[str, Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        """Copy arrays from there."""
        assert self._memory is not None
        return {name: array.copy() for name, array in _views(places, self._memory).items()}

    def close(self) -> None:
        """Remove it."""
        if self._memory is not None:
            self._memory.close()
            with contextlib.suppress(FileNotFoundError):
                self._memory.unlink()
            self._memory = None


class OpenedMemory:
    """Memory that another process owns, by name; use it as a context manager.

    No array over it may live on: what is kept is to be copied.
    """

    def __init__(self, name: str) -> None:
        self._memory = _attach(name)

    def bytes(self, size: int) -> bytes:
        """Copy so many bytes from its begin."""
        return np.ndarray(size, np.uint8, self._memory.buf).tobytes()

    def arrays(self, places: Mapping[str, Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        """Return arrays over it."""
        return _views(places, self._memory)

    def fill(self, arrays: Mapping[str, NDArray[Any]], places: Mapping[str, Mapping[str, Any]]) -> None:
        """Copy arrays there."""
        _copy(arrays, places, self._memory)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._memory.size

    def __enter__(self) -> OpenedMemory:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BufferError):  # a framework still looks at it; it goes when that does
            self._memory.close()


def placed(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, dict[str, Any]], int]:
    """Lay arrays one after the other: where each is to lie, in what shape and type, and how many bytes all take."""
    places, size = {}, 0
    for name, array in arrays.items():
        places[name] = {"offset": size, "shape": list(array.shape), "dtype": array.dtype.str}
        size += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    return places, size


def _views(places: Mapping[str, Mapping[str, Any]], memory: SharedMemory) -> dict[str, NDArray[Any]]:
    return {
        name: np.ndarray(place["shape"], place["dtype"], memory.buf, place["offset"]) for name, place in places.items()
    }


def _copy(arrays: Mapping[str, NDArray[Any]], places: Mapping[str, Mapping[str, Any]], memory: SharedMemory) -> None:
    for name, view in _views(places, memory).items():
        view[...] = arrays[name]


def _allocate(memory: SharedMemory) -> None:
    """Take the memory now: what is promised and not there would end the process at the first write."""
    place = _MEMORY / memory.name
    if hasattr(os, "posix_fallocate") and place.is_file():
        with place.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, memory.size)


def _attach(name: str) -> SharedMemory:
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    # Before Python 3.13 whoever attaches is taken for an owner, and removes the memory at his end.
    register = resource_tracker.register
    resource_tracker.register = lambda *_: None
    try:
        return SharedMemory(name)
    finally:
        resource_tracker.register = register
