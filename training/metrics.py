"""Scores of forecasts in physical units, per lead time, over measured pixels only.

Sums are kept, not means: scores of several batches add up to the scores of all windows together, whatever the sizes of
the batches and masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelstac.catalog.errors import DataError

THRESHOLDS = (0.5, 1.0, 2.0)
"""Rain rates in mm/h from which a pixel counts as rain for CSI."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Sums over windows and pixels per lead time, and the scores that follow from them.

    Parameters
    ----------
    step_minutes
        Time between two frames; the first lead time is one step.
    thresholds
        Rain rates in mm/h.
    count, squared, absolute
        Pixels that count, and sums of squared and absolute errors over them: (lead time,).
    hits, misses, false_alarms
        Pixels with rain at or above the threshold in both, only in the observation, only in the forecast:
        (threshold, lead time).
    """

    step_minutes: int
    thresholds: tuple[float, ...]
    count: NDArray[np.int64]
    squared: NDArray[np.float64]
    absolute: NDArray[np.float64]
    hits: NDArray[np.int64]
    misses: NDArray[np.int64]
    false_alarms: NDArray[np.int64]

    def __add__(self, other: Scores) -> Scores:
        """Pool with the scores of other windows."""
        if (self.step_minutes, self.thresholds, len(self.count)) != (
            other.step_minutes,
            other.thresholds,
            len(other.count),
        ):
            raise DataError("scores of other lead times or thresholds cannot be pooled: score both alike")
        sums = ("count", "squared", "absolute", "hits", "misses", "false_alarms")
        return Scores(
            self.step_minutes, self.thresholds, *(getattr(self, name) + getattr(other, name) for name in sums)
        )

    @property
    def lead_minutes(self) -> tuple[int, ...]:
        """Lead times in minutes."""
        return tuple(self.step_minutes * (step + 1) for step in range(len(self.count)))

    @property
    def rmse(self) -> NDArray[np.float64]:
        """Root mean square error in mm/h per lead time, NaN where no pixel counts."""
        return np.sqrt(_ratio(self.squared, self.count))

    @property
    def mae(self) -> NDArray[np.float64]:
        """Mean absolute error in mm/h per lead time, NaN where no pixel counts."""
        return _ratio(self.absolute, self.count)

    @property
    def csi(self) -> NDArray[np.float64]:
        """Critical success index, hits / (hits + misses + false alarms): (threshold, lead time).

        NaN where rain was neither observed nor forecast. Schaefer (1990), Weather and Forecasting 5, 570-575.
        """
        return _ratio(self.hits, self.hits + self.misses + self.false_alarms)

    @property
    def pooled_rmse(self) -> float:
        """Root mean square error in mm/h over all lead times together."""
        return float(np.sqrt(_ratio(self.squared.sum(), self.count.sum())))

    def to_dict(self) -> dict[str, Any]:
        """Return scores per lead time as JSON values; None where a score is undefined."""
        return {
            "lead_minutes": list(self.lead_minutes),
            "rmse": _listed(self.rmse),
            "mae": _listed(self.mae),
            "csi": {f"{threshold:g}": _listed(csi) for threshold, csi in zip(self.thresholds, self.csi, strict=True)},
            "pixels": [int(count) for count in self.count],
            "units": "mm h-1",
        }

    def summary(self) -> dict[str, float]:
        """Return means over lead times (``rmse``, ``mae``, ``csi_0.5`` …); a score that is undefined is left out."""
        means = {"rmse": self.rmse, "mae": self.mae}
        means |= {f"csi_{threshold:g}": csi for threshold, csi in zip(self.thresholds, self.csi, strict=True)}
        defined = {name: values[np.isfinite(values)] for name, values in means.items()}
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
    step_minutes: int = 5,
) -> Scores:
    """Score forecasts against observations.

    Parameters
    ----------
    forecast, observed
        Rain rates (window, time, y, x) in mm/h; one window may come without its axis.
    mask
        True where a pixel counts, of the same shape; by default where something was observed.

    Raises
    ------
    DataError
        The shapes differ, or a pixel that counts is NaN or infinite.
    """
    forecast, observed = np.asarray(forecast), np.asarray(observed)
    mask = np.isfinite(observed) if mask is None else np.asarray(mask, dtype=bool)
    if not forecast.shape == observed.shape == mask.shape or forecast.ndim not in {3, 4}:
        raise DataError(
            f"forecast {forecast.shape}, observation {observed.shape} and mask {mask.shape} must have one shape,"
            " (window, time, y, x)"
        )
    for name, values in (("forecast", forecast), ("observation", observed)):
        wrong = int(np.count_nonzero(mask & ~np.isfinite(values)))
        if wrong:
            raise DataError(
                f"the {name} is NaN or infinite in {wrong} pixels that count: mask them, or mend the {name}"
            )
    over = tuple(axis for axis in range(forecast.ndim) if axis != forecast.ndim - 3)
    error = np.where(mask, forecast.astype(np.float64) - observed, 0.0)
    levels = tuple(float(threshold) for threshold in thresholds)
    events = [(mask & (forecast >= level), mask & (observed >= level)) for level in levels]

    def total(flags: list[NDArray[np.bool_]]) -> NDArray[np.int64]:
        sums = [np.count_nonzero(flag, axis=over) for flag in flags]
        return np.array(sums, dtype=np.int64).reshape(len(levels), forecast.shape[-3])

    return Scores(
        step_minutes=step_minutes,
        thresholds=levels,
        count=np.asarray(np.count_nonzero(mask, axis=over), dtype=np.int64),
        squared=np.square(error).sum(axis=over),
        absolute=np.abs(error).sum(axis=over),
        hits=total([said & seen for said, seen in events]),
        misses=total([~said & seen for said, seen in events]),
        false_alarms=total([said & ~seen for said, seen in events]),
    )


def persistence(inputs: NDArray[np.float32], frames_out: int) -> NDArray[np.float32]:
    """Forecast that nothing changes: the last frame of (…, time, y, x) repeated ``frames_out`` times, as a view."""
    last = inputs[..., -1:, :, :]
    return np.broadcast_to(last, (*inputs.shape[:-3], frames_out, *inputs.shape[-2:]))


def comparison(scores: Mapping[str, Scores], lead_minutes: Sequence[int] | None = None) -> str:
    """Return one table of several forecasts side by side, for example of a model and persistence.

    Parameters
    ----------
    scores
        Scores of each forecast by its name, all of the same lead times and thresholds.
    lead_minutes
        The lead times to show; all by default. The last row is the mean over all lead times, shown or not.
    """
    first = next(iter(scores.values()))
    columns = ["RMSE", "MAE", *(f"CSI {threshold:g}" for threshold in first.thresholds)]
    header = ["minutes", *(f"{name} {column}".strip() for name in scores for column in columns)]
    values = [np.vstack([one.rmse, one.mae, one.csi]) for one in scores.values()]
    shown = first.lead_minutes if lead_minutes is None else tuple(lead_minutes)
    rows = [
        [str(minutes), *(_digits(block[row, step]) for block in values for row in range(len(columns)))]
        for step, minutes in enumerate(first.lead_minutes)
        if minutes in shown
    ]
    keys = ["rmse", "mae", *(f"csi_{threshold:g}" for threshold in first.thresholds)]
    means = [one.summary() for one in scores.values()]
    rows.append(["mean", *(_digits(mean.get(key, math.nan)) for mean in means for key in keys)])
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in [header, *rows]]
    return "\n".join(lines)


def _ratio(above: NDArray[Any], below: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def _listed(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _digits(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
