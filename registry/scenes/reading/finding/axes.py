"""Grids of labelled arrays: from their coordinates, or from the transform that a grid mapping holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.grids import (
    SPATIAL,
    TURN,
    counts_pixels,
    geotransform,
    in_unit_of,
    places_of,
    positions_of,
    read_axis,
    system_of,
    written_transform,
)
from modelstac.registry.running.labels.systems import called, parsed_crs
from modelstac.registry.running.labels.units import said

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

_OFF = 0.01
"""Share of a pixel that is rounding."""


def grid_of(array: xr.DataArray, y: str, x: str, *, of: str, crs: Any = None) -> GeoBox:
    """Return the grid of an array.

    Parameters
    ----------
    array
        The data.
    y, x
        Names of its rows and columns.
    of
        What messages call it.
    crs
        Reference system, where the caller knows it better.

    Raises
    ------
    DataError
        If it has no places, uneven ones, or no reference system.
    """
    from affine import Affine
    from odc.geo.geobox import GeoBox

    numbers = geotransform(array) or _of_zarr(array, y, x)
    if numbers is None and any(positions_of(array, name) is None for name in (y, x)):
        raise DataError(
            f"{of} has no coordinates along {y!r} and {x!r} and no transform, so that a map of it would lie nowhere: "
            "give it those of its pixels"
        )
    system = _system(array, y, of, crs)
    steps = (None, None) if numbers is None or numbers[2] or numbers[4] else (numbers[5], numbers[1])
    rows, columns = (
        _even(array, name, axis, of, system) or _alone(array, name, step, system)
        for name, axis, step in ((y, "y", steps[0]), (x, "x", steps[1]))
    )
    written = written_transform(array)
    if written is not None and not (written[2] or written[4]):
        rows, columns = _of_corners(rows, written[3], written[5]), _of_corners(columns, written[0], written[1])
    if rows is not None and columns is not None:
        affine = Affine(columns[1], 0.0, columns[0], 0.0, rows[1], rows[0])
    else:
        assert numbers is not None
        affine = Affine.from_gdal(*numbers)
    grid: GeoBox = GeoBox((array.sizes[y], array.sizes[x]), affine, system)
    return grid


def _of_zarr(array: xr.DataArray, y: str, x: str) -> tuple[float, ...] | None:
    """Return GDAL's six numbers of the transform that the spatial convention of Zarr has; None of a part cut out."""
    said = array.attrs.get(f"{SPATIAL}transform")
    shape = array.attrs.get(f"{SPATIAL}shape")
    if (
        not isinstance(said, list | tuple | np.ndarray)
        or len(said) != 6
        or array.attrs.get(f"{SPATIAL}transform_type", "affine") != "affine"
        or (shape is not None and [*shape] != [array.sizes[y], array.sizes[x]])
    ):
        return None
    a, b, c, d, e, f = map(float, said)
    if array.attrs.get(f"{SPATIAL}registration") == "node":  # of centres, and not of corners
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return c, a, b, f, d, e


def _system(array: xr.DataArray, y: str, of: str, crs: Any) -> Any:
    found = system_of(array) if crs is None else crs
    if found is None:
        axis = read_axis(array, y, "y", of=of)
        if axis is not None and axis.degrees:
            return "EPSG:4326"
        raise DataError(f"{of} says no reference system, so that a map of it would lie nowhere: name it, --crs EPSG:…")
    read = parsed_crs(found)
    if read is None:
        raise DataError(
            f"{of} is in {str(found)[:60]!r}, which is no reference system known here: name it, --crs EPSG:…"
        )
    code = read.to_epsg()
    return f"EPSG:{code}" if code is not None else read.to_wkt()


def _alone(array: xr.DataArray, name: str, step: float | None, system: Any) -> tuple[float, float] | None:
    """Return the outer edge of one row or column, whose step a transform says: that of a larger array, cut since."""
    if step is None or name not in array.coords or array[name].dims != (name,) or array[name].size != 1:
        return None
    if array[name].dtype.kind not in "fiu" or counts_pixels(array[name]):
        return None
    place = places_of(array[name])[0] * _factor(array, name, system)
    return (float(place) - step / 2, step) if np.isfinite(place) else None


def _even(array: xr.DataArray, name: str, axis: str, of: str, system: Any) -> tuple[float, float] | None:
    """Return the outer edge and the step of pixels, in the unit of their reference system."""
    positions = positions_of(array, name)
    if positions is None:
        return None
    read = read_axis(array, name, axis, of=of)
    assert read is not None
    if read.degrees and axis == "x":
        positions = np.unwrap(positions, period=TURN)
    step = float(positions[-1] - positions[0]) / (positions.size - 1)
    if np.abs(positions - (positions[0] + step * np.arange(positions.size))).max() > 0.1 * abs(step):
        raise DataError(f"{of}: the pixels along {name!r} are not evenly apart: bring them onto an even grid")
    factor = _factor(array, name, system)  # kilometres of polar grids, angles of geostationary ones
    return (float(positions[0]) - step / 2) * factor, step * factor


def _of_corners(found: tuple[float, float] | None, corner: float, pixel: float) -> tuple[float, float] | None:
    """Take the edge from coordinates that are those of corners, by the transform beside them: stackstac's are."""
    if found is None or abs(found[1] - pixel) > _OFF * abs(pixel):
        return found
    pixels = (found[0] + pixel / 2 - corner) / pixel
    return (found[0] + pixel / 2, found[1]) if abs(pixels - round(pixels)) <= _OFF else found


def _factor(array: xr.DataArray, name: str, system: Any) -> float:
    """Return what makes coordinates of the unit of a reference system of those that are there."""
    unit = said(array[name].attrs.get("units"))
    found = 1.0 if unit is None or counts_pixels(array[name]) else in_unit_of(system, unit)
    if found is None:
        raise DataError(
            f"{array.name or 'the array'}: its coordinates {name!r} are in {unit!r}, and the reference system "
            f"{called(system)} has none such: name the right one, --crs EPSG:…, or correct the unit"
        )
    return found
