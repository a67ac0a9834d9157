"""Where a grid lies: for GDAL, and on the globe as STAC wants it; and how many metres its pixels are wide."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.geometry import box_geometry, outline
from modelstac.registry.running.labels.systems import called, has_meridians

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

_MOST_POINTS = 8192
_LATTICE = 129
"""Points a side of a grid that are looked at where its edges lie nowhere."""
_LARGEST_STEP = 90
"""Degrees of longitude between neighbouring points of an outline, at most: the way round must be told."""


def crs_of(grid: GeoBox) -> Any:
    """Return the reference system of a grid as pyproj has it.

    Raises
    ------
    DataError
        If it has none.
    """
    import pyproj

    if grid.crs is None:
        raise DataError("the grid has no reference system: a map without one has no place on the globe")
    return pyproj.CRS.from_user_input(grid.crs.epsg or grid.crs.to_wkt())


def is_straight(grid: GeoBox) -> bool:
    """Tell whether rows and columns run along the axes of the reference system, whichever way."""
    return bool(grid.affine.b == 0 and grid.affine.d == 0)


def moved(affine: Any, columns: Any, rows: Any) -> tuple[Any, Any]:
    """Return where columns and rows lie, by a transform; written out, as what stands for it changes in affine 3."""
    a, b, c, d, e, f = affine[:6]
    return a * columns + b * rows + c, d * columns + e * rows + f


def footprint(grid: GeoBox) -> dict[str, Any]:
    """Return the outline of a grid as GeoJSON in degrees of WGS 84, cut at the antimeridian (RFC 7946).

    Sides that are curves in degrees have eight points, or as many as are needed near a pole.
    """
    crs = crs_of(grid)
    to_degrees = _to_degrees(crs)
    height, width = grid.shape
    if has_meridians(crs) and is_straight(grid):
        return _box_of_degrees(grid, to_degrees)
    points = 8
    while True:
        columns, rows = _around(width, height, points)
        x, y = moved(grid.affine, columns, rows)
        longitude, latitude = (np.asarray(values) for values in to_degrees.transform(x, y))
        if not (np.isfinite(longitude).all() and np.isfinite(latitude).all()):
            return _box_of_seen(grid, crs, to_degrees)
        steps = np.abs((np.diff(longitude, append=longitude[0]) + 180) % 360 - 180)
        if steps.max() <= _LARGEST_STEP or points >= _MOST_POINTS:
            break
        points *= 4
    ring = [[round(float(lon), 7), round(float(lat), 7)] for lon, lat in zip(_turned(longitude), latitude, strict=True)]
    ring.append(ring[0])
    if sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring)) < 0:
        ring.reverse()
    return outline(ring, _pole_within(grid, to_degrees))


def _to_degrees(crs: Any) -> Any:
    """Give what brings places of a reference system to degrees.

    Raises
    ------
    DataError
        If nothing does, as of one of a building site.
    """
    import pyproj

    try:
        return pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise DataError(
            f"the reference system {crs.name!r} has no place on the globe, so that a map in it would have none: name "
            "the right one, --crs EPSG:…"
        ) from error


def _box_of_seen(grid: GeoBox, crs: Any, to_degrees: Any) -> dict[str, Any]:
    """Return the box of what of a grid lies on the globe: corners of a picture of the whole disk do not."""
    height, width = grid.shape
    columns, rows = np.meshgrid(np.linspace(0, width, _LATTICE), np.linspace(0, height, _LATTICE))
    longitude, latitude = (np.asarray(one) for one in to_degrees.transform(*moved(grid.affine, columns, rows)))
    known = np.isfinite(longitude) & np.isfinite(latitude)
    if not known.any():
        raise DataError(f"the grid lies where {called(crs)} has no degrees: name its reference system, --crs EPSG:…")
    east_of = np.sort(np.unique(np.round((longitude[known] + 180) % 360 - 180, 7)))
    gaps = np.diff(east_of, append=east_of[0] + 360)
    widest = int(np.argmax(gaps))  # what lies in none of the others is the box
    west, east = float(east_of[(widest + 1) % east_of.size]), float(east_of[widest])
    south, north = float(latitude[known].min()), float(latitude[known].max())
    pole = _pole_within(grid, to_degrees)
    if pole is not None:
        west, east, south, north = -180.0, 180.0, min(south, pole), max(north, pole)
    return box_geometry([round(number, 7) for number in (west, south, east, north)])


def _turned(longitude: Any) -> Any:
    return np.where(np.abs(longitude) <= 180, longitude, (longitude + 180) % 360 - 180)


def _box_of_degrees(grid: GeoBox, to_degrees: Any) -> dict[str, Any]:
    """Return the box of rows along parallels, whichever range of longitudes the grid counts in."""
    x, y = moved(grid.affine, np.array([0.0, grid.shape[1]]), np.array([0.0, grid.shape[0]]))
    longitude, latitude = to_degrees.transform(x, y)
    (west, east), (south, north) = sorted(longitude), sorted(latitude)
    south, north = max(south, -90.0), min(north, 90.0)
    if east - west >= 360 - 1e-9:
        return box_geometry([-180.0, south, 180.0, north])
    if west < -180 or east > 180:
        west, east = ((west + 180) % 360 - 180, (east + 180) % 360 - 180 or 180.0)
        east = 180.0 if east == -180 else east
    return box_geometry([round(float(value), 9) for value in (west, south, east, north)])


def _around(width: int, height: int, points: int) -> tuple[Any, Any]:
    """Return columns and rows of points along the sides of a grid, each corner once."""
    corners = [(0, height), (width, height), (width, 0), (0, 0)]
    ways = np.linspace(0, 1, points, endpoint=False)[:, None]
    sides = [
        np.add(start, np.subtract(end, start) * ways)
        for start, end in zip(corners, (*corners[1:], corners[0]), strict=True)
    ]
    columns, rows = np.concatenate(sides).T
    return columns, rows


def _pole_within(grid: GeoBox, to_degrees: Any) -> float | None:
    for pole in (90.0, -90.0):
        x, y = to_degrees.transform(0.0, pole, direction="INVERSE")
        if not np.isfinite([x, y]).all():
            continue
        column, row = moved(~grid.affine, x, y)
        if 0 <= column <= grid.shape[1] and 0 <= row <= grid.shape[0]:
            return pole
    return None


def metres_across(grid: GeoBox) -> float:
    """Return how many metres a row in the middle of a grid is long, on the ellipsoid."""
    import pyproj

    to_degrees = _to_degrees(crs_of(grid))
    columns = np.linspace(0, grid.shape[1], 65)
    x, y = moved(grid.affine, columns, np.full_like(columns, grid.shape[0] / 2))
    longitude, latitude = to_degrees.transform(x, y)
    return float(pyproj.Geod(ellps="WGS84").line_length(longitude, latitude))


def pixel_length(grid: GeoBox) -> float:
    """Return how far pixels in the middle of a grid are apart on the ellipsoid, in metres; NaN where that is off it."""
    import pyproj

    column, row = grid.shape[1] / 2, grid.shape[0] / 2
    x, y = moved(grid.affine, np.array([column, column + 1, column]), np.array([row, row, row + 1]))
    places = np.transpose(_to_degrees(crs_of(grid)).transform(x, y))
    if not np.isfinite(places).all():
        return float("nan")
    geod = pyproj.Geod(ellps="WGS84")
    return max(float(geod.inv(*places[0], *other)[2]) for other in places[1:])
