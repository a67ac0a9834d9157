"""How far to trust scores: bootstrap intervals over windows.

Whole windows are drawn with replacement and their sums pooled anew (Efron and Tibshirani, 1993), so that the pixels and
lead times of a window, which depend on each other, stay together. Windows that overlap depend on each other, too: give
``block`` so many windows as overlap, and they are drawn as runs (Künsch, 1989). Quantiles of few draws are too narrow:
the intervals are widened as Student's t is wider than the normal distribution, for as many units as are independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError
from modelstac.training.scoring.metrics import Scores
from modelstac.training.scoring.sums import derived, flat

RESAMPLES = 1000
LEVEL = 0.95

Over = Literal["windows", "tiles"]


@dataclass(frozen=True, eq=False)
class Interval:
    """A percentile interval of a score.

    Parameters
    ----------
    low, high
        Per lead time; NaN where the score is undefined in every draw.
    mean
        The interval of the mean over lead times.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: tuple[float, float]


def intervals(
    scores: Scores,
    *,
    over: Over = "windows",
    block: int = 1,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return an interval for every score of `Scores.by_name`.

    Parameters
    ----------
    scores
        At least two windows; or one, scored with ``tiles`` of 2 or more and ``over="tiles"``.
    over
        What is drawn. Tiles are drawn with all their windows. They have much in common, so that an interval over tiles
        says what another place in the same rain would give, and nothing about other weather.
    block
        How many windows (or tiles) in a row are drawn together.
    resamples, level, seed
        Number of draws, coverage, and the seed that makes them the same every time.

    Raises
    ------
    DataError
        There is nothing to draw from.
    """
    drawn = _draw(scores, _weights(scores, over, block, resamples, seed))
    found, wider = _found(scores), _wider(scores, over, block, level)
    return {name: _interval(values, level, found[name], wider) for name, values in drawn.items()}


def difference(
    first: Scores,
    second: Scores,
    *,
    over: Over = "windows",
    block: int = 1,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return an interval for every score of ``first`` minus that of ``second``, on the same windows.

    Both are drawn together: weather that is hard for one is hard for the other, and cancels. Where an interval excludes
    0, one is better than the other beyond chance.

    Raises
    ------
    DataError
        The two are not of the same windows and kind, or there is nothing to draw from.
    """
    counts = (first.sums["count"], second.sums["count"])
    if first.kind != second.kind or counts[0].shape != counts[1].shape or (counts[0] != counts[1]).any():
        raise DataError("scores of other windows or pixels cannot be compared: score both forecasts on the same")
    weights = _weights(first, over, block, resamples, seed)
    ours, theirs = _draw(first, weights), _draw(second, weights)
    found, others, wider = _found(first), _found(second), _wider(first, over, block, level)
    return {
        name: _interval(values - theirs[name], level, found[name] - others[name], wider)
        for name, values in ours.items()
    }


def _weights(scores: Scores, over: Over, block: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return how often each unit is drawn: (resample, window x tile)."""
    tiles = scores.tiles**2
    units = scores.windows if over == "windows" else tiles
    if units < 2:
        raise DataError(
            f"{units} {'window' if over == 'windows' else 'tile'} says nothing about chance: score more windows,"
            " or score with tiles=4 and draw over='tiles'"
        )
    if not 1 <= block <= units:
        raise DataError(f"a block of {block} does not fit {units} units: give one between 1 and {units}")
    random = np.random.default_rng(seed)
    starts = random.integers(0, units, (resamples, -(-units // block), 1))
    drawn = ((starts + np.arange(block)) % units).reshape(resamples, -1)[:, :units]
    flat_index = (drawn + units * np.arange(resamples)[:, None]).ravel()
    weights = np.bincount(flat_index, minlength=resamples * units).reshape(resamples, units).astype(np.float64)
    return np.repeat(weights, tiles, axis=1) if over == "windows" else np.tile(weights, (1, scores.windows))


def _draw(scores: Scores, weights: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
    """Return every score of every draw: (resample, lead time) by name."""
    sums = {
        name: (weights @ part.reshape(len(part), -1)).reshape(len(weights), *part.shape[1:])
        for name, part in scores.sums.items()
    }
    return flat(derived(sums), scores.thresholds, scores.scales)


def _found(scores: Scores) -> Mapping[str, NDArray[np.float64]]:
    """Return every score per lead time of all windows and tiles."""
    return flat(derived(scores.total), scores.thresholds, scores.scales)


def _wider(scores: Scores, over: Over, block: int, level: float) -> float:
    """Return by how much an interval from few independent units must be wider than the quantiles of their draws."""
    units = scores.windows if over == "windows" else scores.tiles**2
    independent = max(units / block, 2.0)
    normal = NormalDist().inv_cdf((1 + level) / 2)
    return math.sqrt(independent / (independent - 1)) * student(normal, independent - 1) / normal


def student(normal: float, freedom: float) -> float:
    """Return the quantile of Student's t where the normal distribution has ``normal``.

    Abramowitz and Stegun (1964), 26.7.5, good to three digits from three degrees of freedom on.
    """
    z, v = normal, freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v**power for power, term in enumerate(terms, start=1))


def _interval(values: NDArray[np.float64], level: float, found: NDArray[np.float64], wider: float) -> Interval:
    edges = [(1 - level) / 2, (1 + level) / 2]
    low, high = (np.full(values.shape[1], np.nan) for _ in edges)
    defined = np.isfinite(values)
    if (some := defined.any(axis=0) & np.isfinite(found)).any():
        drawn = np.nanquantile(values[:, some], edges, axis=0)
        low[some], high[some] = found[some] + wider * (drawn - found[some])
    counted = defined.sum(axis=1)
    means = np.where(defined, values, 0.0).sum(axis=1)[counted > 0] / counted[counted > 0]
    if not len(means) or not np.isfinite(found).any():
        return Interval(low, high, (np.nan, np.nan))
    whole = float(found[np.isfinite(found)].mean())
    mean = whole + wider * (np.quantile(means, edges) - whole)
    return Interval(low, high, (float(mean[0]), float(mean[1])))
