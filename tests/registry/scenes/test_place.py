"""What is written lies where it did: rasterio, GDAL's own programs and rioxarray are asked, each for itself.

GDAL's programs are of Debian 12 (3.6), years older than the GDAL inside rasterio that wrote the files.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from tests.needs import left_out
from tests.registry.scenes.in_memory import InMemory

from modelstac.catalog.items.geometry import bounding_box, check_geometry
from modelstac.registry.scenes.rasters import Layer
from modelstac.registry.scenes.writing.places import footprint, metres_across
from modelstac.registry.scenes.writing.write import write

# rioxarray multiplies transforms as affine 2 has it.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


@pytest.fixture(autouse=True, scope="module")
def _gdal() -> None:
    if shutil.which("gdalinfo") is None:
        left_out("GDAL's programs", "apt-get install gdal-bin")


# 30 degrees about the corner, pixels of 10 m.
TURNED = Affine(8.660254037844387, 5.0, 500_000, 5.0, -8.660254037844387, 5_000_000)
GRIDS = {
    "utm": GeoBox((40, 60), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633"),
    "utm-south-up": GeoBox((40, 60), Affine(10, 0, 500_000, 0, 10, 5_000_000), "EPSG:32633"),
    "utm-turned": GeoBox((40, 60), TURNED, "EPSG:32633"),
    "degrees": GeoBox((40, 60), Affine(0.25, 0, -10.125, 0, -0.5, 60.0625), "EPSG:4326"),
    "degrees-south-up": GeoBox((40, 60), Affine(0.25, 0, -10.125, 0, 0.5, 40), "EPSG:4326"),
    "antimeridian": GeoBox((40, 60), Affine(0.25, 0, 172.5, 0, -0.25, 70), "EPSG:4326"),
    "antimeridian-utm": GeoBox((40, 60), Affine(5000, 0, 550_000, 0, -5000, 7_000_000), "EPSG:32660"),
    "south-pole": GeoBox((40, 60), Affine(50_000, 0, -1_500_000, 0, -50_000, 1_000_000), "EPSG:3031"),
    "arctic": GeoBox((40, 60), Affine(1000, 0, 300_000, 0, -1000, -1_200_000), "EPSG:3995"),
    "no-number": GeoBox((40, 60), Affine(500, 0, -1e4, 0, -500, 2e4), "+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80"),
}
PIXELS = ((0, 0), (0, 59), (39, 0), (39, 59), (17, 23))


def marked(grid: GeoBox) -> InMemory:
    """Make a map in which every pixel says which it is."""
    values = np.arange(40 * 60, dtype="int32").reshape(1, 40, 60)
    return InMemory(Layer("number", grid, "int32", ("number",), nodata=-1), values)


def centre(grid: GeoBox, row: int, column: int) -> tuple[float, float]:
    a, b, c, d, e, f = grid.affine[:6]
    return a * (column + 0.5) + b * (row + 0.5) + c, d * (column + 0.5) + e * (row + 0.5) + f


def run(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module", params=GRIDS)
def grid(request: pytest.FixtureRequest) -> GeoBox:
    return GRIDS[request.param]


@pytest.fixture(scope="module")
def here(grid: GeoBox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    for name in ("map.tif", "map.nc", "map.zarr"):
        write([marked(grid)], folder / name, item=False)
    return folder


def test_rasterio_finds_every_pixel_by_its_place(grid: GeoBox, here: Path) -> None:
    with rasterio.open(here / "map.tif") as file:
        assert file.transform.almost_equals(grid.affine, precision=1e-9)
        assert file.crs == rasterio.crs.CRS.from_wkt(grid.crs.to_wkt())
        found = [value[0] for value in file.sample([centre(grid, *pixel) for pixel in PIXELS])]
    assert found == [60 * row + column for row, column in PIXELS]


@pytest.mark.parametrize("name", ["map.tif", "map.nc"])
def test_programs_of_gdal_find_every_pixel_by_its_place(grid: GeoBox, here: Path, name: str) -> None:
    places = "".join(f"{x!r} {y!r}\n" for x, y in (centre(grid, *pixel) for pixel in PIXELS))
    found = run("gdallocationinfo", "-valonly", "-geoloc", str(here / name), given=places)
    assert [int(line) for line in found.split()] == [60 * row + column for row, column in PIXELS]
    told: dict[str, Any] = json.loads(run("gdalinfo", "-json", str(here / name)))
    assert told["size"] == [60, 40]
    known = rasterio.crs.CRS.from_wkt(told["coordinateSystem"]["wkt"])
    assert known == rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()) or known.to_epsg() == grid.crs.epsg


def test_gdaltransform_puts_the_half_pixel_into_degrees(grid: GeoBox, here: Path) -> None:
    found = run("gdaltransform", "-t_srs", "EPSG:4326", str(here / "map.tif"), given="23.5 17.5\n").split()
    x, y = centre(grid, 17, 23)
    longitude, latitude = Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True).transform(x, y)
    # EPSG:4326 has latitude first; GDAL's programs do not.
    assert (float(found[0]) - longitude + 180) % 360 - 180 == pytest.approx(0, abs=1e-7)
    assert float(found[1]) == pytest.approx(latitude, abs=1e-7)


@pytest.mark.parametrize("name", ["map.tif", "map.nc", "map.zarr"])
def test_rioxarray_finds_the_same_grid(grid: GeoBox, here: Path, name: str) -> None:
    import rioxarray
    import xarray as xr

    if name == "map.tif":
        array = rioxarray.open_rasterio(here / name).squeeze("band", drop=True)
    else:
        array = xr.open_dataset(here / name, decode_coords="all", mask_and_scale=False, engine=None)["number"]
    assert array.rio.transform().almost_equals(grid.affine, precision=1e-6)
    assert array.rio.crs.to_epsg() == grid.crs.epsg
    assert array.rio.nodata == -1
    assert np.array_equal(array.values, marked(grid).values[0])
    array.close()


def test_an_outline_holds_every_pixel_and_its_box_is_of_degrees(grid: GeoBox) -> None:
    from shapely.geometry import Point, shape

    found = footprint(grid)
    check_geometry(found)
    outline = shape(found)
    assert outline.is_valid
    to_degrees = Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True)
    for pixel in PIXELS:
        longitude, latitude = to_degrees.transform(*centre(grid, *pixel))
        assert outline.contains(Point((longitude + 180) % 360 - 180, latitude))
    assert outline.area < 360 * 60  # and not the other side of the globe


def test_boxes_over_the_antimeridian_and_around_the_pole() -> None:
    assert bounding_box(footprint(GRIDS["antimeridian"])) == (172.5, 60.0, -172.5, 70.0)
    west, _, east, _ = bounding_box(footprint(GRIDS["antimeridian-utm"]))
    assert 170 < west < 180
    assert -180 < east < -170
    assert bounding_box(footprint(GRIDS["south-pole"]))[:3] == (-180, -90, 180)
    globe = GeoBox((180, 360), Affine(1, 0, 0, 0, -1, 90), "EPSG:4326")
    assert bounding_box(footprint(globe)) == (-180, -90, 180, 90)
    beyond = GeoBox((10, 20), Affine(1, 0, 180, 0, -1, 10), "EPSG:4326")
    assert bounding_box(footprint(beyond)) == (-180, 0, -160, 10)
    before = GeoBox((10, 20), Affine(1, 0, 160, 0, -1, 10), "EPSG:4326")
    assert bounding_box(footprint(before)) == (160, 0, 180, 10)


def test_pixels_are_as_wide_as_on_the_ellipsoid() -> None:
    # A degree of longitude at 60 degrees is 55,800 m (Snyder 1987, table of the WGS 84 ellipsoid: 55.80 km).
    narrow = GeoBox((2, 4), Affine(1, 0, 10, 0, -1, 61), "EPSG:4326")
    assert metres_across(narrow) == pytest.approx(4 * 55_800, rel=1e-3)
    assert metres_across(GRIDS["utm"]) == pytest.approx(600 / 0.9996, rel=1e-5)
    web = GeoBox((10, 10), Affine(100, 0, 0, 0, -100, 8_399_738 + 500), "EPSG:3857")
    assert metres_across(web) == pytest.approx(1000 / 2, rel=5e-3)  # 60 degrees north
