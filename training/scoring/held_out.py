"""A trained model's scores on frames that it never saw, against persistence, in mm/h."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.training.data import Preparation, Windows
from modelstac.training.scoring.baselines import available, extrapolation
from modelstac.training.scoring.bootstrap import LEVEL, RESAMPLES, Interval, Over, difference, intervals
from modelstac.training.scoring.correlation import correlation_length
from modelstac.training.scoring.metrics import Scores, persistence, score
from modelstac.training.variants.variant import Forecast

TASK = "score"
TILES = 4
"""Each window is scored in 4 x 4 parts, for intervals where there are few windows."""
APART = 12
"""Sides of tiles in lengths over which errors correlate, from which on tiles tell enough about chance."""
FEW = 5
"""Below so many windows that share no frame, intervals are drawn over tiles."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a model and of persistence over the same windows and pixels.

    Parameters
    ----------
    model, persistence
        Per lead time, in mm/h.
    windows
        Number of windows.
    first, last
        Times of the first and the last frame that was used.
    example
        Observed and forecast rain (time, y, x) in mm/h of the first window, NaN where not measured.
    block
        How many windows in a row share frames; an interval draws them together.
    extrapolation
        pysteps' extrapolation, where it is installed and the frames are large enough.
    values
        The smallest and the largest value that the model gave, before they became mm/h.
    correlation
        Distance in pixels at which squared errors correlate by 1/e, the longest of all forecasts.
    tile
        Side of a tile in pixels.
    events
        Of several events each by its name.
    """

    model: Scores
    persistence: Scores
    windows: int
    first: np.datetime64
    last: np.datetime64
    example: tuple[NDArray[np.float32], NDArray[np.float32]]
    block: int = 1
    extrapolation: Scores | None = None
    values: tuple[float, float] = (0.0, 1.0)
    correlation: float = 0.0
    tile: float = 0.0
    events: Mapping[str, Evaluation] = field(default_factory=dict)

    @property
    def forecasts(self) -> dict[str, Scores]:
        """The scores of every forecast by its name, the model's first."""
        named = {"model": self.model, "persistence": self.persistence, "extrapolation": self.extrapolation}
        return {name: scores for name, scores in named.items() if scores is not None}

    @property
    def over(self) -> Over:
        """What the intervals are drawn from: tiles of the area where there are too few windows of their own."""
        return "windows" if self.windows >= FEW * self.block else "tiles"

    @property
    def why_none(self) -> str | None:
        """Why no interval is given; None where there are some."""
        if self.over == "windows":
            return None
        if self.model.tiles < 2:
            return f"{self.windows} windows and an area too small for parts say nothing about chance"
        return why_no_tiles(self.correlation, self.tile, self.model.tiles)

    def confidence(self) -> dict[str, Any]:
        """Give intervals of the means over lead times, and of what the model has less or more than persistence."""
        if self.why_none is not None:
            return {"none": self.why_none}
        block = self.block if self.over == "windows" else 1
        ours = intervals(self.model, over=self.over, block=block)
        parts = {"model": ours}
        for name, scores in list(self.forecasts.items())[1:]:
            parts[f"model_minus_{name}"] = difference(self.model, scores, over=self.over, block=block)
        return {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "over": self.over,
            **{
                title: {name: list(one.mean) for name, one in part.items() if np.isfinite(one.mean).all()}
                for title, part in parts.items()
            },
        }

    def bands(self) -> dict[str, dict[str, Interval]]:
        """Give intervals per lead time of every score of every forecast; none where there is nothing to draw from."""
        if self.why_none is not None:
            return {}
        block = self.block if self.over == "windows" else 1
        return {name: intervals(scores, over=self.over, block=block) for name, scores in self.forecasts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Give the scores per lead time as JSON types."""
        return {
            "windows": self.windows,
            "first_frame": f"{np.datetime_as_string(self.first, 's')}Z",
            "last_frame": f"{np.datetime_as_string(self.last, 's')}Z",
            **{name: scores.to_dict() for name, scores in self.forecasts.items()},
            "confidence": self.confidence(),
            **({"events": {name: one.to_dict() for name, one in self.events.items()}} if self.events else {}),
        }

    def summary(self) -> dict[str, float]:
        """Give means over the lead times, units in the names: ``rmse_mm_h``, …, ``persistence_rmse_mm_h``, …."""
        parts = {"" if name == "model" else f"{name}_": scores for name, scores in self.forecasts.items()}
        return {f"{prefix}{_with_units(name)}": v for prefix, one in parts.items() for name, v in one.summary().items()}


def why_no_tiles(correlation: float, tile: float, tiles: int) -> str | None:
    """Say why intervals over tiles would be too narrow; None where they are not.

    Parameters
    ----------
    correlation, tile
        Distance over which squared errors correlate, and side of a tile, in pixels.
    tiles
        Their number in a row.
    """
    if tile >= APART * correlation:
        return None
    return (
        f"errors hang together over {correlation:.0f} pixels, and the {tiles} x {tiles} parts of the area are"
        f" {tile:.0f} pixels wide: they are no draws of chance"
    )


def _with_units(name: str) -> str:
    """Name the units of a score's threshold or of itself, and of a neighbourhood: ``fss_1_mm_h_11_px``."""
    kind, *numbers = name.split("_")
    if kind == "ssim":
        return name
    return "_".join((kind, *numbers[:1], "mm_h", *numbers[1:])) + ("_px" if kind == "fss" else "")


def pooled(events: Mapping[str, Evaluation]) -> Evaluation:
    """Put the evaluations of several events together; one alone is itself."""
    every = list(events.values())
    whole = every[0]
    if len(every) == 1 and "" in events:
        return whole
    names = [name for name in whole.forecasts if all(name in one.forecasts for one in every)]
    totals: dict[str, Any] = {name: whole.forecasts[name] for name in names}
    for one in every[1:]:
        totals = {name: scores + one.forecasts[name] for name, scores in totals.items()}
    return Evaluation(
        **totals,
        windows=sum(one.windows for one in every),
        first=min(one.first for one in every),
        last=max(one.last for one in every),
        example=whole.example,
        block=max(one.block for one in every),
        values=(min(one.values[0] for one in every), max(one.values[1] for one in every)),
        correlation=max(one.correlation for one in every),
        tile=min(one.tile for one in every),
        events=dict(events),
    )


def evaluate(forecast: Forecast, windows: Windows, preparation: Preparation, *, report: Report = ignore) -> Evaluation:
    """Score a forecast, persistence and, where pysteps is installed, extrapolation, one window at a time.

    Parameters
    ----------
    forecast
        From values 0 to 1 to values 0 to 1, (window, time, y, x).
    windows, preparation
        Held-out data in mm/h, and how they become the model's values.
    """
    totals: dict[str, Any] = {}
    lengths: dict[str, list[float]] = defaultdict(list)
    example, lowest, highest = None, math.inf, -math.inf
    # A few pixels cannot be parted; then there is nothing to draw intervals from but the windows.
    tiles = min(TILES, *windows.shape)
    with_motion = available(windows.shape) and windows.frames_in > 1
    report(Started(TASK, len(windows)))
    for index in range(len(windows)):
        inputs, observed, mask = windows.inputs(index), windows.targets(index), windows.mask(index)
        values = forecast(preparation.inputs_to_model(inputs)[None])
        lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
        rates = {
            "model": preparation.to_rate(values)[0],
            "persistence": persistence(inputs, windows.frames_out),
        }
        if with_motion:
            rates["extrapolation"] = extrapolation(inputs, windows.frames_out)
        for name, rate in rates.items():
            lengths[name].append(correlation_length(np.where(mask, rate - observed, 0.0), mask))
            scores = score(rate, observed, mask, step_minutes=windows.step_minutes, tiles=tiles)
            totals[name] = totals[name] + scores if name in totals else scores
        if example is None:
            example = (observed, np.where(mask, rates["model"], np.float32(np.nan)))
        report(Advanced(TASK))
    report(Finished(TASK))
    assert example is not None
    last = windows.times(len(windows) - 1)[-1]
    stride = int(windows.starts[1] - windows.starts[0]) if len(windows) > 1 else 1
    block = min(len(windows), -(-(windows.frames_in + windows.frames_out) // stride))
    return Evaluation(
        **totals,
        windows=len(windows),
        first=windows.times(0)[0],
        last=last,
        example=example,
        block=block,
        values=(lowest, highest),
        correlation=max(_mean_length(each) for each in lengths.values()),
        tile=min(windows.shape) / tiles,
    )


def _mean_length(lengths: Sequence[float]) -> float:
    """Average lengths of correlation; of a window without an error, such as a dry one, there is none."""
    found = [length for length in lengths if length > 0]
    return float(np.mean(found)) if found else 0.0
