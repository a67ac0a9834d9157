"""How far two arrays are apart: numbers by their differences, labels by how many are not the same."""

from __future__ import annotations

from typing import Any

import numpy as np

LABELS = "iub"
"""Kinds of NumPy types that are counted and not subtracted: class ids, masks, indices."""
ALONE = 1000
"""Where there are at least so many labels, one may be another: a share of millionths cannot be told from so few."""

Array = np.ndarray[Any, Any]


def are_labels(*arrays: Array) -> bool:
    """Tell whether an output is judged by the share of values that differ."""
    return any(array.dtype.kind in LABELS for array in arrays)


def differences(expected: Array, actual: Array) -> Array:
    """Return the size of each difference, in double precision.

    Infinite or missing in both is none, in one alone it is an infinite one.
    """
    e, a = (np.asarray(side, np.float64) for side in (expected, actual))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(a - e)
    alike = (a == e) | (np.isnan(a) & np.isnan(e))
    return np.where(alike, 0.0, np.where(np.isfinite(apart), apart, np.inf))


def largest(expected: Array) -> float:
    """Return the largest finite value without its sign; 0 where there is none."""
    values = np.asarray(expected, np.float64)
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def count_differing(expected: Array, actual: Array) -> int:
    """Return how many values are not the same; of large whole numbers, too, which double precision would round."""
    alike = expected == actual
    if expected.dtype.kind == "f" and actual.dtype.kind == "f":
        alike |= np.isnan(expected) & np.isnan(actual)
    return int(alike.size - np.count_nonzero(alike))


def in_ppm(differing: int, values: int) -> float:
    """Return a share in parts per million."""
    return 1e6 * differing / values if values else 0.0


def few_enough(differing: int, values: int, allowed_ppm: float) -> bool:
    """Tell whether labels that differ are no more than the share allowed, or one of at least :data:`ALONE`."""
    return in_ppm(differing, values) <= allowed_ppm or (allowed_ppm > 0 and differing == 1 and values >= ALONE)
