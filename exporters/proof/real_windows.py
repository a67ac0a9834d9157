"""Windows of real radar frames, in the layout of a model, with the scores of what it makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import DataError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.messages import Report, ignore
from modelstac.exporters.proof.cases import Case

if TYPE_CHECKING:
    from modelstac.training.data import Preparation
    from modelstac.training.scoring.metrics import Scores

MOST = 8
"""Of the windows in a folder at most so many are used, spread evenly: each is run through both models."""


@dataclass(frozen=True, eq=False)
class Cut:
    """Windows cut from radar frames: what a forecast starts from, what came, both in mm/h, and where that counts.

    Parameters
    ----------
    inputs, observed
        (window, time, y, x), float32.
    mask
        Like ``observed``: True where a pixel counts.
    times
        Ends of the frames of each window, UTC: (window, time of both).
    step_minutes
        Time between two frames.
    """

    inputs: NDArray[np.float32]
    observed: NDArray[np.float32]
    mask: NDArray[np.bool_]
    times: NDArray[np.datetime64]
    step_minutes: int

    @property
    def digest(self) -> str:
        """SHA-256 of the rain in them."""
        digest = hashlib.sha256()
        for before, after in zip(self.inputs, self.observed, strict=True):
            digest.update(before.tobytes() + after.tobytes())
        return digest.hexdigest()

    @property
    def span(self) -> tuple[str, str]:
        """Times of the first and the last frame (UTC)."""
        first, last = self.times[0, 0], self.times[-1, -1]
        return f"{np.datetime_as_string(first, 's')}Z", f"{np.datetime_as_string(last, 's')}Z"

    def save(self, path: Path) -> None:
        """Keep them in a file."""
        with explained(f"write {path}"), path.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def read(cls, path: Path) -> Cut:
        """Read what :meth:`save` wrote."""
        with explained(f"read {path}"), np.load(path, allow_pickle=False) as found:
            return cls(**{name: found[name] for name in found} | {"step_minutes": int(found["step_minutes"])})


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
    found = cut(data, preparation_of(source), *frames_of(source), report=report)
    return RealWindows(cases_of(found, source), found.digest, *found.span)


def preparation_of(source: ModelDescription) -> dict[str, Any]:
    """Give the preparation of radar frames that a model's item records.

    Raises
    ------
    DataError
        When it records none.
    """
    recorded = source.hyperparameters.get("preparation")
    if not isinstance(recorded, dict):
        raise DataError(f"item {source.id!r} records no preparation of radar frames: use it without data")
    return recorded


def frames_of(source: ModelDescription) -> tuple[int, int]:
    """Give the numbers of frames that a model starts from and forecasts.

    Raises
    ------
    DataError
        When its item does not say, or it is no model of frames.
    """
    for kind, tensors in (("inputs", source.inputs), ("outputs", source.outputs)):
        if len(tensors) > 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise DataError(f"item {source.id!r} has the {kind} {names}: radar frames go into one and come out of one")
    first, second = (_frames(source, layout.dim_order, layout.shape) for layout in _layouts(source))
    return first, second


def cut(data: str, preparation: Mapping[str, Any], frames_in: int, frames_out: int, *, report: Report = ignore) -> Cut:
    """Read radar frames, prepare them and cut them into at most :data:`MOST` windows, spread evenly.

    Raises
    ------
    DataError
        When there are too few frames.
    """
    from modelstac.training.data import Preparation, make_windows, read_frames

    prepared = Preparation.from_dict(dict(preparation)).apply(read_frames(Path(data), report=report), report=report)
    windows = make_windows(prepared, frames_in, frames_out)
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(MOST, len(windows))).round().astype(int)).tolist()
    return Cut(
        inputs=np.stack([windows.inputs(index) for index in chosen]),
        observed=np.stack([windows.targets(index) for index in chosen]),
        mask=np.stack([windows.mask(index) for index in chosen]),
        times=np.stack([windows.times(index) for index in chosen]),
        step_minutes=windows.step_minutes,
    )


def cases_of(found: Cut, source: ModelDescription) -> list[Case]:
    """Give windows as cases in the layout of a model, with the scores of what it makes of them."""
    from modelstac.training.data import Preparation

    preparation = Preparation.from_dict(preparation_of(source))
    return [_case(found, index, preparation, source) for index in range(len(found.inputs))]


def _layouts(source: ModelDescription) -> tuple[Any, Any]:
    return source.inputs[0].input, source.outputs[0].result


def _frames(source: ModelDescription, dim_order: tuple[str, ...], shape: tuple[int, ...]) -> int:
    sizes = dict(zip(dim_order, shape, strict=True))
    from modelstac.training.data.layouts import FRAME_AXES, number_of_frames

    if not set(FRAME_AXES) <= set(sizes):
        raise DataError(f"item {source.id!r} has the dimensions {', '.join(dim_order)}: no radar frames can be given")
    frames = number_of_frames(sizes, source.hyperparameters)
    if frames is None:
        raise DataError(f"item {source.id!r} does not say from how many frames it starts: use it without data")
    return frames


def _case(windows: Cut, index: int, preparation: Preparation, source: ModelDescription) -> Case:
    from modelstac.training.data.layouts import frames_from_layout, frames_to_layout

    before, after = (layout.dim_order for layout in _layouts(source))
    values = preparation.inputs_to_model(windows.inputs[index])
    observed, mask = windows.observed[index], windows.mask[index]

    def scores(output: NDArray[Any]) -> Scores:
        from modelstac.training.scoring.metrics import score

        rate = preparation.to_rate(frames_from_layout(np.asarray(output, np.float32), after))
        return score(rate, observed, mask, scales=(), ssim=False, step_minutes=windows.step_minutes)

    start = np.datetime_as_string(windows.times[index][0], "m")
    inputs = np.ascontiguousarray(frames_to_layout(values, before), np.float32)
    return Case(f"window from {start}Z", {source.inputs[0].name: inputs}, score=scores)
