"""Reference systems that are odd: those that a file has no words for, that lie nowhere, or that see half a globe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import pytest
import rioxarray  # noqa: F401 - the accessor
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from tests.registry.scenes.in_memory import class_map

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.writing.places import footprint
from modelstac.registry.scenes.writing.write import check_places, write

ROTATED = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +to_meter=0.0174532925199433"
SITE = 'ENGCRS["building site",EDATUM["a corner"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
DISK = "+proj=geos +h=35785831 +lon_0={} +sweep=y"


def test_what_geotiff_has_no_words_for_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """GDAL would write the file all the same, and without its reference system."""
    raster = class_map(GeoBox((60, 80), Affine(0.1, 0, -2, 0, -0.1, 3), ROTATED))
    with pytest.raises(DataError, match=r"GeoTIFF has no words for the reference system .*\.nc or \.zarr"):
        check_places([raster.layer], tmp_path / "map.tif")
    assert not list(tmp_path.iterdir())
    write([raster], tmp_path / "map.nc")
    with xr.open_dataset(tmp_path / "map.nc", decode_coords="all") as found:
        read = pyproj.CRS.from_user_input(found.rio.crs.to_wkt())
    longitude, latitude = pyproj.Transformer.from_crs(read, "EPSG:4326", always_xy=True).transform(0.0, 0.0)
    np.testing.assert_allclose((longitude, latitude), (18, 50.75), atol=1e-6)


def test_what_lies_nowhere_on_the_globe_is_refused_before_anything_runs(tmp_path: Path) -> None:
    layer = class_map(GeoBox((60, 80), Affine(10, 0, 0, 0, -10, 600), SITE)).layer
    with pytest.raises(DataError, match="'building site' has no place on the globe"):
        check_places([layer], tmp_path / "map.tif")


@pytest.mark.parametrize(("centre", "west", "east"), [(0, -79, 79), (140, 61, -141)])
def test_a_picture_of_the_whole_disk_has_the_box_of_what_is_seen(centre: int, west: float, east: float) -> None:
    """Its corners lie beside the globe."""
    grid = GeoBox((60, 80), Affine(150_000, 0, -6e6, 0, -200_000, 6e6), DISK.format(centre))
    polygons = footprint(grid)["coordinates"]
    rings = polygons if footprint(grid)["type"] == "Polygon" else [part[0] for part in polygons]
    points = np.concatenate([np.array(ring) for ring in rings])
    assert abs(points[:, 1].min() + 75.5) < 1
    assert abs(points[:, 1].max() - 75.5) < 1
    known = {round(float(x)) for x in points[:, 0]}
    assert {west, east} <= known


def test_a_grid_beside_the_globe_is_refused() -> None:
    grid = GeoBox((60, 80), Affine(1500, 0, -9e6, 0, -2000, 9e6), DISK.format(0))
    with pytest.raises(DataError, match="has no degrees"):
        footprint(grid)
