"""What is summed over the pixels of a window, and the scores that follow from such sums.

Every score is a function of sums alone: those of one window, of all, or of windows drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.training.scoring import spatial

Sums = Mapping[str, NDArray[Any]]


def window_sums(
    forecast: NDArray[Any],
    observed: NDArray[Any],
    mask: NDArray[np.bool_],
    *,
    levels: tuple[float, ...],
    scales: tuple[int, ...],
    ssim: bool,
    tiles: int,
) -> dict[str, NDArray[Any]]:
    """Sum over the pixels of one window (time, y, x): (tile, …, lead time) by the names of `Scores.sums`."""

    def total(parts: Sequence[NDArray[Any]], *shape: int) -> NDArray[Any]:
        summed = [_tiled(part, tiles) for part in parts]
        stacked = np.array(summed) if summed else np.empty((0, tiles**2, len(mask)))
        return np.moveaxis(stacked, 0, 1).reshape(tiles**2, *shape, len(mask))

    error = np.where(mask, forecast.astype(np.float64) - observed, 0.0)
    sums = {"count": total([mask]), "error": total([error])}
    sums |= {"squared": total([np.square(error)]), "absolute": total([np.abs(error)])}
    events = [(mask & (forecast >= level), mask & (observed >= level)) for level in levels]
    sums["hits"] = total([said & seen for said, seen in events], len(levels))
    sums["misses"] = total([~said & seen for said, seen in events], len(levels))
    sums["false_alarms"] = total([said & ~seen for said, seen in events], len(levels))
    if scales:
        shares = [[spatial.fractions(event, side) for event in pair] for pair in events for side in scales]
        sums["fss_error"] = total([mask * (said - seen) ** 2 for said, seen in shares], len(levels), len(scales))
        sums["fss_reference"] = total([mask * (said**2 + seen**2) for said, seen in shares], len(levels), len(scales))
    if ssim:
        similarity, whole = spatial.ssim(forecast, observed, mask)
        sums["similarity"] = total([np.where(whole, similarity, 0.0)])
        sums["similar"] = total([whole])
    return sums


def _tiled(values: NDArray[Any], tiles: int) -> NDArray[Any]:
    """Sum (time, y, x) over tiles x tiles parts: (tile, time)."""
    rows, columns = (np.array_split(np.arange(size), tiles) for size in values.shape[1:])
    sums = [
        values[:, band[0] : band[-1] + 1, strip[0] : strip[-1] + 1].sum(axis=(1, 2))
        if len(band) and len(strip)
        else np.zeros(len(values), dtype=values.dtype if values.dtype != bool else np.int64)
        for band in rows
        for strip in columns
    ]
    return np.array(sums)


def derived(sums: Sums) -> dict[str, NDArray[np.float64]]:
    """Return every score that sums (…, lead time) give, NaN where it is undefined; see the properties of `Scores`."""
    hits, misses, false_alarms = (sums[name] for name in ("hits", "misses", "false_alarms"))
    scores = {
        "rmse": np.sqrt(ratio(sums["squared"], sums["count"])),
        "mae": ratio(sums["absolute"], sums["count"]),
        "bias": ratio(sums["error"], sums["count"]),
        "csi": ratio(hits, hits + misses + false_alarms),
        "pod": ratio(hits, hits + misses),
        "far": ratio(false_alarms, hits + false_alarms),
    }
    if "fss_error" in sums:
        scores["fss"] = 1 - ratio(sums["fss_error"], sums["fss_reference"])
    if "similarity" in sums:
        scores["ssim"] = ratio(sums["similarity"], sums["similar"])
    return scores


def flat(
    scores: Mapping[str, NDArray[np.float64]], thresholds: Sequence[float], scales: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """Name every score (…, lead time) of `derived` by itself, its threshold and its scale."""
    named = {name: scores[name] for name in ("rmse", "mae", "bias", "ssim") if name in scores}
    for name in ("csi", "pod", "far"):
        for index, level in enumerate(thresholds):
            named[f"{name}_{level:g}"] = scores[name][..., index, :]
    if "fss" in scores:
        for index, level in enumerate(thresholds):
            for place, side in enumerate(scales):
                named[f"fss_{level:g}_{side}"] = scores["fss"][..., index, place, :]
    return named


def ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    """Divide, NaN where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
