"""Grids of labelled arrays: from their coordinates, or from the transform that a grid mapping holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.grids import (
    counts_pixels,
    geotransform,
    positions_of,
    read_axis,
    system_of,
)
from modelstac.registry.running.labels.systems import parsed_crs

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

_TURN = 360.0


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

    numbers = geotransform(array)
    steps = (None, None) if numbers is None or numbers[2] or numbers[4] else (numbers[5], numbers[1])
    rows, columns = (
        _even(array, name, axis, of) or _alone(array, name, step)
        for name, axis, step in ((y, "y", steps[0]), (x, "x", steps[1]))
    )
    if rows is not None and columns is not None:
        affine = Affine(columns[1], 0.0, columns[0], 0.0, rows[1], rows[0])
    elif numbers is not None:
        affine = Affine.from_gdal(*numbers)
    else:
        raise DataError(
            f"{of} has no coordinates along {y!r} and {x!r} and no transform, so that a map of it would lie nowhere: "
            "give it those of its pixels"
        )
    grid: GeoBox = GeoBox((array.sizes[y], array.sizes[x]), affine, _system(array, y, of, crs))
    return grid


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


def _alone(array: xr.DataArray, name: str, step: float | None) -> tuple[float, float] | None:
    """Return the outer edge of one row or column, whose step a transform says: that of a larger array, cut since."""
    if step is None or name not in array.coords or array[name].dims != (name,) or array[name].size != 1:
        return None
    place = array[name].values[0]
    if array[name].dtype.kind not in "fiu" or counts_pixels(array[name]) or not np.isfinite(place):
        return None
    return float(place) - step / 2, step


def _even(array: xr.DataArray, name: str, axis: str, of: str) -> tuple[float, float] | None:
    """Return the outer edge and the step of pixels, in the unit of their reference system."""
    positions = positions_of(array, name)
    if positions is None:
        return None
    read = read_axis(array, name, axis, of=of)
    assert read is not None
    if read.degrees and axis == "x":
        positions = np.unwrap(positions, period=_TURN)
    step = float(positions[-1] - positions[0]) / (positions.size - 1)
    if np.abs(positions - (positions[0] + step * np.arange(positions.size))).max() > 0.1 * abs(step):
        raise DataError(f"{of}: the pixels along {name!r} are not evenly apart: bring them onto an even grid")
    factor = read.step / float(np.median(np.diff(positions)))  # kilometres of geostationary and polar grids
    return (float(positions[0]) - step / 2) * factor, step * factor
