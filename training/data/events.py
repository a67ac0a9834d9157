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

LEAST_RAIN = 0.05
"""Mean rain rate in mm/h below which a square beside the wettest has too little to learn from."""
SHARED = 0.3
"""Largest share of a square's blocks that others have, too."""


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


def read_event(
    folder: str | Path, preparation: Preparation, size: int, *, most: int = 1, report: Report = ignore
) -> tuple[Event, ...]:
    """Read and prepare the frames of one event, and keep the squares in which it rained most, the wettest first.

    Parameters
    ----------
    folder
        The event's frames.
    preparation
        What is done to them.
    size
        Side of a square in blocks.
    most
        Number of squares to keep at most; see `wettest_squares`.

    Raises
    ------
    DataError
        As `read_frames` and `Preparation.apply`; or a frame is missing, or no such square was measured.
    """
    ds = preparation.apply(read_frames(folder, report=report), report=report)
    squares = []
    for rows, columns in wettest_squares(ds["rainfall_rate"].values, size, most, str(folder)):
        square = ds.isel(y=slice(rows, rows + size), x=slice(columns, columns + size))
        squares.append(Event(Path(folder).name, square, *footprint(square)))
    return tuple(squares)


def wettest_squares(
    rate: NDArray[np.float32], size: int, most: int = 1, name: str = "the event"
) -> list[tuple[int, int]]:
    """Return the first rows and columns of the squares in which it rained most, of those measured at all times.

    The first may be dry; a further one has at least `LEAST_RAIN` and shares at most `SHARED` of its blocks with those
    before it.

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
    found: list[tuple[int, int]] = []
    taken = np.zeros(rain.shape)
    while len(found) < most and (not found or totals.max() >= LEAST_RAIN * size**2):
        row, column = map(int, np.unravel_index(int(np.argmax(totals)), totals.shape))
        found.append((row, column))
        taken[row : row + size, column : column + size] = 1.0
        totals[_sums(taken, size) > SHARED * size**2] = -1.0
    return found


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
