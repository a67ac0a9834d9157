"""Times of frames: read as times, in the order of the model, as far apart as the item says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.registry.running.bands import CALLED
from modelstac.registry.running.labels.durations import Duration, read_duration
from modelstac.registry.running.labels.grids import image_axis_of
from modelstac.registry.running.labels.units import said
from modelstac.registry.running.signature import TIME

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription


VALID = "valid_time"
"""What GRIB's readers call the time for which a forecast is, beside the one at which it was made."""
NAMES = (TIME, VALID, "t", "datetime", "date")
"""What data call their dimension of time, or when something was: Copernicus has valid_time, openEO t."""


def time_dim(array: xr.DataArray) -> str | None:
    """Name the dimension of times: by its name, else the one that has times along it, as steps of a forecast have."""
    others = [dim for dim in map(str, array.dims) if dim.casefold() not in CALLED and image_axis_of(array, dim) is None]
    named = [dim for dim in others if dim.casefold() in NAMES]
    told = [dim for dim in others if times_along(array, dim) is not None]  # bands may have times, too
    found = named or told
    return next((dim for dim in found if array.sizes[dim] > 1), found[0] if found else None)


def times_along(array: xr.DataArray, dim: str) -> xr.DataArray | None:
    """Return the times along a dimension: those for which forecasts are, its own, or the only ones; else None."""
    along = {str(key): one for key, one in array.coords.items() if one.dims == (dim,) and _is_times(one)}
    found: xr.DataArray | None = next((along[name] for name in (VALID, dim, *NAMES) if name in along), None)
    return next(iter(along.values())) if found is None and len(along) == 1 else found


def time_of(array: xr.DataArray) -> xr.DataArray | None:
    """Return when all of an array was; of a forecast the time for which it is, and not when it was made."""
    if (name := next((name for name in NAMES if name in array.coords and array[name].ndim == 0), None)) is not None:
        array = with_known_times(array.expand_dims(name), name).isel({name: 0})
    alone = {str(key): one for key, one in array.coords.items() if one.ndim == 0 and _is_times(one)}
    named = [alone[name] for name in (VALID, *NAMES) if name in alone]
    said = [one for one in alone.values() if str(one.attrs.get("standard_name")) == "time"]
    return next(iter(named or said), next(iter(alone.values())) if len(alone) == 1 else None)


def _is_times(array: xr.DataArray) -> bool:
    kind = array.dtype.kind
    return kind == "M" or (kind == "O" and all(hasattr(one, "isoformat") for one in array.values.flat))


def by_time(array: xr.DataArray, axis: str | None, description: ModelDescription) -> xr.DataArray:
    """Order frames by their times, as the model reads them, and check that they are evenly apart.

    Parameters
    ----------
    array
        The data.
    axis
        Name of their dimension of time; None where they have none.
    description
        What the item says: in which order the model reads frames, and how far apart they are.

    Raises
    ------
    DataError
        If a time is missing or there twice, frames are not evenly apart, or nothing says which is the newest.
    """
    preparation = description.hyperparameters.get("preparation")
    newest_first = isinstance(preparation, dict) and preparation.get("newest_first") is True
    if axis is None:
        return array
    array = with_times(array, axis)
    if axis not in array.coords or array[axis].dtype.kind not in "mM":
        if newest_first:
            raise DataError(f"the model reads the newest frame first: give the times as coordinate {axis!r}")
        return array
    times = pd.Index(array[axis].values)
    if times.hasnans or times.has_duplicates:
        raise DataError(f"the times {axis!r} have gaps or the same time twice: give every frame its time")
    step, ordered = _step(description), times.sort_values()
    if step is not None and (wrong := ~_apart(step, ordered)).any():
        odd = (ordered[1:] - ordered[:-1])[wrong][0]
        raise DataError(f"the model reads frames {step} apart; found two that are {odd} apart: select or resample")
    wanted = np.argsort(times.values)
    wanted = wanted[::-1] if newest_first else wanted
    return array if (wanted == np.arange(len(wanted))).all() else array.isel({axis: wanted})


def _apart(step: Duration, ordered: pd.Index[Any]) -> NDArray[np.bool_]:
    """Tell of each two neighbours whether they are a step apart."""
    if ordered.dtype.kind == "m":  # times since something: a month has no length there
        return np.asarray((ordered[1:] - ordered[:-1] == step.rest) & (not step.months))
    return step.between(pd.DatetimeIndex(ordered[:-1]), pd.DatetimeIndex(ordered[1:]))


def with_known_times(array: xr.DataArray, axis: str) -> xr.DataArray:
    """Read times as :func:`with_times` does, and leave what is none: dates that are called before and after."""
    try:
        return with_times(array, axis)
    except DataError:
        return array


def with_times(array: xr.DataArray, axis: str) -> xr.DataArray:
    """Read times that were not decoded, are texts, of another calendar, or stand beside the axis (``valid_time``)."""
    given = array.coords.get(axis)
    given = None if given is None or given.dims != (axis,) else given
    others = [one for key, one in array.coords.items() if one.dims == (axis,) and key != axis]
    beside = [one for one in others if one.dtype.kind == "M"]
    if (given is None or (given.dtype.kind in "iuf" and said(given.attrs.get("units")) is None)) and len(beside) == 1:
        given, found = None, beside[0].variable
    elif given is None:
        return array
    else:
        found = given.variable
    if found.dtype.kind in "SU" or (found.dtype.kind == "O" and all(isinstance(one, str) for one in found.values)):
        found = xr.Variable((axis,), _of_texts(found.values, axis), found.attrs)
    if found.dtype.kind in "iuf" and " since " in str(found.attrs.get("units", "")):
        try:
            found = xr.decode_cf(xr.Dataset(coords={axis: (axis, found.values, found.attrs)}))[axis].variable
        except (ValueError, OverflowError) as error:
            raise DataError(f"the times {axis!r} are no {found.attrs['units']!r}: decode them") from error
    if found.dtype.kind == "O" and found.size and hasattr(found.values.flat[0], "timetuple"):
        try:
            read = [pd.Timestamp(one.isoformat()) for one in found.values]
        except (AttributeError, ValueError) as error:  # the 30th of February
            raise DataError(f"the times {axis!r} are of another calendar: convert them, .convert_calendar()") from error
        found = xr.Variable((axis,), read)
    same = given is not None and found is given.variable
    return array if same else array.assign_coords({axis: (axis, found.values, found.attrs)})


def _of_texts(texts: np.ndarray[Any, Any], axis: str) -> np.ndarray[Any, Any]:
    try:
        read = pd.to_datetime(texts.astype(str), utc=True, format="ISO8601").tz_localize(None)
    except ValueError as error:
        example = str(texts[0])
        raise DataError(f"the times {axis!r} are texts such as {example!r:.40}: read them as times") from error
    return np.asarray(read.values)


def _step(description: ModelDescription) -> Duration | None:
    """Read the time from frame to frame of the training data."""
    return duration(description.cube_dimensions.get(TIME, {}).get("step"), description)


def duration(text: object, description: ModelDescription) -> Duration | None:
    """Read a duration of ISO 8601 that an item states; None where it states none.

    Raises
    ------
    InvalidItemError
        If it is no duration.
    """
    if text is None:
        return None
    try:
        return read_duration(str(text))
    except ValueError as error:
        raise InvalidItemError(
            f"item {description.id!r}: {str(text)!r:.40} is no duration, such as PT5M, P0.5D or P1M (a month)"
        ) from error
