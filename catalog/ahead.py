"""Work on many things: the next part is done while the last one is used, and no time goes to looking for cycles."""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

Part = TypeVar("Part")


def ahead(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield what an iterable gives, which a thread asks for the next part meanwhile.

    It pays where using a part leaves Python's other threads alone: in SQLite, or while another process works.
    """
    from concurrent.futures import ThreadPoolExecutor  # not at the top: a search has no use for it

    rest = iter(parts)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, rest, None)
        while (part := coming.result()) is not None:
            coming = thread.submit(next, rest, None)
            yield part


def batches(whole: Iterable[Part], size: int) -> Iterator[list[Part]]:
    """Yield the elements of an iterable as lists of a size; the last may be shorter."""
    rest = iter(whole)
    while some := list(itertools.islice(rest, size)):
        yield some


def seldom_collected() -> None:
    """Have Python search for cycles less often, in a process that is ours: what most of its objects belong to stays."""
    gc.set_threshold(50_000, 20, 50)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python from searching all objects for cycles, which would go over thousands of items again and again.

    A framework is imported in four fifths of its time, too: it makes many objects, and all stay.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
