"""Windows of consecutive frames: the past that a model gets and the future that it should give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, SpecError
from modelstac.training.data.preparation import PREPARATION

if TYPE_CHECKING:
    from modelstac.training.data.store import Stream

ANOTHER_EVENT = 6.0
"""Hours without a frame from which on those that follow are another event."""

T = TypeVar("T", bound=np.generic)
Index = int | slice | Sequence[int] | NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows over frames; an integer index gives views of frames in memory, several indices give a stacked copy.

    Parameters
    ----------
    rates
        All frames (time, y, x), float32 in mm/h, NaN where nothing was measured: an array, or a `Stream` that reads
        them when they are used.
    time
        End of the period of each frame, UTC.
    starts
        Index of the first frame of each window.
    frames_in, frames_out
        Length of the two parts of a window.
    step_minutes
        Time between two frames.
    """

    rates: NDArray[np.float32] | Stream
    time: NDArray[np.datetime64]
    starts: NDArray[np.int64]
    frames_in: int
    frames_out: int
    step_minutes: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frames."""
        return self.rates.shape[1], self.rates.shape[2]

    def inputs(self, index: Index) -> NDArray[np.float32]:
        """Frames given to the model, in mm/h: (time, y, x) for an integer, else (window, time, y, x)."""
        return self._part(self.rates, index, 0, self.frames_in)

    def targets(self, index: Index) -> NDArray[np.float32]:
        """Frames that follow, in mm/h: (time, y, x) for an integer, else (window, time, y, x)."""
        return self._part(self.rates, index, self.frames_in, self.frames_in + self.frames_out)

    def mask(self, index: Index) -> NDArray[np.bool_]:
        """Tell where a target counts: measured itself and measured in every input frame. Shaped as `targets`.

        A pixel that the model (or persistence) could not see is no fair target.
        """
        seen = np.isfinite(self.inputs(index)).all(axis=-3, keepdims=True)
        return np.asarray(np.isfinite(self.targets(index)) & seen)

    def times(self, index: Index) -> NDArray[np.datetime64]:
        """Return the times of all frames of the windows, given and following: (time,) or (window, time)."""
        return self._part(self.time, index, 0, self.frames_in + self.frames_out)

    def _part(self, array: NDArray[T] | Stream, index: Index, first: int, last: int) -> NDArray[T]:
        starts = np.asarray(self.starts[index])
        if starts.ndim == 0:
            return cast("NDArray[T]", array[int(starts) + first : int(starts) + last])
        return np.asarray(array[np.add.outer(starts, np.arange(first, last))])


def make_windows(ds: xr.Dataset, frames_in: int, frames_out: int, stride: int = 1) -> Windows:
    """Cut frames into windows of ``frames_in`` frames and the ``frames_out`` that follow, one every ``stride`` frames.

    Parameters
    ----------
    ds
        Prepared frames (`Preparation.apply`), or any with ``rainfall_rate`` (time, y, x) and ``step_minutes``.

    Frames of a store are read when they are used, and windows that would span a gap are left out.

    Raises
    ------
    DataError
        A frame is missing (named, with the files around it), or there are fewer frames than one window holds.
    SpecError
        A length or the stride is below one.
    """
    if min(frames_in, frames_out, stride) < 1:
        raise SpecError(f"windows of {frames_in} and {frames_out} frames every {stride}: each must be at least 1")
    stored = PREPARATION in ds.attrs
    if not stored:
        require_no_gap(ds)
    length, count = frames_in + frames_out, ds.sizes["time"]
    if count < length:
        raise DataError(
            f"a window of {frames_in} + {frames_out} frames is longer than the data ({count} frames):"
            " add frames, move the split, or choose a shorter window"
        )
    starts = np.arange(0, count - length + 1, stride, dtype=np.int64)
    if stored:
        starts = _without_gap(ds, starts, length)
    return Windows(
        rates=_stream(ds) if stored else ds["rainfall_rate"].values,
        time=ds["time"].values,
        starts=starts,
        frames_in=frames_in,
        frames_out=frames_out,
        step_minutes=int(ds.attrs["step_minutes"]),
    )


def _without_gap(ds: xr.Dataset, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    time = ds["time"].values
    step = np.timedelta64(int(ds.attrs["step_minutes"]), "m")
    starts = starts[time[starts + length - 1] - time[starts] == (length - 1) * step]
    if not len(starts):
        raise DataError(f"no {length} frames follow each other without a gap: prepare more frames, or shorter windows")
    return starts


def _stream(ds: xr.Dataset) -> Stream:
    from modelstac.training.data.store import Stream

    return Stream(ds["rainfall_rate"], int(ds.attrs["chunk"]))


def require_no_gap(ds: xr.Dataset) -> None:
    """Raise a `DataError` that names the first missing frame, when the frames do not follow each other."""
    step = np.timedelta64(int(ds.attrs["step_minutes"]), "m")
    time = ds["time"].values
    wrong = np.flatnonzero(np.diff(time) != step)
    if not len(wrong):
        return
    first = int(wrong[0])
    before, after = (str(name) for name in ds["source_file"].values[first : first + 2])
    missing = int((time[first + 1] - time[first]) / step) - 1
    others = f" (in all {len(wrong)} gaps)" if len(wrong) > 1 else ""
    if np.median(np.diff(time)) < step and "mean" in str(ds["rainfall_rate"].attrs.get("cell_methods")):
        apart = int((time[first + 1] - time[first]) / np.timedelta64(1, "m"))
        raise DataError(
            f"{after} is of {ds.attrs['step_minutes']} minutes and follows {before} by {apart}: their periods overlap"
            f"{others}; keep one file every {ds.attrs['step_minutes']} minutes, or get the product of {apart} minutes"
        )
    if missing < 1:
        raise DataError(f"{after} does not follow {before} by {step}: remove the frame that is out of step{others}")
    if (gap := (time[first + 1] - time[first]) / np.timedelta64(1, "h")) >= ANOTHER_EVENT:
        raise DataError(
            f"{after} is {gap:.0f} hours after {before}{others}: a window across two events is none; keep each event"
            " in a folder of its own, and train on several with --preset nowcast"
        )
    expected = str((time[first] + step).astype("datetime64[m]")).replace("T", " ")
    raise DataError(
        f"the frame of {expected} UTC is missing, {missing} missing between {before} and {after}{others}:"
        " add what is missing, or use only the frames before or after"
    )


def split_by_time(ds: xr.Dataset, first_test: int | float | datetime | np.datetime64) -> tuple[xr.Dataset, xr.Dataset]:
    """Split frames into those before a moment, for training, and those from it on, for testing, without overlap.

    Parameters
    ----------
    ds
        Frames in order of time.
    first_test
        Index of the first frame for testing, the fraction of frames for training (a float between 0 and 1), or a time.

    Raises
    ------
    DataError
        One of the two parts would be empty.
    """
    time = ds["time"].values
    if isinstance(first_test, datetime):
        if first_test.tzinfo is not None:
            first_test = first_test.astimezone(UTC).replace(tzinfo=None)
        first_test = np.datetime64(first_test)
    if isinstance(first_test, np.datetime64):
        index = int(np.searchsorted(time, first_test))
    elif isinstance(first_test, float):
        index = round(first_test * len(time))
    else:
        index = int(first_test)
    if not 0 < index < len(time):
        raise DataError(
            f"a split at {first_test} leaves no frame on one side of {len(time)} frames"
            f" ({np.datetime_as_string(time[0], 'm')} to {np.datetime_as_string(time[-1], 'm')}): choose another"
        )
    return ds.isel(time=slice(None, index)), ds.isel(time=slice(index, None))
