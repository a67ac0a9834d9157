"""A trained model's scores on frames that it never saw, against persistence, in mm/h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.training.bootstrap import LEVEL, RESAMPLES, Over, difference, intervals
from modelstac.training.data import Preparation, Windows
from modelstac.training.metrics import Scores, persistence, score
from modelstac.training.variants import Forecast

TASK = "score"
TILES = 4
"""Each window is scored in 4 x 4 parts, for intervals where there are few windows."""
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
    """

    model: Scores
    persistence: Scores
    windows: int
    first: np.datetime64
    last: np.datetime64
    example: tuple[NDArray[np.float32], NDArray[np.float32]]
    block: int = 1

    @property
    def over(self) -> Over:
        """What the intervals are drawn from: tiles of the area where there are too few windows of their own."""
        return "windows" if self.windows >= FEW * self.block else "tiles"

    def confidence(self) -> dict[str, Any]:
        """Give intervals of the means over lead times, and of what the model has less or more than persistence."""
        block = self.block if self.over == "windows" else 1
        ours = intervals(self.model, over=self.over, block=block)
        less = difference(self.model, self.persistence, over=self.over, block=block)
        parts = {"model": ours, "model_minus_persistence": less}
        return {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "over": self.over,
            **{
                title: {name: list(one.mean) for name, one in part.items() if np.isfinite(one.mean).all()}
                for title, part in parts.items()
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Give the scores per lead time as JSON types."""
        return {
            "windows": self.windows,
            "first_frame": f"{np.datetime_as_string(self.first, 's')}Z",
            "last_frame": f"{np.datetime_as_string(self.last, 's')}Z",
            "model": self.model.to_dict(),
            "persistence": self.persistence.to_dict(),
            "confidence": self.confidence(),
        }

    def summary(self) -> dict[str, float]:
        """Give means over the lead times, units in the names: ``rmse_mm_h``, …, ``persistence_rmse_mm_h``, …."""
        parts = (("", self.model), ("persistence_", self.persistence))
        return {f"{prefix}{_with_units(name)}": v for prefix, scores in parts for name, v in scores.summary().items()}


def _with_units(name: str) -> str:
    """Name the units of a score's threshold or of itself, and of a neighbourhood: ``fss_1_mm_h_11_px``."""
    kind, *numbers = name.split("_")
    if kind == "ssim":
        return name
    return "_".join((kind, *numbers[:1], "mm_h", *numbers[1:])) + ("_px" if kind == "fss" else "")


def evaluate(forecast: Forecast, windows: Windows, preparation: Preparation, *, report: Report = ignore) -> Evaluation:
    """Score a forecast and persistence on ``windows``, one window at a time.

    Parameters
    ----------
    forecast
        From values 0 to 1 to values 0 to 1, (window, time, y, x).
    windows, preparation
        Held-out data in mm/h, and how they become the model's values.
    """
    ours: Scores | None = None
    theirs: Scores | None = None
    example = None
    report(Started(TASK, len(windows)))
    for index in range(len(windows)):
        inputs, observed, mask = windows.inputs(index), windows.targets(index), windows.mask(index)
        rate = preparation.to_rate(forecast(preparation.inputs_to_model(inputs)[None]))[0]
        step = windows.step_minutes
        model_scores = score(rate, observed, mask, step_minutes=step, tiles=TILES)
        baseline = score(persistence(inputs, windows.frames_out), observed, mask, step_minutes=step, tiles=TILES)
        ours = model_scores if ours is None else ours + model_scores
        theirs = baseline if theirs is None else theirs + baseline
        if example is None:
            example = (observed, np.where(mask, rate, np.float32(np.nan)))
        report(Advanced(TASK))
    report(Finished(TASK))
    assert ours is not None
    assert theirs is not None
    assert example is not None
    last = windows.times(len(windows) - 1)[-1]
    stride = int(windows.starts[1] - windows.starts[0]) if len(windows) > 1 else 1
    block = min(len(windows), -(-(windows.frames_in + windows.frames_out) // stride))
    return Evaluation(ours, theirs, len(windows), windows.times(0)[0], last, example, block)
