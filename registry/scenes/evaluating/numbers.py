"""Scores of a map of numbers: all of them follow from a few sums, which are added up over windows and scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = ("count", "error", "absolute", "squared", "label", "label_squared")
"""What is summed: pixels; error, its absolute value and its square; the label and its square, from a common origin."""


def sums(mapped: NDArray[Any], labels: NDArray[Any], origin: float) -> NDArray[np.float64]:
    """Return the sums of pixels that both have, in the order of :data:`NAMES`.

    Parameters
    ----------
    mapped, labels
        Finite numbers, one for each pixel.
    origin
        A value among the labels. Sums of squares from there keep their digits where all labels are large.
    """
    truth = labels.astype(np.float64) - origin
    error = mapped.astype(np.float64) - origin - truth
    parts = (error, np.abs(error), error**2, truth, truth**2)
    return np.array([error.size, *(part.sum() for part in parts)], np.float64)


def scores_of_numbers(sums: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
    """Return the scores that follow from sums (…, name).

    Returns
    -------
    Mapping
        ``rmse``, ``mae`` and ``bias`` (mean of map minus label), in the unit of the values; ``r2``, the coefficient of
        determination, against the mean of the labels. NaN where there is no pixel, and R² where all labels are equal.
    """
    count, error, absolute, squared, label, label_squared = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = label_squared - label**2 / count
        alike = spread <= 1e-12 * label_squared
        return {
            "rmse": np.sqrt(squared / count),
            "mae": absolute / count,
            "bias": error / count,
            "r2": np.where(alike, np.nan, 1 - squared / np.where(alike, np.nan, spread)),
        }
