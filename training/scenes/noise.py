"""Smooth random fields that any window can be had of: the same pixels, whatever window they were asked in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.registry.scenes.rasters import Window

Field = NDArray[np.float32]
_SPREAD = 2.0862  # of cubic B-splines over independent knots: one over the root of (151 / 315)², averaged over phases


def hashed(seed: int, *keys: NDArray[Any]) -> Field:
    """Return a number from 0 to below 1 for each tuple of whole numbers, by SplitMix64 (Steele et al. 2014)."""
    state: NDArray[np.uint64] | np.uint64
    with np.errstate(over="ignore"):
        state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
        for key in keys:
            state = state ^ np.asarray(key).astype(np.int64).view(np.uint64) * np.uint64(0xD1B54A32D192ED03)
            state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
            state = state ^ state >> np.uint64(31)
    return (np.asarray(state) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def smooth(seed: int, window: Window, cell: float) -> Field:
    """Return a field of about unit variance and zero mean that changes over ``cell`` pixels.

    Parameters
    ----------
    seed
        Another one gives another field.
    window
        Rows and columns; they may lie anywhere, below zero as well.
    cell
        Distance of the knots, which are random, in pixels; cubic B-splines lie between them.
    """
    (rows, above), (columns, left) = (_weights(part, cell) for part in window)
    knots = hashed(seed, np.arange(rows.shape[1])[:, None] + above, np.arange(columns.shape[1])[None, :] + left)
    # Knots have the variance of a uniform distribution, 1/12.
    return np.asarray(rows @ ((knots - 0.5) * np.float32(12**0.5 * _SPREAD)) @ columns.T)


def fractal(seed: int, window: Window, cell: float, octaves: int) -> Field:
    """Return a sum of fields, each of half the size and half the strength of the one before; of about unit variance."""
    total = sum(4.0**-octave for octave in range(octaves)) ** 0.5
    fields = (
        smooth(seed + 7919 * octave, window, cell / 2**octave) * np.float32(0.5**octave / total)
        for octave in range(octaves)
    )
    return np.asarray(sum(fields), np.float32)


def padded(window: Window, by: int) -> Window:
    """Return a window with so many pixels more at each side."""
    rows, columns = window
    return slice(rows.start - by, rows.stop + by), slice(columns.start - by, columns.stop + by)


def moved(window: Window, down: int, right: int) -> Window:
    """Return a window that lies elsewhere."""
    rows, columns = window
    return slice(rows.start + down, rows.stop + down), slice(columns.start + right, columns.stop + right)


def _weights(part: slice, cell: float) -> tuple[Field, int]:
    """Return the weights of the knots for each pixel, and the number of the first knot."""
    places = (np.arange(part.start, part.stop) + 0.5) / cell
    below = np.floor(places).astype(np.int64)
    t = places - below
    first = int(below[0]) - 1
    weights = np.zeros((len(places), int(below[-1]) - first + 3), np.float32)
    splines = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for k, values in enumerate(splines):
        weights[np.arange(len(places)), below - 1 - first + k] = values / 6
    return weights, first
