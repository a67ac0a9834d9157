"""Reading, computing and writing at the same time: a thread before the one that computes, and one after it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
AHEAD = 2
"""Parts that wait between two threads: more would take memory and gain nothing."""
_LOOK = 0.2  # seconds between looks whether the other side has ended


class Ahead(Generic[T]):
    """Iterates in a thread of its own, a few parts ahead of whoever takes them; what it raises is raised there."""

    def __init__(self, parts: Iterable[T], ahead: int = AHEAD) -> None:
        self._parts = parts
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(ahead)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scene-reader", daemon=True)

    def _run(self) -> None:
        try:
            for part in self._parts:
                if not self._put(("part", part)):
                    return
            self._put(("end", None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the parts are taken
            self._put(("error", error))

    def _put(self, entry: tuple[str, Any]) -> bool:
        while not self._end.is_set():
            try:
                self._queue.put(entry, timeout=_LOOK)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[T]:
        while True:
            kind, value = self._queue.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value

    def __enter__(self) -> Ahead[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


class Behind(Generic[T]):
    """Takes parts in a thread of its own, in order; what it raises is raised with the next part, or at the end."""

    def __init__(self, take: Callable[[T], None], behind: int = AHEAD) -> None:
        self._take = take
        self._queue: queue.Queue[tuple[bool, Any]] = queue.Queue(behind)
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="scene-writer", daemon=True)

    def _run(self) -> None:
        while True:
            more, part = self._queue.get()
            if not more:
                return
            if self._error is None and not self._stopped:
                try:
                    self._take(part)
                except BaseException as error:  # noqa: BLE001 - it is raised where parts are given
                    self._error = error

    def give(self, part: T) -> None:
        """Hand over a part, and wait while several are not taken yet."""
        if self._error is not None:
            raise self._error
        self._queue.put((True, part))

    def __enter__(self) -> Behind[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopped = kind is not None
        self._queue.put((False, None))
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error
