"""Work of which the next part is done while the last one is used."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")


def ahead(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield what an iterable gives, which a thread asks for the next part meanwhile.

    It pays where using a part leaves Python's other threads alone: in SQLite, or while another process works.
    """
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
