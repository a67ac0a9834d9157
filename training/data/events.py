"""Several events, of several products: each prepared alike, cut to squares of one size, and never mixed in a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError
from modelstac.catalog.messages import Report, ignore
from modelstac.training.data.frames import read_frames
from modelstac.training.data.preparation import BBox, Polygon, Preparation, footprint
from modelstac.training.data.windows import Windows, make_windows


@dataclass(frozen=True, eq=False)
class Event:
    """Frames of one event on a square where all was measured.

    Parameters
    ----------
    name
        Of its folder.
    frames
        Prepared frames (time, y, x) on the square.
    polygon, bbox
        Its outline in degrees.
    """

    name: str
    frames: xr.Dataset
    polygon: Polygon
    bbox: BBox

    def windows(self, frames_in: int, frames_out: int) -> Windows:
        """Cut its frames into windows."""
        return make_windows(self.frames, frames_in, frames_out)


def read_event(folder: str | Path, preparation: Preparation, size: int, *, report: Report = ignore) -> Event:
    """Read and prepare the frames of one event, and keep the square in which it rained most.

    Parameters
    ----------
    folder
        The event's frames.
    preparation
        What is done to them.
    size
        Side of the square in blocks.

    Raises
    ------
    DataError
        As `read_frames` and `Preparation.apply`; or a frame is missing, or no such square was measured.
    """
    ds = preparation.apply(read_frames(folder, report=report), report=report)
    rows, columns = wettest_square(ds["rainfall_rate"].values, size, str(folder))
    ds = ds.isel(y=slice(rows, rows + size), x=slice(columns, columns + size))
    polygon, bbox = footprint(ds)
    return Event(Path(folder).name, ds, polygon, bbox)


def wettest_square(rate: NDArray[np.float32], size: int, name: str = "the event") -> tuple[int, int]:
    """Return the first row and column of the square in which it rained most, of those measured at all times.

    Raises
    ------
    DataError
        There is none.
    """
    if min(rate.shape[1:]) < size:
        raise DataError(f"{name} has {rate.shape[1]} x {rate.shape[2]} blocks, {size} x {size} are needed")
    rain = np.nan_to_num(rate).mean(axis=0, dtype=np.float64)
    totals, missing = (_sums(values, size) for values in (rain, (~np.isfinite(rate)).any(axis=0).astype(np.float64)))
    totals[missing > 0.5] = -1.0
    if totals.max() < 0:
        raise DataError(f"{name} has no {size} x {size} blocks that were measured at all times: choose smaller squares")
    row, column = np.unravel_index(int(np.argmax(totals)), totals.shape)
    return int(row), int(column)


def _sums(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sum every square of a field."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    return np.asarray(sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size])


def joined(windows: Sequence[Windows]) -> Windows:
    """Put the windows of several events one after the other; none crosses from one event to the next.

    Raises
    ------
    DataError
        They are of other lengths, steps or sizes.
    """
    first = windows[0]
    starts, before = [], 0
    for one in windows:
        if (one.step_minutes, one.shape) != (first.step_minutes, first.shape):
            raise DataError(
                f"frames every {one.step_minutes} minutes on {one.shape} blocks and every {first.step_minutes} on"
                f" {first.shape} make no windows of one kind: take events of products with the same step"
            )
        starts.append(one.starts + before)
        before += len(one.time)
    return Windows(
        rates=np.concatenate([np.asarray(one.rates[0 : len(one.time)]) for one in windows]),
        time=np.concatenate([one.time for one in windows]),
        starts=np.concatenate(starts),
        frames_in=first.frames_in,
        frames_out=first.frames_out,
        step_minutes=first.step_minutes,
    )
