"""Scores of forecasts in physical units, per lead time, over measured pixels only.

Sums are kept, not means: scores of several batches add up to the scores of all windows together, whatever the sizes of
the batches and masks. They are kept window by window, so that `modelstac.training.scoring.bootstrap` can say how far to
trust them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelstac.catalog.errors import DataError
from modelstac.training.scoring.sums import Sums, derived, flat, ratio, window_sums

THRESHOLDS = (0.5, 1.0, 2.0)
"""Rain rates in mm/h from which a pixel counts as rain for CSI, POD, FAR and FSS."""
SCALES = (5, 11, 21)
"""Sides in pixels of the neighbourhoods of the FSS, odd."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Sums over pixels per window and lead time, and the scores that follow from them.

    Parameters
    ----------
    step_minutes
        Time between two frames; the first lead time is one step.
    thresholds
        Rain rates in mm/h.
    scales
        Sides of the neighbourhoods of the FSS in pixels; empty when it was not asked for.
    tiles
        Each window is kept as ``tiles`` x ``tiles`` parts of its area.
    sums
        By name, (window x tile, …, lead time): ``count`` of pixels, sums of ``error`` (forecast - observed),
        ``squared`` and ``absolute`` error; per threshold ``hits``, ``misses`` and ``false_alarms``; per threshold and
        scale ``fss_error`` and ``fss_reference``; ``similarity`` and ``similar``, sum and count of the SSIM.
    """

    step_minutes: int
    thresholds: tuple[float, ...]
    scales: tuple[int, ...]
    tiles: int
    sums: Sums

    def __add__(self, other: Scores) -> Scores:
        """Pool with the scores of other windows."""
        if self.kind != other.kind:
            raise DataError("scores of other lead times or thresholds cannot be pooled: score both alike")
        sums = {name: np.concatenate([part, other.sums[name]]) for name, part in self.sums.items()}
        return Scores(self.step_minutes, self.thresholds, self.scales, self.tiles, sums)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What two scores must share to be pooled or compared."""
        return (self.step_minutes, self.thresholds, self.scales, self.tiles, len(self.lead_minutes), set(self.sums))

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.sums["count"]) // self.tiles**2

    @property
    def lead_minutes(self) -> tuple[int, ...]:
        """Lead times in minutes."""
        return tuple(self.step_minutes * (step + 1) for step in range(self.sums["count"].shape[-1]))

    @property
    def total(self) -> Sums:
        """The sums over all windows."""
        return {name: part.sum(axis=0) for name, part in self.sums.items()}

    @property
    def count(self) -> NDArray[np.int64]:
        """Pixels that count, per lead time."""
        return self.total["count"]

    @property
    def rmse(self) -> NDArray[np.float64]:
        """Root mean square error in mm/h per lead time, NaN where no pixel counts."""
        return derived(self.total)["rmse"]

    @property
    def mae(self) -> NDArray[np.float64]:
        """Mean absolute error in mm/h per lead time, NaN where no pixel counts."""
        return derived(self.total)["mae"]

    @property
    def bias(self) -> NDArray[np.float64]:
        """Mean of forecast - observed in mm/h per lead time, NaN where no pixel counts."""
        return derived(self.total)["bias"]

    @property
    def csi(self) -> NDArray[np.float64]:
        """Critical success index, hits / (hits + misses + false alarms): (threshold, lead time).

        NaN where rain was neither observed nor forecast. Schaefer (1990), Weather and Forecasting 5, 570-575.
        """
        return derived(self.total)["csi"]

    @property
    def pod(self) -> NDArray[np.float64]:
        """Probability of detection, hits / (hits + misses): (threshold, lead time); NaN where it did not rain."""
        return derived(self.total)["pod"]

    @property
    def far(self) -> NDArray[np.float64]:
        """False alarm ratio, false alarms / (hits + false alarms): (threshold, lead time); NaN where none is said."""
        return derived(self.total)["far"]

    @property
    def fss(self) -> NDArray[np.float64]:
        """Fractions skill score: (threshold, scale, lead time); NaN where rain was neither observed nor forecast."""
        return derived(self.total)["fss"]

    @property
    def ssim(self) -> NDArray[np.float64]:
        """Mean structural similarity per lead time; NaN where no neighbourhood is measured whole."""
        return derived(self.total)["ssim"]

    @property
    def pooled_rmse(self) -> float:
        """Root mean square error in mm/h over all lead times together."""
        total = self.total
        return float(np.sqrt(ratio(total["squared"].sum(), total["count"].sum())))

    def by_name(self) -> dict[str, NDArray[np.float64]]:
        """Return every score per lead time by a flat name: ``rmse``, ``csi_0.5``, ``fss_1_11`` and so on."""
        return flat(derived(self.total), self.thresholds, self.scales)

    def to_dict(self) -> dict[str, Any]:
        """Return scores per lead time as JSON values; None where a score is undefined."""
        every = derived(self.total)
        result: dict[str, Any] = {"lead_minutes": list(self.lead_minutes), "windows": self.windows}
        result |= {name: _listed(every[name]) for name in ("rmse", "mae", "bias", "ssim") if name in every}
        levels = [f"{threshold:g}" for threshold in self.thresholds]
        for name in ("csi", "pod", "far"):
            result[name] = {level: _listed(part) for level, part in zip(levels, every[name], strict=True)}
        if "fss" in every:
            sides = [str(scale) for scale in self.scales]
            result["fss"] = {
                level: {side: _listed(line) for side, line in zip(sides, part, strict=True)}
                for level, part in zip(levels, every["fss"], strict=True)
            }
        return result | {"pixels": [int(count) for count in self.count], "units": "mm h-1"}

    def summary(self) -> dict[str, float]:
        """Return means over lead times by the names of `by_name`; a score that is undefined is left out."""
        defined = {name: values[np.isfinite(values)] for name, values in self.by_name().items()}
        return {name: float(values.mean()) for name, values in defined.items() if len(values)}

    def table(self) -> str:
        """Return a table for people: one row per lead time."""
        return comparison({"": self})


def score(
    forecast: ArrayLike,
    observed: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    scales: Sequence[int] = SCALES,
    ssim: bool = True,
    tiles: int = 1,
    step_minutes: int = 5,
) -> Scores:
    """Score forecasts against observations.

    Parameters
    ----------
    forecast, observed
        Rain rates (window, time, y, x) in mm/h; one window may come without its axis. What a masked array masks is
        as NaN: not measured, or not forecast.
    mask
        True where a pixel counts, of the same shape; by default where something was observed.
    thresholds
        Rain rates in mm/h.
    scales, ssim
        Neighbourhoods of the FSS, in pixels (odd), and whether to compute the SSIM. ``scales=(), ssim=False`` leaves
        out what takes most of the time.
    tiles
        Keep the sums of ``tiles`` x ``tiles`` parts of the area, for intervals where there are few windows.

    Raises
    ------
    DataError
        The shapes differ, or a pixel that counts is NaN or infinite.
    """
    forecast, observed = _unmasked(forecast), _unmasked(observed)
    mask = np.isfinite(observed) if mask is None else np.nan_to_num(_unmasked(mask)).astype(bool)
    if not forecast.shape == observed.shape == mask.shape or forecast.ndim not in {3, 4}:
        raise DataError(
            f"forecast {forecast.shape}, observation {observed.shape} and mask {mask.shape} must have one shape,"
            " (window, time, y, x)"
        )
    if not forecast.shape[-3]:
        raise DataError(f"forecast {forecast.shape} has no lead time, so there is nothing to score: give one at least")
    for name, values in (("forecast", forecast), ("observation", observed)):
        wrong = int(np.count_nonzero(mask & ~np.isfinite(values)))
        if wrong:
            raise DataError(
                f"the {name} is NaN or infinite in {wrong} pixels that count: mask them, or mend the {name}"
            )
    if even := [scale for scale in scales if scale < 1 or scale % 2 == 0]:
        raise DataError(f"a neighbourhood of {even[0]} pixels has no middle: give odd sides, such as {SCALES}")
    if not 1 <= tiles <= min(forecast.shape[-2:]):
        raise DataError(f"{tiles} x {tiles} tiles do not fit {forecast.shape[-2:]} pixels: give fewer, at least 1")
    levels = tuple(float(threshold) for threshold in thresholds)
    shape = (-1, *forecast.shape[-3:])
    parts = [
        window_sums(*window, levels=levels, scales=tuple(scales), ssim=ssim, tiles=tiles)
        for window in zip(forecast.reshape(shape), observed.reshape(shape), mask.reshape(shape), strict=True)
    ]
    if not parts:
        raise DataError("no window to score: give at least one")
    sums = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Scores(step_minutes, levels, tuple(scales), tiles, sums)


def _unmasked(values: ArrayLike) -> NDArray[Any]:
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    kept: Any = values if values.dtype.kind == "f" else values.astype(np.float64)
    return np.asarray(kept.filled(np.nan))


def persistence(inputs: NDArray[np.float32], frames_out: int) -> NDArray[np.float32]:
    """Forecast that nothing changes: the last frame of (…, time, y, x) repeated ``frames_out`` times, as a view."""
    last = inputs[..., -1:, :, :]
    return np.broadcast_to(last, (*inputs.shape[:-3], frames_out, *inputs.shape[-2:]))


def comparison(
    scores: Mapping[str, Scores], lead_minutes: Sequence[int] | None = None, columns: Sequence[str] | None = None
) -> str:
    """Return one table of several forecasts side by side, for example of a model and persistence.

    Parameters
    ----------
    scores
        Scores of each forecast by its name, all of the same lead times and thresholds.
    lead_minutes
        The lead times to show; all by default. The last row is the mean over all lead times, shown or not.
    columns
        Names of `Scores.by_name`; by default RMSE, MAE and CSI.
    """
    first = next(iter(scores.values()))
    keys = list(columns) if columns is not None else ["rmse", "mae", *(f"csi_{level:g}" for level in first.thresholds)]
    if unknown := sorted(set(keys) - set(first.by_name())):
        raise DataError(f"there is no score {unknown[0]!r}: choose from {', '.join(first.by_name())}")
    titles = [" ".join((key.split("_")[0].upper(), *key.split("_")[1:])) for key in keys]
    header = ["minutes", *(f"{name} {title}".strip() for name in scores for title in titles)]
    values = [one.by_name() for one in scores.values()]
    shown = first.lead_minutes if lead_minutes is None else tuple(lead_minutes)
    rows = [
        [str(minutes), *(_digits(block[key][step]) for block in values for key in keys)]
        for step, minutes in enumerate(first.lead_minutes)
        if minutes in shown
    ]
    means = [one.summary() for one in scores.values()]
    rows.append(["mean", *(_digits(mean.get(key, math.nan)) for mean in means for key in keys)])
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in [header, *rows]]
    return "\n".join(lines)


def _listed(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _digits(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
