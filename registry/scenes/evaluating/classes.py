"""Scores of a map of classes: all of them follow from how often each class was taken for each other one.

Definitions as in Stehman and Foody (2019), Remote Sensing of Environment 231, and as scikit-learn computes them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = Mapping[str, NDArray[np.float64]]


def scores_by_class(confusion: NDArray[Any]) -> Scores:
    """Return the scores of each class.

    Parameters
    ----------
    confusion
        (…, label, map), so that those of many draws are computed at once.

    Returns
    -------
    Mapping
        ``iou`` (intersection over union, the Jaccard index), ``f1``, ``recall`` (producer's accuracy) and ``precision``
        (user's accuracy), each (…, class). NaN where a score is not defined: a recall of what no label has, a precision
        of what no map has, and an IoU of what neither has.
    """
    confusion = np.asarray(confusion, np.float64)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    labelled, mapped = confusion.sum(-1), confusion.sum(-2)
    return {
        "iou": _ratio(hits, labelled + mapped - hits),
        "f1": _ratio(2 * hits, labelled + mapped),
        "recall": _ratio(hits, labelled),
        "precision": _ratio(hits, mapped),
    }


def scores_of_all(confusion: NDArray[Any]) -> Scores:
    """Return the scores of a map as a whole, each of the shape in front of the last two axes.

    Returns
    -------
    Mapping
        ``overall_accuracy``, ``miou`` and ``macro_f1`` (means over the classes that labels or map have), and ``kappa``
        (Cohen 1960); NaN where there is no pixel, and a kappa where chance alone explains everything.
    """
    confusion = np.asarray(confusion, np.float64)
    total, each = confusion.sum((-2, -1)), scores_by_class(confusion)
    agreed = _ratio(np.trace(confusion, axis1=-2, axis2=-1), total)
    chance = _ratio((confusion.sum(-1) * confusion.sum(-2)).sum(-1), total**2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing is NaN, as it should be
        means = {name: np.nanmean(each[of], axis=-1) for name, of in (("miou", "iou"), ("macro_f1", "f1"))}
    return {"overall_accuracy": agreed, **means, "kappa": _ratio(agreed - chance, 1 - chance)}


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(np.asarray(whole) == 0, np.nan, np.asarray(part) / np.asarray(whole)))
