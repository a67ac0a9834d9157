"""Scenes that are arrays of xarray, and NetCDF and Zarr, which are opened as such: read lazily, window by window."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.bands import CALLED, Band, bands_of_axis, bands_of_variables, one_band
from modelstac.registry.running.labels.grids import image_axis_of
from modelstac.registry.running.labels.levels import with_levels
from modelstac.registry.running.labels.packing import KINDS, OFFSETS, SCALES, has_names, signed, signed_dtype
from modelstac.registry.running.labels.reading import read_values, with_mapping
from modelstac.registry.running.labels.systems import import_proj
from modelstac.registry.running.labels.times import time_dim, time_of, times_along, with_known_times
from modelstac.registry.running.labels.units import UNITS, said
from modelstac.registry.scenes.reading.finding.axes import grid_of
from modelstac.registry.scenes.reading.finding.names import are_counted
from modelstac.registry.scenes.reading.finding.parts import (
    Numbers,
    Offer,
    Stored,
    Values,
    file_and_group,
    is_remote,
    is_zarr,
    plain,
    shown,
)

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox


class ArrayPart:
    """Bands of one array of one time; see :class:`modelstac.registry.scenes.reading.finding.parts.Part`.

    Parameters
    ----------
    array
        Bands, if it has such, rows and columns, in this order.
    name
        What messages call it.
    axis
        Name of the dimension of bands; None if there is none.
    like
        The same at another time.
    """

    grid: GeoBox
    stored: tuple[Stored, ...]

    def __init__(
        self, array: xr.DataArray, name: str, axis: str | None, *, crs: Any = None, like: ArrayPart | None = None
    ) -> None:
        self._array, self._axis, self.name = array, axis, name
        if like is not None:
            self.grid, self.stored = like.grid, like.stored
            return
        y, x = (str(dim) for dim in array.dims[-2:])
        self.grid = grid_of(array, y, x, of=name, crs=crs)
        count = 1 if axis is None else array.sizes[axis]
        dtype = str(signed_dtype(array))
        self.stored = tuple(Stored(dtype, _numbers(array, number, count, name)) for number in range(count))

    def read(self, bands: tuple[int, ...], rows: slice, columns: slice) -> tuple[Values, Values | None]:
        """Read a window."""
        y, x = self._array.dims[-2:]
        window = self._array.isel({y: rows, x: columns})
        window = window if self._axis is None else window.isel({self._axis: list(bands)})
        try:
            loaded = signed(window.compute())
            found = read_values(_of_bands(loaded, self._axis, bands), of=self.name, axis=self._axis, scaled=True)
        except DataError:
            raise
        except Exception as error:  # of netCDF4, HDF5, Zarr, Dask and whatever made the array
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(
                f"cannot read {self.name}, {shown(rows, columns)}: {reason}: the file may be cut off; fetch it again, "
                "or leave out what cannot be read (--skip-errors)"
            ) from error
        values = np.array(loaded.values)  # of its own: whoever reads it may write into it
        missing = ~np.isfinite(found.values) if found.dtype.kind == "f" else None
        if self._axis is None:
            values, missing = values[None], None if missing is None else missing[None]
        return values, missing if missing is not None and missing.any() else None


def open_dataset(path: str) -> xr.Dataset:
    """Open NetCDF or Zarr; values stay stored ones, and are read when they are asked for.

    Raises
    ------
    DataError
        If it cannot be opened.
    """
    import xarray as xr

    file, group = (path, None) if is_remote(path) else file_and_group(path)
    if not is_remote(path) and not Path(file).exists():
        raise DataError(f"cannot open {path}: there is no such file")
    engine = "zarr" if is_zarr(path) else None
    import_proj()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated", RuntimeWarning)
            found = (
                xr.open_dataset(file, engine=engine, decode_cf=False, chunks=None)
                if group is None
                else _group(file, engine, group)
            )
            found = _decoded(found)
            groups = () if found.data_vars else _groups(file, engine)
    except Exception as error:  # of netCDF4, HDF5 and Zarr, with no class in common
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"cannot open {plain(path)}: {reason}") from error
    if groups:
        raise DataError(
            f"{plain(path)} has its variables in the groups {', '.join(groups)}: name one of them, "
            f"{plain(file)}/{groups[0]}"
        )
    return found


def _group(path: str, engine: str | None, group: str) -> xr.Dataset:
    """Open a group, with the coordinates and the mapping that it shares with the groups around it (CF 1.11, 2.7).

    The bands of MTG lie so beside one projection for all, those of HDF-EOS within a grid that has the coordinates.
    """
    import xarray as xr

    found = xr.open_dataset(path, engine=engine, group=group, decode_cf=False, chunks=None)
    for around in map(str, PurePosixPath(group).parents):
        attrs = [variable.attrs for variable in found.variables.values()]
        said = " ".join(str(one.get(key, "")) for one in attrs for key in ("grid_mapping", "coordinates"))
        named = {word.strip(":") for word in said.split()} | set(map(str, found.dims))
        if named <= set(found.variables):
            break
        with xr.open_dataset(
            path, engine=engine, group=None if around == "." else around, decode_cf=False, chunks=None
        ) as shared:
            names = [name for name in shared.variables if name in named and name not in found.variables]
            found = found.assign({name: shared.variables[name].load() for name in names})
    return found


def _decoded(dataset: xr.Dataset) -> xr.Dataset:
    """Find coordinates and times; those that are counted as none can be, such as in months, stay numbers."""
    import xarray as xr

    try:
        return xr.decode_cf(dataset, mask_and_scale=False, decode_coords="all")
    except ValueError as error:
        if "time units" not in str(error):
            raise
        return xr.decode_cf(dataset, mask_and_scale=False, decode_coords="all", decode_times=False)


def _groups(path: str, engine: str | None) -> tuple[str, ...]:
    """Name the groups of a file that have variables, those of rows and columns if there are such."""
    import xarray as xr

    if not hasattr(xr, "open_groups"):  # before 2024.10
        return ()
    found = xr.open_groups(path, engine=engine, chunks=None)
    sides = {
        str(name).strip("/"): max(one.ndim for one in group.data_vars.values())
        for name, group in found.items()
        if group.data_vars
    }
    for group in found.values():
        group.close()
    return tuple(sorted(name for name, most in sides.items() if most > 1)) or tuple(sorted(sides))


def offers_of_dataset(dataset: xr.Dataset, owner: int, name: str, *, crs: Any = None) -> list[Offer]:
    """Offer the bands of all variables that have rows and columns, each level of the air or the sea by itself.

    Raises
    ------
    DataError
        If there are none.
    """
    dataset = with_levels(with_mapping(dataset))
    named = dict(zip(dataset.data_vars, bands_of_variables(dataset), strict=True))
    numbered = are_counted([str(key) for key, variable in dataset.data_vars.items() if _image(variable) is not None])
    offers: list[Offer] = []
    for variable, band_named in named.items():
        array, band = dataset[variable], band_named
        if numbered and band.name == str(variable):
            band = replace(band, name="")
        if _image(array) is None or array.dtype.kind not in KINDS + "c":
            continue
        alone = len([one for one in dataset.data_vars.values() if _image(one) is not None]) == 1
        offers += offers_of_array(array, owner, f"{name}, {variable}", crs=crs, band=band, alone=alone)
    if not offers:
        found = ", ".join(f"{key} ({', '.join(map(str, one.dims))})" for key, one in dataset.data_vars.items())
        raise DataError(
            f"{name} has no variable of rows and columns; found {found or 'none'}: name another, "
            "or warp it onto a grid first, if it lies along the track of a satellite"
        )
    return offers


def offers_of_array(
    array: xr.DataArray, owner: int, name: str, *, crs: Any = None, band: Band | None = None, alone: bool = True
) -> list[Offer]:
    """Offer the bands of an array, at each of its times.

    Parameters
    ----------
    array
        With rows and columns, and times and bands if there are such.
    owner
        Which source it is.
    name
        What messages call it.
    crs
        Reference system, where the caller knows it better.
    band
        What is known of it, where it has no axis of bands.
    alone
        Whether there is no other variable beside it, so that a name that is no band's says nothing.

    Raises
    ------
    DataError
        If it has no rows and columns, or another dimension.
    """
    image = _image(array)
    if image is None:
        dims = ", ".join(map(str, array.dims))
        raise DataError(f"{name} has the dimensions ({dims}), and no rows and columns: rename them y and x")
    if array.dtype.kind not in KINDS + "c":
        raise DataError(f"{name} holds {array.dtype}, no numbers: convert them, .astype('float32')")
    axis = next((str(dim) for dim in array.dims if str(dim).casefold() in CALLED), None)
    when = time_dim(array)
    array = array if when is None else with_known_times(array, when)
    kept = {*image, axis, when}
    for dim in [dim for dim in array.dims if dim not in kept]:
        if array.sizes[dim] > 1:
            raise DataError(f"{name} has the dimension {dim!r} of {array.sizes[dim]}, which no band is: select one")
        array = array.isel({dim: 0})
    times = _times(array, when)
    if not times:
        return []

    def frame(number: int) -> xr.DataArray:
        step = array if when is None else array.isel({when: number})
        return step.transpose(*(() if axis is None else (axis,)), *image)

    bands = _bands(frame(0), axis, band, alone)
    part = ArrayPart(frame(0), name, axis, crs=crs)
    label = [f"{name}, band {b or n + 1}" if len(bands) > 1 else name for n, b in enumerate(bands)]
    offers = []
    for number, time in enumerate(times):  # of hours of a year few are read

        @cache
        def opened(number: int = number) -> ArrayPart:
            return ArrayPart(frame(number), name, axis, like=part) if number else part

        offers += [
            Offer(one, place, opened, label[place], owner, str(array.name or ""), time=time)
            for place, one in enumerate(bands)
        ]
    return offers


def token(array: xr.DataArray) -> str:
    """Return what tells an array from another: its values where they are in memory, else how they are made."""
    data = array.variable._data
    if isinstance(data, np.ndarray):
        return hashlib.blake2b(np.ascontiguousarray(data).view(np.uint8).data, digest_size=16).hexdigest()
    if made := getattr(data, "name", None):  # Dask's name of it says how it was made
        return str(made)
    source = str(array.encoding.get("source", ""))
    return f"{source} {Path(source).stat().st_mtime_ns}" if source and Path(source).exists() else source


def _image(array: xr.DataArray) -> tuple[str, str] | None:
    rows, columns = ([str(dim) for dim in array.dims if image_axis_of(array, str(dim)) == axis] for axis in ("y", "x"))
    return (rows[0], columns[0]) if len(rows) == len(columns) == 1 else None


def _bands(array: xr.DataArray, axis: str | None, band: Band | None, alone: bool) -> list[Band]:
    if axis is not None:
        found = bands_of_axis(array, axis) or [Band()] * array.sizes[axis]
        return [replace(one, name="") for one in found] if are_counted([one.name for one in found]) else found
    if band is not None and not (alone and band == Band(band.name) and one_band(array) is None):
        return [band]
    return [Band(one_band(array) or ("" if alone else str(array.name or "")))]


def _times(array: xr.DataArray, dim: str | None) -> list[np.datetime64 | None]:
    if dim is None:
        alone = time_of(array)
        return [None if alone is None else _time(alone.values)]
    along = times_along(array, dim)
    if along is None:
        return [None] * array.sizes[dim]
    times = [_time(time) for time in along.values]
    for time, value in zip(times, along.values, strict=True):
        if time is None and hasattr(value, "calendar") and len(times) > 1:
            raise DataError(
                f"{array.name or 'the array'} has the time {value} of the calendar {value.calendar}, which is no "
                "day of others: convert it, .convert_calendar('standard', align_on='year')"
            )
    return times


def _time(value: Any) -> np.datetime64 | None:
    if isinstance(value, np.ndarray):
        value = value[()]
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else value
    try:
        return np.datetime64(value.isoformat()) if hasattr(value, "isoformat") else None
    except ValueError:  # a day of another calendar
        return None


def _of_bands(array: xr.DataArray, axis: str | None, bands: tuple[int, ...]) -> xr.DataArray:
    """Leave of attributes that list something for each band those of the bands that were taken."""
    if axis is None:
        return array
    attrs = {
        key: [value[band] for band in bands]
        if isinstance(value, list | tuple | np.ndarray)
        and len(value) > max(bands)
        and key in ("nodatavals", "long_name")
        else value
        for key, value in array.attrs.items()
    }
    array = array.copy(deep=False)
    array.attrs = attrs
    return array


def _numbers(array: xr.DataArray, number: int, count: int, name: str) -> Numbers:
    scale, offset = (_number(array.attrs, names, number, count, name) for names in (SCALES, OFFSETS))
    unit = next((array.attrs[key] for key in UNITS if key in array.attrs), None)
    unit = unit[number] if isinstance(unit, list | tuple | np.ndarray) and len(unit) == count else unit
    return Numbers(scale, offset, None, said(unit), has_names(array), name if (scale, offset) != (None, None) else "")


def _number(attrs: Mapping[Any, Any], names: tuple[str, ...], number: int, count: int, of: str) -> float | None:
    key = next((name for name in names if attrs.get(name) is not None), None)
    if key is None:
        return None
    try:
        values = np.asarray(attrs[key], np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise DataError(f"{of} says {key} {attrs[key]!r}, which is no number: correct it") from error
    if values.size not in (1, count) or not np.isfinite(values).all():
        raise DataError(f"{of} says {key} {attrs[key]!r} for {count} bands: give one number, or one for each")
    return float(values[number if values.size == count else 0])
