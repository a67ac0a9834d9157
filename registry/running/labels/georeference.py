"""Where the pixels of an output lie: on the grid of the input, on another one of the same place, or nobody knows.

An output of another grid lies centred over its input: pooling by two makes pixels twice as large from the same corner,
a convolution without padding loses as much at one end as at the other, which is tried. By how much it is smaller the
item's sizes say, which were measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from modelstac.registry.running.labels.grids import (
    TRANSFORM,
    counts_pixels,
    geotransform,
    grid_mapping,
    positions_of,
)
from modelstac.registry.running.labels.packing import OFFSETS, SCALES

if TYPE_CHECKING:
    from modelstac.registry.running.labels.growth import Growth

STALE = frozenset({"proj:transform", "proj:shape", "proj:bbox", "proj:geometry", "gsd", "raster:spatial_resolution"})
"""Scalar coordinates (stackstac's) that hold for the grid of the input alone."""
_OF_STORED = frozenset({"bounds", *SCALES, *OFFSETS, "_Unsigned", "_FillValue"})
"""What is said of coordinates as they are stored, and of no others."""
_STRAIGHT = 0.1
"""Share of a pixel by which pixels may be off an even grid that coordinates of another are made of."""


def coordinate(array: xr.DataArray, name: str, growth: Growth, length: int) -> xr.Variable | None:
    """Make the coordinates of an output's pixels of those of an input; None where these are uneven, or not known."""
    if name in array.coords and counts_pixels(array[name]):  # of its own pixels, from the corner of its own transform
        return xr.Variable((name,), np.arange(length) + 0.5, array[name].attrs)
    even = _even(positions_of(array, name))
    if even is None:
        return None
    edge, step = even
    centres = edge + step * (growth.begin + growth.pixel * (np.arange(length) + 0.5))
    attrs = {key: value for key, value in array[name].attrs.items() if key not in _OF_STORED}
    return xr.Variable((name,), centres, attrs)


def mapping(
    array: xr.DataArray, image: tuple[str, str], rows: Growth | None, columns: Growth | None
) -> tuple[str, xr.Variable] | None:
    """Give the grid mapping of an output, with a transform of its own or none; None where the input has none.

    Parameters
    ----------
    array
        The input, with rows and columns as they were given.
    image
        Names of its rows and columns.
    rows, columns
        How the output follows from it; None where nobody knows.
    """
    name = grid_mapping(array)
    if name is None:
        return None
    attrs = dict(array[name].attrs)
    if rows is not None and rows.is_same and columns is not None and columns.is_same:
        return name, xr.Variable((), array[name].values, attrs)
    attrs.pop("gcps", None)
    found, (down, right) = geotransform(array), (_first_edge(array, dim) for dim in image)
    written = attrs.pop(TRANSFORM, None)
    if found is not None and rows is not None and columns is not None:
        moved = _moved(found, rows, columns, down, right)
        attrs[TRANSFORM] = " ".join(map(str, moved)) if isinstance(written, str) else list(moved)
    return name, xr.Variable((), array[name].values, attrs)


def _first_edge(array: xr.DataArray, dim: str) -> float:
    """Tell how many pixels lie before the first, where data were cut and count those of the whole."""
    counted = dim in array.coords and counts_pixels(array[dim]) and array[dim].size > 0
    return float(array[dim].values[0]) - 0.5 if counted else 0.0


def _moved(numbers: tuple[float, ...], rows: Growth, columns: Growth, down: float, right: float) -> tuple[float, ...]:
    """Move the corner and stretch the pixels of a transform, which may be rotated or sheared."""
    x, a, b, y, d, e = numbers
    right, down = right + columns.begin, down + rows.begin
    return (
        x + a * right + b * down,
        a * columns.pixel,
        b * rows.pixel,
        y + d * right + e * down,
        d * columns.pixel,
        e * rows.pixel,
    )


def refreshed(result: xr.DataArray, name: str, y: str, x: str) -> xr.DataArray:
    """Take the transform of a grid mapping from the coordinates, where data were cut and have kept an old one."""
    numbers = geotransform(result)
    if numbers is None or numbers[2] or numbers[4]:
        return result
    rows, columns = (_even(positions_of(result, dim)) for dim in (y, x))
    if rows is None or columns is None:
        return result
    moved = (columns[0], columns[1], 0.0, rows[0], 0.0, rows[1])
    if np.allclose(moved, numbers, rtol=0, atol=1e-3 * abs(columns[1])):
        return result
    text = isinstance(result[name].attrs[TRANSFORM], str)
    attrs = result[name].attrs | {TRANSFORM: " ".join(map(str, moved)) if text else list(moved)}
    return result.assign_coords({name: xr.Variable((), result[name].values, attrs)})


def _even(values: np.ndarray[Any, Any] | None) -> tuple[float, float] | None:
    """Return the outer edge and the step of evenly spaced centres."""
    if values is None:
        return None
    step = float(values[-1] - values[0]) / (values.size - 1)
    even = values[0] + step * np.arange(values.size)
    straight = step and np.abs(values - even).max() <= _STRAIGHT * abs(step)
    return (float(values[0]) - step / 2, step) if straight else None
