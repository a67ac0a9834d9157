"""Polygons of class maps: whole over the strips in which they are traced, as GeoParquet, GeoPackage and GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.features import shapes
from shapely.geometry import shape
from tests.registry.scenes.in_memory import CLASSES, UTM, InMemory, class_map, scores

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.rasters import Layer
from modelstac.registry.scenes.writing.polygons import areas
from modelstac.registry.scenes.writing.write import write_vectors

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


def traced(raster: InMemory, rows: int) -> list[tuple[int, str]]:
    found = []
    for part in areas(raster, strip_pixels=rows * raster.layer.grid.shape[1]):
        made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, part.points, (part.rings, part.areas))
        assert shapely.is_valid(made).all()
        found += [(int(value), shapely.normalize(one).wkt) for value, one in zip(part.values, made, strict=True)]
    return sorted(found)


@pytest.mark.parametrize(("size", "classes", "patch"), [((37, 29), 3, 1), ((40, 30), 2, 1), ((20, 30), 4, 3)])
@pytest.mark.parametrize("seed", range(2))
def test_strips_of_any_height_give_the_polygons_of_the_whole(
    size: tuple[int, int], classes: int, patch: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = np.kron(random.integers(0, classes, size), np.ones((patch, patch))).astype("uint8")
    values[random.random(values.shape) < 0.05] = 255
    grid = GeoBox(values.shape, Affine(1, 0, 0, 0, 1, 0), None)
    raster = InMemory(Layer("cover", grid, "uint8", ("cover",), nodata=255), values[None])
    whole = shapes(values, mask=values != 255, connectivity=4)
    expected = sorted((int(value), shapely.normalize(shape(found)).wkt) for found, value in whole)
    for rows in (1, 3, 16, 10**6):
        assert traced(raster, rows) == expected


def test_a_ring_around_a_ring_over_many_strips_keeps_its_holes() -> None:
    values = np.zeros((40, 40), "uint8")
    values[5:35, 5:35] = 1
    values[10:30, 10:30] = 0
    values[15:25, 15:25] = 1
    grid = GeoBox((40, 40), Affine(1, 0, 0, 0, 1, 0), None)
    found = traced(InMemory(Layer("cover", grid, "uint8", ("cover",)), values[None]), 4)
    areas_of = sorted((value, shapely.from_wkt(text).area) for value, text in found)
    assert areas_of == [(0, 400 - 100), (0, 1600 - 900), (1, 100), (1, 900 - 400)]


def test_whole_numbers_of_any_kind_are_classes() -> None:
    for dtype in ("bool", "int8", "uint16", "uint32", "int64"):
        values = np.zeros((1, 6, 7), dtype)
        values[0, 2:4] = 1
        grid = GeoBox((6, 7), UTM.affine, UTM.crs)
        assert len(traced(InMemory(Layer("a", grid, dtype, ("a",)), values), 3)) == 3
    with pytest.raises(DataError, match="polygons hold 32 bits"):
        traced(InMemory(Layer("a", grid, "int64", ("a",)), np.full((1, 6, 7), 2**40)), 3)


@pytest.mark.parametrize("end", ["parquet", "gpkg", "geojson"])
def test_files_are_read_at_their_place_with_names_and_areas(tmp_path: Path, end: str) -> None:
    import geopandas

    target = tmp_path / f"p.{end}"
    written = write_vectors(class_map(), target)
    found = geopandas.read_parquet(target) if end == "parquet" else geopandas.read_file(target)
    assert written.kind == "polygons"
    assert set(found["name"]) == {one.name for one in CLASSES}
    assert dict(zip(found["value"], found["name"], strict=True)) == {one.value: one.name for one in CLASSES}
    assert found.geometry.is_valid.all()
    assert found.crs.to_epsg() == (4326 if end == "geojson" else 32633)
    in_grid = found.to_crs(32633)
    pixels = (class_map().values != 255).sum()
    assert in_grid.area.sum() == pytest.approx(pixels * 100, rel=1e-6)
    west, south, east, north = in_grid.total_bounds
    assert [west, south, east, north] == pytest.approx([500_000, 4_994_000, 507_000, 5_000_000], abs=0.02)
    # On the ellipsoid: the scale of UTM is 0.9996 at its meridian.
    assert found["area"].sum() == pytest.approx(pixels * 100 / 0.9996**2, rel=1e-6)


def test_geoparquet_says_what_its_version_wants(tmp_path: Path) -> None:
    import geopandas
    import pyarrow.parquet as pq

    write_vectors(class_map(), tmp_path / "p.parquet")
    geo: dict[str, Any] = json.loads(pq.read_metadata(tmp_path / "p.parquet").metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    assert pyproj.CRS.from_json_dict(column["crs"]).to_epsg() == 32633
    # The boxes of the rows let a reader skip.
    part = geopandas.read_parquet(tmp_path / "p.parquet", bbox=(500_000, 4_999_000, 504_000, 5_000_000))
    assert 0 < len(part) < len(geopandas.read_parquet(tmp_path / "p.parquet"))


def test_areas_in_degrees_are_those_of_the_ellipsoid(tmp_path: Path) -> None:
    import geopandas

    grid = GeoBox((60, 70), Affine(0.1, 0, 175, 0, -0.1, 62), "EPSG:4326")
    write_vectors(class_map(grid, patch=20), tmp_path / "p.parquet")
    found = geopandas.read_parquet(tmp_path / "p.parquet")
    geod = pyproj.Geod(ellps="WGS84")
    for geometry, area in zip(found.geometry, found["area"], strict=True):
        # Geodesics are not parallels: many points make them so.
        fine = shapely.segmentize(geometry, 0.02)
        assert area == pytest.approx(abs(geod.geometry_area_perimeter(fine)[0]), rel=1e-6)


def test_geojson_over_the_antimeridian_is_cut_there(tmp_path: Path) -> None:
    grid = GeoBox((60, 70), Affine(0.1, 0, 177, 0, -0.1, 62), "EPSG:4326")
    values = np.zeros((1, 60, 70), "uint8")
    write_vectors(InMemory(Layer("cover", grid, "uint8", ("cover",), classes=CLASSES), values), tmp_path / "p.geojson")
    (feature,) = json.loads((tmp_path / "p.geojson").read_text())["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    sides = sorted(shapely.geometry.shape(feature["geometry"]).geoms, key=lambda part: part.bounds[0])
    assert [part.bounds[0] for part in sides] == [-180, 177]
    assert [part.bounds[2] for part in sides] == [-176, 180]


@pytest.mark.parametrize("west", [-181.0, -0.5, 179.0, 359.0, 350.0, 530.0])
def test_geojson_has_longitudes_of_one_turn_whichever_the_map_counts_in(tmp_path: Path, west: float) -> None:
    """GDAL 3.12 alone loses what lies beyond 360 degrees."""
    grid = GeoBox((10, 20), Affine(0.1, 0, west, 0, -0.1, 10), "EPSG:4326")
    values = np.zeros((1, 10, 20), "uint8")
    values[:, 3:6, 5:15] = 1
    write_vectors(InMemory(Layer("cover", grid, "uint8", ("cover",), classes=CLASSES), values), tmp_path / "p.geojson")
    found = json.loads((tmp_path / "p.geojson").read_text())["features"]
    whole = {feature["properties"]["value"]: shapely.geometry.shape(feature["geometry"]) for feature in found}
    for value, pixels in ((0, 170), (1, 30)):
        assert whole[value].is_valid
        np.testing.assert_allclose(whole[value].area, pixels * 0.01)
    for row, column in ((0, 0), (4, 9), (4, 10), (9, 19), (4, 4), (4, 15)):
        place = shapely.Point((west + (column + 0.5) * 0.1 + 180) % 360 - 180, 10 - (row + 0.5) * 0.1)
        assert [value for value, shape in whole.items() if shape.contains(place)] == [values[0, row, column]]


def test_what_has_no_classes_is_refused_in_one_line(tmp_path: Path) -> None:
    for raster, found in ((scores(), "has 9 bands"), (scores(bands=("height",)), "has values of type float32")):
        with pytest.raises(DataError, match=f"layer 'scores' {found}: polygons are made of a map of classes"):
            write_vectors(raster, tmp_path / "p.parquet")
    assert not list(tmp_path.iterdir())


def test_nothing_but_nodata_is_a_file_without_polygons(tmp_path: Path) -> None:
    import geopandas

    raster = class_map()
    empty = InMemory(raster.layer, np.full_like(raster.values, 255))
    for end in ("parquet", "gpkg", "geojson"):
        write_vectors(empty, tmp_path / f"p.{end}")
        read = geopandas.read_parquet if end == "parquet" else geopandas.read_file
        assert len(read(tmp_path / f"p.{end}")) == 0
