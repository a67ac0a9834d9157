"""Spatial scores of one window: fractions of neighbourhoods (FSS) and structural similarity (SSIM), in plain NumPy.

Both are given as maps, so that whoever calls may sum them over pixels, tiles and windows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Flags = NDArray[np.bool_]

SSIM_RANGE = 30.6
"""Dynamic range L of the SSIM in mm/h: what a preparation maps to 1 by default."""

_RADIUS, _SIGMA = 5, 1.5  # the 11 x 11 Gaussian window of Wang et al. (2004)
_K1, _K2 = 0.01, 0.03


def fractions(events: Flags, scale: int) -> Field:
    """Return the share of event pixels in the square of ``scale`` x ``scale`` pixels around each pixel.

    Parameters
    ----------
    events
        (time, y, x); pixels that do not count are no event, as are those beyond the edge.
    scale
        Side of the square, odd.

    Notes
    -----
    Roberts and Lean (2008), Monthly Weather Review 136, 78-97, equation 2. Sums over a square are differences of a
    running sum of integers, so the cost does not depend on ``scale`` and nothing is rounded.
    """
    half = scale // 2
    rows, columns = events.shape[1:]
    total = np.zeros((len(events), rows + 1, columns + 1), dtype=np.int64)
    np.cumsum(events, axis=1, out=total[:, 1:, 1:])
    np.cumsum(total[:, 1:, 1:], axis=2, out=total[:, 1:, 1:])
    top, bottom = _edges(rows, half)
    left, right = _edges(columns, half)
    down = total[:, bottom] - total[:, top]
    around: NDArray[np.int64] = down[:, :, right] - down[:, :, left]
    return around / float(scale * scale)


def _edges(size: int, half: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    middle = np.arange(size)
    return np.maximum(middle - half, 0), np.minimum(middle + half + 1, size)


def ssim(forecast: Field, observed: Field, mask: Flags) -> tuple[Field, Flags]:
    """Return the structural similarity around each pixel, and where it is defined.

    Parameters
    ----------
    forecast, observed
        (time, y, x) in mm/h; values that do not count are ignored.
    mask
        True where a pixel counts.

    Returns
    -------
    similarity, defined
        (time, y - 10, x - 10) each: a pixel counts whose whole neighbourhood of 11 x 11 pixels counts. Empty when the
        frames are smaller than that.

    Notes
    -----
    Wang, Bovik, Sheikh and Simoncelli (2004), IEEE Transactions on Image Processing 13, 600-612, equation 13, with the
    Gaussian window and constants given there and L = `SSIM_RANGE`.
    """
    forecast, observed = np.where(mask, forecast, 0.0), np.where(mask, observed, 0.0)
    mean_f, mean_o = _smooth(forecast), _smooth(observed)
    variance_f = _smooth(forecast * forecast) - mean_f * mean_f
    variance_o = _smooth(observed * observed) - mean_o * mean_o
    covariance = _smooth(forecast * observed) - mean_f * mean_o
    c1, c2 = (_K1 * SSIM_RANGE) ** 2, (_K2 * SSIM_RANGE) ** 2
    above = (2 * mean_f * mean_o + c1) * (2 * covariance + c2)
    below = (mean_f**2 + mean_o**2 + c1) * (variance_f + variance_o + c2)
    side = 2 * _RADIUS + 1
    whole = np.rint(fractions(mask, side) * side * side)[:, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS] == side * side
    return above / below, whole


def _smooth(field: Field) -> Field:
    """Average with the Gaussian window, where it fits whole."""
    weights = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / _SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        length = max(field.shape[axis] - 2 * _RADIUS, 0)
        parts = (weight * field.take(range(k, k + length), axis) for k, weight in enumerate(weights))
        field = sum(parts, start=np.zeros(1))
    return field
