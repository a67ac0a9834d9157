"""Outlines of radar grids anywhere: over the antimeridian, over a pole, and where neither is."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import xarray as xr
from shapely.geometry import Point, shape

from modelstac.training.data import footprint


def grid(
    proj: str, *, west: float, north: float, rows: int, columns: int, pixel: float, up: bool = False
) -> xr.Dataset:
    y = north - pixel * (np.arange(rows) + 0.5)
    x = west + pixel * (np.arange(columns) + 0.5)
    crs = xr.DataArray(0, attrs={"proj4": proj})
    return xr.Dataset({"crs": crs}, coords={"x": x, "y": y[::-1] if up else y})


def area(proj: str, polygon: dict[str, object]) -> float:
    """Return the area on the ellipsoid, in square metres."""
    return abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape(polygon))[0])


FIJI = "+proj=laea +lat_0=-17.7 +lon_0=179 +ellps=WGS84 +units=m"
ARCTIC = "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +ellps=WGS84 +units=m"
ANTARCTIC = "+proj=stere +lat_0=-90 +lat_ts=-71 +lon_0=0 +ellps=WGS84 +units=m"


@pytest.mark.parametrize("up", [False, True])
def test_a_grid_over_the_antimeridian(up: bool) -> None:
    ds = grid(FIJI, west=-150_000, north=100_000, rows=100, columns=200, pixel=2000, up=up)
    polygon, (west, south, east, north) = footprint(ds)
    assert polygon["type"] == "MultiPolygon"
    assert 177 < west < 178
    assert -179 < east < -178
    assert -19 < south < -18
    assert -17 < north < -16
    found = shape(polygon)
    assert found.is_valid
    assert found.contains(Point(178.44, -18.14)), "Suva"
    assert not found.intersects(Point(0, -17.7))
    # A projection of equal areas.
    assert area(FIJI, polygon) == pytest.approx(200e3 * 400e3, rel=1e-2)


@pytest.mark.parametrize(("proj", "pole"), [(ARCTIC, 90), (ANTARCTIC, -90)])
@pytest.mark.parametrize("west", [-1_000_000, -1_990_000])
def test_a_grid_over_a_pole(proj: str, pole: int, west: float) -> None:
    ds = grid(proj, west=west, north=1_000_000, rows=200, columns=200, pixel=10_000)
    polygon, bbox = footprint(ds)
    found = shape(polygon)
    assert found.is_valid
    assert (bbox[0], bbox[2]) == (-180, 180)
    assert pole in (bbox[1], bbox[3])
    to = pyproj.Transformer.from_crs(pyproj.CRS(proj), "EPSG:4326", always_xy=True)
    half = 1_000_000 - 20_000
    inside = [(x + west + 1_000_000, y) for x in (-half, 1, half) for y in (-half, 1, half)]
    for x, y in inside:
        assert found.covers(Point(*to.transform(x, y))), (x, y)
    outside = [(x + west + 1_000_000, y) for x, y in ((0, 1.1e6), (1.1e6, 0), (0, -1.1e6), (-1.1e6, 0))]
    for x, y in outside:
        assert not found.covers(Point(*to.transform(x, y))), (x, y)


def test_a_grid_beside_the_pole_is_no_cap() -> None:
    ds = grid(ARCTIC, west=50_000, north=-50_000, rows=100, columns=100, pixel=10_000)
    polygon, (west, south, east, north) = footprint(ds)
    assert polygon["type"] == "Polygon"
    assert -45 < west < east < 45
    assert 75 < south < north < 90
