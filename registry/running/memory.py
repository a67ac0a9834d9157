"""How much memory there is at all: what needs more cannot run, whatever else does; and how it is freed."""

from __future__ import annotations

import contextlib
import gc
from functools import cache
from pathlib import Path

LARGE = 1 << 24
"""Weights of a model whose memory is wanted back at once, and not when Python next looks for it."""


def give_back(weights: int) -> None:
    """Free what a model of so many weights leaves that nobody holds any more: frameworks' objects hold each other."""
    if weights >= LARGE:
        gc.collect()


def give_free_back() -> None:
    """Give the system what is free in this process, where the C library can (glibc): growth into it is not seen."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@cache
def machine_memory() -> int | None:
    """Return the bytes of this machine's memory and swap, or of the control group around us; None if none can tell."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        sizes = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
        found.append(sum(int(sizes[name][0]) * 1024 for name in ("MemTotal", "SwapTotal") if name in sizes))
        limit = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
        if limit != "max":
            swap = Path("/sys/fs/cgroup/memory.swap.max").read_text("ascii").strip()
            found += [] if swap == "max" else [int(limit) + int(swap)]
    except (OSError, ValueError, IndexError):
        pass
    return min((size for size in found if size), default=None)
