"""Windows of real radar frames, in the layout of a model, with the scores of what it makes of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError
from modelstac.catalog.items import ModelDescription
from modelstac.catalog.messages import Report, ignore
from modelstac.exporters.cases import Case

if TYPE_CHECKING:
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.metrics import Scores

MOST = 8
"""Of the windows in a folder at most so many are used, spread evenly: each is run through both models."""


@dataclass(frozen=True, eq=False)
class RealWindows:
    """Cases of real data, the digest of what they hold, and the times of their first and last frame (UTC)."""

    cases: list[Case]
    digest: str
    first: str
    last: str

    def to_dict(self) -> dict[str, Any]:
        """Give what a parity report says of the data."""
        return {"windows": len(self.cases), "first_frame": self.first, "last_frame": self.last, "sha256": self.digest}


def real_windows(data: str, source: ModelDescription, *, report: Report = ignore) -> RealWindows:
    """Read radar frames, prepare them as a model's item records and cut them into cases.

    Parameters
    ----------
    data
        A folder of radar frames, or a prepared store.
    source
        The model, of rain: its preparation and number of frames are recorded.

    Raises
    ------
    DataError
        When the item records no preparation, or there are too few frames.
    """
    from modelstac.training.data import Preparation, make_windows, read_frames

    recorded = source.hyperparameters.get("preparation")
    if not isinstance(recorded, dict):
        raise DataError(f"item {source.id!r} records no preparation of radar frames: export it without data")
    preparation = Preparation.from_dict(recorded)
    frames_in, frames_out = (_frames(source, layout.dim_order, layout.shape) for layout in _layouts(source))
    windows = make_windows(
        preparation.apply(read_frames(Path(data), report=report), report=report), frames_in, frames_out
    )
    digest = hashlib.sha256()
    cases = []
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(MOST, len(windows))).round().astype(int))
    for index in map(int, chosen):
        digest.update(windows.inputs(index).tobytes() + windows.targets(index).tobytes())
        cases.append(_case(windows, index, preparation, source))
    first, last = windows.times(int(chosen[0]))[0], windows.times(int(chosen[-1]))[-1]
    return RealWindows(cases, digest.hexdigest(), *(f"{np.datetime_as_string(time, 's')}Z" for time in (first, last)))


def _layouts(source: ModelDescription) -> tuple[Any, Any]:
    return source.inputs[0].input, source.outputs[0].result


def _frames(source: ModelDescription, dim_order: tuple[str, ...], shape: tuple[int, ...]) -> int:
    sizes = dict(zip(dim_order, shape, strict=True))
    from modelstac.training.data.layouts import FRAME_AXES, number_of_frames

    if not set(FRAME_AXES) <= set(sizes):
        raise DataError(f"item {source.id!r} has the dimensions {', '.join(dim_order)}: no radar frames can be given")
    frames = number_of_frames(sizes, source.hyperparameters)
    if frames is None:
        raise DataError(f"item {source.id!r} does not say from how many frames it starts: export it without data")
    return frames


def _case(windows: Windows, index: int, preparation: Preparation, source: ModelDescription) -> Case:
    from modelstac.training.data.layouts import frames_from_layout, frames_to_layout

    before, after = (layout.dim_order for layout in _layouts(source))
    values = preparation.inputs_to_model(windows.inputs(index))
    observed, mask = windows.targets(index), windows.mask(index)

    def scores(output: NDArray[Any]) -> Scores:
        from modelstac.training.metrics import score

        rate = preparation.to_rate(frames_from_layout(np.asarray(output, np.float32), after))
        return score(rate, observed, mask, scales=(), ssim=False, step_minutes=windows.step_minutes)

    start = np.datetime_as_string(windows.times(index)[0], "m")
    inputs = np.ascontiguousarray(frames_to_layout(values, before), np.float32)
    return Case(f"window from {start}Z", inputs, score=scores)
