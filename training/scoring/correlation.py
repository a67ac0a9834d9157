"""How far errors hang together in space, which decides how much an interval over parts of an area is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_EFOLD = float(np.exp(-1))


def correlation_length(errors: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Measure the distance at which squared errors correlate by 1/e, in pixels.

    Parameters
    ----------
    errors
        Forecast minus observation (time, y, x).
    mask
        True where a pixel counts, of the same shape; by default all.

    Returns
    -------
    float
        The longer of the distances along rows and along columns, of all times together; the longest side where it is
        not reached, 0 where there is nothing to measure.
    """
    squared = np.square(np.asarray(errors, dtype=np.float64))
    counts = np.ones(squared.shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    number = counts.sum(axis=(1, 2), keepdims=True)
    mean = np.where(counts, squared, 0.0).sum(axis=(1, 2), keepdims=True) / np.maximum(number, 1)
    apart = np.where(counts, squared - mean, 0.0)
    return max(_distance(apart, counts, axis) for axis in (1, 2))


def _distance(apart: NDArray[np.float64], counts: NDArray[np.bool_], axis: int) -> float:
    size = apart.shape[axis]
    products, pairs = (_lagged(values, axis) for values in (apart, counts.astype(np.float64)))
    covariance = products / np.maximum(pairs, 0.5)
    if not covariance[0] > 0:
        return 0.0
    correlation = np.where(pairs > 0.5, covariance / covariance[0], 0.0)
    below = np.flatnonzero(correlation < _EFOLD)
    if not len(below):
        return float(size)
    last = int(below[0])
    before, after = correlation[last - 1], correlation[last]
    return float(last - 1 + (before - _EFOLD) / (before - after))


def _lagged(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Sum the products of values so many pixels apart, for each distance below the size (Wiener and Khinchin)."""
    size = values.shape[axis]
    spectrum = np.abs(np.fft.rfft(values, 2 * size, axis=axis)) ** 2
    products = np.fft.irfft(spectrum, 2 * size, axis=axis)
    return np.asarray(np.moveaxis(products, axis, -1)[..., :size].sum(axis=(0, 1)))
