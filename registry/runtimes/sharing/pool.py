"""One object for each of the callers that run at once: what a framework lets one thread use at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Lends objects, and makes another where all are lent.

    So there are as many as there were callers at once, and not as many as there ever were threads.

    Parameters
    ----------
    make
        Makes one; called by whichever thread finds none.
    *first
        Those that are there already.
    """

    def __init__(self, make: Callable[[], T], *first: T) -> None:
        self._make = make
        self._idle = list(first)  # append and pop are single steps of the interpreter, with and without its lock

    @contextmanager
    def lent(self) -> Iterator[T]:
        """Lend one to this caller alone."""
        try:
            one = self._idle.pop()  # the last that was used: its memory is warm
        except IndexError:
            one = self._make()
        try:
            yield one
        finally:
            self._idle.append(one)
