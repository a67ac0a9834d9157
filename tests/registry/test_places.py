"""Places of labelled data: read, turned or refused; and those of results, which have their own or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import odc.geo.xr
import pystac
import pytest
import rioxarray
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from onnx import numpy_helper
from tests.registry import statements

import modelstac
from modelstac.catalog.errors import DataError
from modelstac.catalog.items.writing import write_item
from modelstac.registry import Model
from modelstac.registry.describing.describe import describe_file

# rioxarray multiplies transforms in a way that affine is to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

ROWS, COLUMNS, PIXEL = 8, 12, 10.0
CORNER = (500000.0, 5700000.0)
UTM = 32632
VALUES = np.random.default_rng(2).random((1, ROWS, COLUMNS), np.float32)
BOUNDS = (500000.0, 5699920.0, 500120.0, 5700000.0)


def scene(values: np.ndarray = VALUES, pixel: float = PIXEL) -> xr.DataArray:
    """Return pixels as rioxarray reads them from a GeoTIFF in UTM."""
    left, top = CORNER
    _, rows, columns = values.shape
    place = {"y": top - pixel * (np.arange(rows) + 0.5), "x": left + pixel * (np.arange(columns) + 0.5)}
    array = xr.DataArray(values, place, ("band", "y", "x"))
    return array.rio.write_crs(UTM).rio.write_transform(Affine(pixel, 0, left, 0, -pixel, top))


def corner(transform: Affine, right: float, down: float) -> tuple[float, float]:
    a, b, x, d, e, y = transform[:6]
    return a * right + b * down + x, d * right + e * down + y


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


MEAN = np.full((1, 1, 3, 3), 1 / 9, np.float32)
BELOW = np.zeros((1, 1, 3, 3), np.float32)
BELOW[0, 0, 2, 1] = 1
"""Takes the pixel below: another result where rows are turned round."""
NETWORKS: dict[str, tuple[Any, ...]] = {
    "same": ("Conv", ["x", "w"], {"pads": [1, 1, 1, 1]}, BELOW),
    "half": ("AveragePool", ["x"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "quarter rows": ("AveragePool", ["x"], {"kernel_shape": [4, 1], "strides": [4, 1]}),
    "double": ("Resize", ["x", "", "w"], {"mode": "nearest"}, np.array([1, 1, 2, 2], np.float32)),
    "valid": ("Conv", ["x", "w"], {}, MEAN),
    "strided": ("Conv", ["x", "w"], {"strides": [2, 2], "pads": [1, 1, 1, 1]}, MEAN),
    "without the first rows": ("Slice", ["x", "w", "e", "a"], {}, ints(2), ints(2**31), ints(2)),
    "mean of all": ("GlobalAveragePool", ["x"], {}),
}
Make = Callable[..., Model]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a function that publishes a network and loads it with other fields of its item."""
    documents: dict[str, dict[str, Any]] = {}

    def load(name: str, **fields: Any) -> Model:
        if name not in documents:
            operator, given, attributes, *weights = NETWORKS[name]
            path = tmp_path_factory.mktemp("places") / "model.onnx"
            named = [numpy_helper.from_array(array, key) for array, key in zip(weights, "wea", strict=False)]
            shapes = (["n", 1, "h", "w_"], ["n", 1, "h2", "w2"])
            nodes = [(operator, given, ["y"], attributes)]
            statements.graph(path, nodes, [("x", shapes[0])], [("y", shapes[1])], weights=named)
            dims = statements.IMAGE
            said = statements.statement(input_dims=dims, output_dims=dims, bands=("B1",), output_bands=("out",))
            documents[name] = write_item(describe_file(path, said)).to_dict()
        item = pystac.Item.from_dict(documents[name], preserve_dict=True)
        item.properties |= fields
        return modelstac.load(item)

    return load


PLACES = [
    ("same", BOUNDS, (10, 10)),
    ("half", BOUNDS, (20, 20)),
    ("quarter rows", BOUNDS, (10, 40)),
    ("double", BOUNDS, (5, 5)),
    ("strided", BOUNDS, (20, 20)),
    ("valid", (500010.0, 5699930.0, 500110.0, 5699990.0), (10, 10)),
]


@pytest.mark.parametrize(("name", "bounds", "pixel"), PLACES)
def test_a_result_covers_the_area_of_its_input(
    make: Make, tmp_path: Path, name: str, bounds: tuple[float, ...], pixel: tuple[float, float]
) -> None:
    found = make(name).predict(scene())
    found.rio.to_raster(tmp_path / "out.tif")
    found.to_netcdf(tmp_path / "out.nc")
    with rioxarray.open_rasterio(tmp_path / "out.tif") as written:
        assert written.rio.bounds() == bounds
        assert written.rio.crs.to_epsg() == UTM
        assert tuple(map(abs, written.rio.resolution())) == pixel
    with xr.open_dataset(tmp_path / "out.nc", decode_coords="all") as written:
        assert written.rio.bounds() == bounds
        assert written.rio.crs.to_epsg() == UTM


@pytest.mark.parametrize("name", ["same", "half", "double", "valid", "strided"])
@pytest.mark.parametrize("change", ["as it is", "no coordinates", "rotated", "from the south", "a part"])
def test_the_transform_says_the_same_as_the_pixels(make: Make, name: str, change: str) -> None:
    given = {
        "as it is": lambda x: x,
        "no coordinates": lambda x: x.drop_vars(["x", "y"]),
        "rotated": lambda x: x.drop_vars(["x", "y"]).rio.write_transform(Affine(8, 6, CORNER[0], 6, -8, CORNER[1])),
        "from the south": lambda x: x[:, ::-1],  # which keeps the old transform
        "a part": lambda x: x.isel(x=slice(4, 12)),  # and so does this
    }[change](scene())
    found = make(name).predict(given)
    before = given.rio.transform(recalc=True) if "x" in given.coords else given.rio.transform()
    after = Affine.from_gdal(*map(float, found["spatial_ref"].attrs["GeoTransform"].split()))
    rows, columns = given.sizes["y"], given.sizes["x"]
    lost = 1 if name == "valid" else 0  # on each side
    for right, down in ((0, 0), (1, 0), (0, 1)):  # corners
        there = (columns * right + lost * (1 - 2 * right), rows * down + lost * (1 - 2 * down))
        here = (found.sizes["x"] * right, found.sizes["y"] * down)
        np.testing.assert_allclose(corner(after, *here), corner(before, *there))
    if "x" in given.coords:
        np.testing.assert_allclose(found.rio.transform(recalc=True), after)


def test_a_place_that_nobody_knows_is_left_out(make: Make) -> None:
    found = make("without the first rows").predict(scene())
    assert "y" not in found.coords
    assert "GeoTransform" not in found["spatial_ref"].attrs
    np.testing.assert_array_equal(found["x"], scene()["x"])
    found = make("mean of all").predict(scene())
    assert not {"x", "y"} & {str(name) for name in found.coords}
    assert "GeoTransform" not in found["spatial_ref"].attrs
    known = make("half")
    known.description.sizes.clear()  # somebody's item
    found = known.predict(scene())
    assert not {"x", "y"} & {str(name) for name in found.coords}
    assert "GeoTransform" not in found["spatial_ref"].attrs


def test_what_was_said_of_the_grid_of_the_input_is_not_said_of_another(make: Make) -> None:
    given = scene().assign_coords({"proj:shape": "8, 12", "gsd": 10.0, "platform": "sentinel-2a"})
    given["y"].attrs = {"units": "m", "bounds": "y_bounds"}
    found = make("half").predict(given)
    assert "proj:shape" not in found.coords
    assert "gsd" not in found.coords
    assert found["platform"].item() == "sentinel-2a"
    assert found["y"].attrs == {"units": "m"}
    assert make("same").predict(given)["gsd"].item() == 10.0


@pytest.mark.parametrize("name", ["same", "half", "double", "valid", "strided"])
def test_blocks_give_what_the_whole_gives(make: Make, name: str) -> None:
    model = make(name)
    for given in (scene(), scene()[:, ::-1]):
        whole = model.predict(given)
        blocks = model.predict(given.chunk(y=4))
        assert blocks.chunks is not None
        xr.testing.assert_allclose(blocks.compute(), whole)
        assert blocks["spatial_ref"].attrs == whole["spatial_ref"].attrs


def test_rows_from_the_south_and_columns_from_the_east_are_turned(make: Make) -> None:
    model = make("same")
    right = model.predict(scene())
    for turned in (scene()[:, ::-1], scene()[..., ::-1], scene()[:, ::-1, ::-1]):
        found = model.predict(turned)
        xr.testing.assert_equal(found["y"], turned["y"])
        xr.testing.assert_equal(found["x"], turned["x"])
        xr.testing.assert_allclose(found.sortby("y", ascending=False).sortby("x"), right)
    given = scene().drop_vars("spatial_ref").assign_coords(y=50 + 0.1 * np.arange(ROWS)).rename(y="lat")
    np.testing.assert_allclose(model.predict(given)[:, ::-1].values, model.predict(given[:, ::-1]).values)
    south_up = make("same", **{"proj:transform": [10, 0, 0, 0, 10, 0]})  # the item says that it was trained so
    found = south_up.predict(scene()[:, ::-1])
    np.testing.assert_allclose(found.values, model.predict(scene(VALUES[:, ::-1])).values)


@pytest.mark.parametrize("name", ["same", "half", "valid"])
def test_positions_that_count_pixels_are_no_places(make: Make, name: str) -> None:
    """Where a grid is rotated odc-geo counts pixels along its axes, and a part counts those of the whole."""
    grid = GeoBox(
        (ROWS, COLUMNS), Affine.translation(*CORNER) @ Affine.rotation(30) @ Affine.scale(PIXEL, -PIXEL), f"epsg:{UTM}"
    )
    whole = odc.geo.xr.wrap_xr(VALUES[0], grid)
    right = make(name).predict(VALUES[None])[0, 0]
    np.testing.assert_allclose(make(name).predict(whole).values, right, rtol=1e-6)
    np.testing.assert_allclose(make(name).predict(whole[::-1]).values[::-1], right, rtol=1e-6)
    for given in (whole, whole[2:, 2:]):
        here, found = given.odc.geobox, make(name).predict(given).odc.geobox
        expected = {"same": here, "half": here.zoom_out(2), "valid": here.pad(-1)}[name]
        assert found.shape == expected.shape
        np.testing.assert_allclose(tuple(found.affine), tuple(expected.affine))
    with pytest.raises(DataError, match="pixels along 'y' are 10 m and the item says 20 m"):
        make(name, gsd=20).predict(whole)


@pytest.mark.parametrize("names", [("lat", "lon"), ("XLAT", "XLONG")])
def test_places_of_each_pixel_say_which_way_rows_run(make: Make, names: tuple[str, str]) -> None:
    rows, columns = np.meshgrid(50 + 0.1 * np.arange(ROWS), 5 + 0.1 * np.arange(COLUMNS), indexing="ij")
    places = {names[0]: (("y", "x"), rows, {"units": "degrees_north"})}
    places[names[1]] = (("y", "x"), columns + 0.01 * rows, {"units": "degrees_east"})
    given = xr.DataArray(VALUES[:, ::-1], places, ("band", "y", "x"))
    right = make("same").predict(VALUES[None])[0, 0]
    for turned in (given, given[:, ::-1], given[..., ::-1]):
        found = make("same", gsd=10).predict(turned)[0]  # and nothing of sizes
        found = found.sortby(found[names[0]][:, 0], ascending=False).sortby(found[names[1]][0])
        np.testing.assert_allclose(found.values, right, rtol=1e-6)


@pytest.mark.parametrize("first", [0, 0.5, 1])
def test_numbers_of_rows_are_no_places(make: Make, first: float) -> None:
    given = xr.DataArray(VALUES, {"y": first + np.arange(ROWS), "x": first + np.arange(COLUMNS)}, ("band", "y", "x"))
    np.testing.assert_array_equal(make("same").predict(given)[0], make("same").predict(VALUES[None])[0, 0])


def test_over_the_antimeridian_columns_are_in_order(make: Make) -> None:
    longitudes = np.concatenate([np.arange(174.5, 180), np.arange(-179.5, -173)])[:COLUMNS]
    given = xr.DataArray(VALUES, {"lat": 10 - np.arange(ROWS), "lon": longitudes}, ("band", "lat", "lon"))
    found = make("same").predict(given)
    np.testing.assert_array_equal(found.values, make("same").predict(scene()).values)
    np.testing.assert_array_equal(found["lon"], longitudes)
    assert "lon" not in make("half").predict(given).coords


GRIDS = [
    ({"gsd": 20}, "pixels along 'y' are 10 m and the item says 20 m"),
    ({"bands": [{"name": "B1", "gsd": 60}]}, "10 m and the item says 60 m"),
    ({"bands": [{"name": "B1", "raster:spatial_resolution": 10}]}, None),
    ({"gsd": 9.5}, None),
    ({"cube:dimensions": {"y": {"type": "spatial", "axis": "y", "step": 20, "reference_system": UTM}}}, "says 20 m"),
    ({"cube:dimensions": {"y": {"type": "spatial", "axis": "y", "step": -10, "reference_system": UTM}}}, None),
    ({"cube:dimensions": {"y": {"type": "spatial", "axis": "y", "reference_system": 4326}}}, "in a projection"),
    ({"cube:dimensions": {"y": {"type": "spatial", "axis": "y", "step": 0.1, "extent": [50, 51]}}}, "says 0.1°"),
]


@pytest.mark.parametrize(("fields", "text"), GRIDS)
def test_pixels_of_another_size_are_refused(make: Make, fields: dict[str, Any], text: str | None) -> None:
    model = make("same", **fields)
    if text is None:
        model.predict(scene())
        model.predict(scene().drop_vars(["x", "y"]))
        return
    with pytest.raises(DataError, match=text) as raised:
        model.predict(scene())
    assert "\n" not in str(raised.value)


def test_kilometres_and_degrees_are_lengths_too(make: Make) -> None:
    model = make("same", gsd=10)
    kilometres = scene().drop_vars("spatial_ref")
    kilometres = kilometres.assign_coords({d: (d, kilometres[d].values / 1000, {"units": "km"}) for d in "yx"})
    model.predict(kilometres)
    degrees = {"lat": 50 - 9e-5 * np.arange(ROWS), "lon": 5 + 1.4e-4 * np.arange(COLUMNS)}
    model.predict(xr.DataArray(VALUES, degrees, ("band", "lat", "lon")))
    degrees["lat"] = 50 - 18e-5 * np.arange(ROWS)
    with pytest.raises(DataError, match=r"0\.00018° and the item says 10 m"):
        model.predict(xr.DataArray(VALUES, degrees, ("band", "lat", "lon")))


def placed(unit: str, length: float) -> xr.DataArray:
    """Return pixels so far apart in a unit, of which nothing else is known."""
    steps = length * np.arange(COLUMNS)
    return xr.DataArray(
        VALUES, {"y": ("y", -steps[:ROWS], {"units": unit}), "x": ("x", steps, {"units": unit})}, ("band", "y", "x")
    )


@pytest.mark.parametrize(("unit", "metre"), [("ft", 1 / 0.3048), ("cm", 100.0), ("Metre", 1.0), ("dam", 0.1)])
def test_pixels_are_compared_in_the_unit_of_their_coordinates(make: Make, unit: str, metre: float) -> None:
    model = make("same", gsd=10)
    model.predict(placed(unit, PIXEL * metre))
    with pytest.raises(DataError, match="are 20 m and the item says 10 m"):
        model.predict(placed(unit, 2 * PIXEL * metre))


def test_pixels_in_a_unit_that_is_no_length_are_refused_where_the_item_has_one(make: Make) -> None:
    with pytest.raises(DataError, match=r"are 10 rad and the item says 10 m \(gsd\): give coordinates in metres"):
        make("same", gsd=10).predict(placed("rad", PIXEL))
    make("same").predict(placed("rad", PIXEL))


def test_a_transform_among_the_attributes_says_how_large_pixels_are(make: Make) -> None:
    model = make("same", gsd=10)
    for pixel, sign in ((10.0, -1), (10.0, 1), (20.0, -1)):
        written = Affine(pixel, 0, CORNER[0], 0, sign * pixel, CORNER[1])
        array = xr.DataArray(VALUES, dims=("band", "y", "x"), attrs={"transform": written, "crs": f"epsg:{UTM}"})
        if pixel != PIXEL:
            with pytest.raises(DataError, match="are 20 m and the item says 10 m"):
                model.predict(array)
            continue
        given = scene() if sign < 0 else scene(VALUES[:, ::-1])
        found = model.predict(array)
        np.testing.assert_array_equal(found if sign < 0 else found[:, ::-1], model.predict(given))


def test_another_zone_is_noted(make: Make) -> None:
    model = make(
        "same", **{"cube:dimensions": {"y": {"type": "spatial", "axis": "y", "step": 10, "reference_system": 32631}}}
    )
    with pytest.warns(UserWarning, match="the model was made in 'WGS 84 / UTM zone 31N'"):
        model.predict(scene())


@pytest.mark.parametrize(
    ("rows", "text"),
    [([0, 1, 2, 4, 5], "between 10 and 20 apart"), ([0, 2, 1, 3], "in no order"), ([0, 0, 1], "in no order")],
)
def test_rows_that_lack_one_or_have_no_order_are_refused(make: Make, rows: list[int], text: str) -> None:
    with pytest.raises(DataError, match=text):
        make("same").predict(scene().isel(y=rows))


def test_a_dataset_says_where_its_variables_lie(make: Make) -> None:
    dataset = scene().squeeze("band", drop=True).to_dataset(name="B1").reset_coords("spatial_ref")
    dataset["B1"].attrs["grid_mapping"] = "spatial_ref"
    found = make("half").predict(dataset)
    assert found.rio.bounds() == BOUNDS
    assert found.rio.crs.to_epsg() == UTM
    assert found.attrs["grid_mapping"] == "spatial_ref"
