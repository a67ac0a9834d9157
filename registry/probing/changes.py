"""Changes of a part of an input, by which one sees which outputs depend on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

AMPLITUDES = (1.0, 1e4, 1e10, 1e-2, 1e7, 1e15, 1e22, 1e30)
"""How large a change is: at the edge of what it reaches a deep network leaves the 1e-14th part of it, and a gate of an
LSTM, or a sigmoid, shows small ones only."""
KINDS = (("uniform", "mixed"), ("zeros", "mixed"), ("normal", "mixed"), ("uniform", "up"), ("uniform", "down"))
"""Backgrounds, and whether values rise, fall, or each does as chance will have it."""
FAR = (("large", 1e4), ("huge", 1e7))
"""Backgrounds of large values, and one change of each: where values themselves say from where an output is taken, as
those of a flow by which a field is moved, small ones reach their neighbours only."""
COUNTS = (1, 3, 255, 60000)
ROOM = 100.0
"""By how much a change stays below the largest number of a type."""
QUICK = 3
"""Changes at the front of the list that already differ much."""


@dataclass(frozen=True)
class Change:
    """A change against a background.

    Parameters
    ----------
    background
        Kind of values of the whole input.
    amplitude
        How large the change is.
    sign
        Whether values rise, fall, or each does as chance will have it.
    """

    background: str
    amplitude: float
    sign: str

    def apply(self, array: Array, where: tuple[slice, ...]) -> Array:
        """Return a copy of an input that is changed in a part."""
        rng = np.random.default_rng(round(abs(np.log10(self.amplitude)) * 10) + len(self.sign))
        changed = array.copy()
        part = changed[where]
        if array.dtype.kind == "b":
            changed[where] = ~part
            return changed
        draw: dict[str, Callable[[], Array]] = {
            "mixed": lambda: rng.standard_normal(part.shape),
            "up": lambda: np.ones(part.shape),
            "down": lambda: -np.ones(part.shape),
        }
        moved = part.astype(np.float64) + self.amplitude * draw[self.sign]()
        if array.dtype.kind in "iu":
            limits = np.iinfo(array.dtype)
            moved = np.clip(np.rint(moved), max(limits.min, -(1 << 53)), min(limits.max, 1 << 53))
        changed[where] = moved.astype(array.dtype)
        return changed


def changes(dtype: str) -> tuple[Change, ...]:
    """Give the changes that are tried on inputs of a type: those that differ most come first."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return tuple(Change(background, 1.0, "mixed") for background in ("uniform", "large", "zeros"))
    usual = [Change(background, amplitude, sign) for background, sign in KINDS for amplitude in _amplitudes(kind)]
    most = max(_amplitudes(kind))
    return (*usual, *(Change(background, min(amplitude, most), "mixed") for background, amplitude in FAR))


def _amplitudes(kind: np.dtype[Any]) -> Iterator[float]:
    if kind.kind in "iu":
        yield from (count for count in COUNTS if count <= np.iinfo(kind).max)
        return
    most = float(np.finfo(kind).max) if kind.kind == "f" else 3e4
    yield from (amplitude for amplitude in AMPLITUDES if amplitude * ROOM <= most)


def differ(first: Array, second: Array) -> Array:
    """Tell of each value whether it changed, to the bit; one that is no number did if it was one before."""
    unequal: Array = first != second
    if first.dtype.kind in "fc":
        unequal &= ~(np.isnan(first) & np.isnan(second))
    return unequal
