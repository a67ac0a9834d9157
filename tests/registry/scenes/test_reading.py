"""A scene is read the same from whatever form it comes in: files, arrays, NetCDF, Zarr."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from tests.registry.scenes.reading_models import CORNER, UTM, model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.finding.files import FilePart
from modelstac.registry.scenes.reading.finding.handles import Handles
from modelstac.registry.scenes.reading.opening import open_source

NAMES = ["B02", "B03", "B04"]
VALUES = np.random.default_rng(0).integers(1, 10_000, (3, 40, 50)).astype(np.uint16)
MODEL = model(tensor(["B04", "B02"]))
WANTED = VALUES[[2, 0]]


def cube(**attrs: Any) -> xr.DataArray:
    """Return the same as an array."""
    grid = GeoBox((40, 50), CORNER, UTM)
    return xr.DataArray(VALUES, {"band": NAMES, **xr_coords(grid)}, ("band", "y", "x"), attrs=attrs)


def forms(folder: Path) -> dict[str, Any]:
    """Write the scene in all forms."""
    stack = tif(folder / "stack.tif", VALUES, names=NAMES, nodata=0)
    files = [tif(folder / f"S2_{name}.tif", VALUES[n], nodata=0) for n, name in enumerate(NAMES)]
    vrt = folder / "stack.vrt"
    from rasterio.shutil import copy

    copy(stack, vrt, driver="VRT")
    dataset = cube(_FillValue=np.uint16(0)).to_dataset("band")
    for variable in dataset.data_vars.values():
        variable.attrs["_FillValue"] = np.uint16(0)
    dataset.to_netcdf(folder / "scene.nc")
    dataset.to_zarr(folder / "scene.zarr", zarr_format=3, consolidated=False)
    return {
        "a stack": stack,
        "a path as text": str(stack),
        "band files": files,
        "a VRT": vrt,
        "an array": cube(_FillValue=0),
        "a Dask array": cube(nodata=0).chunk({"band": 1, "y": 16}),
        "a dataset": dataset,
        "NetCDF": folder / "scene.nc",
        "Zarr": folder / "scene.zarr",
    }


@pytest.mark.parametrize("form", [
    "a stack", "a path as text", "band files", "a VRT", "an array", "a Dask array", "a dataset", "NetCDF", "Zarr"
])  # fmt: skip
def test_a_scene_in_any_form(tmp_path: Path, form: str) -> None:
    source = open_source(forms(tmp_path)[form], MODEL)
    assert source.grids["image"] == GeoBox((40, 50), CORNER, UTM)
    block = whole(source)
    np.testing.assert_array_equal(block.values, WANTED)
    assert block.missing is None
    assert not source.notes
    part = source.read("image", (slice(3, 9), slice(11, 30))).values
    np.testing.assert_array_equal(part, WANTED[:, 3:9, 11:30])


@pytest.mark.parametrize(
    ("names", "bands", "places"),
    [
        (["blue", "green", "red"], None, [2, 0]),
        (["B2", "b3", "B4"], None, [2, 0]),
        (["x", "y", "z"], ["z", "x"], [2, 0]),
        (["x", "y", "z"], "3,1", [2, 0]),
        (["x", "y", "z"], {"B04": "y", "B02": 1}, [1, 0]),
        (["x", "y", "z"], {"image": [2, 1]}, [1, 0]),
        (None, "B02,B03,B04", [2, 0]),
        (None, [3, 1], [2, 0]),
    ],
)
def test_bands_by_name_or_as_the_user_says(tmp_path: Path, names: Any, bands: Any, places: list[int]) -> None:
    path = tif(tmp_path / "a.tif", VALUES, names=names)
    sensor = model(tensor(["B04", "B02"]), constellation="sentinel-2")
    np.testing.assert_array_equal(whole(open_source(path, sensor, bands=bands)).values, VALUES[places])


def test_bands_without_names_are_taken_in_order_where_they_are_as_many(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES[:2])
    source = open_source(path, MODEL)
    np.testing.assert_array_equal(whole(source).values, VALUES[:2])
    assert source.notes == (f"{path}: its 2 bands have no names and are taken in the order of the model, B04, B02",)
    with pytest.raises(DataError, match="has 3 without names: say which are meant by their numbers, --bands 1,2,…"):
        open_source(tif(tmp_path / "b.tif", VALUES), MODEL)


def test_colours_say_which_bands_are_meant(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", np.stack([*VALUES, VALUES[0] * 0]).astype(np.uint8), photometric="RGB", alpha="yes")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        file.write(np.where(np.arange(2000).reshape(40, 50) < 500, 0, 255).astype(np.uint8), 4)
    source = open_source(path, model(tensor(["blue", "red"])))
    block = whole(source)
    assert block.missing is not None
    np.testing.assert_array_equal(block.missing[0], np.arange(2000).reshape(40, 50) < 500)
    np.testing.assert_array_equal(block.values[~block.missing], VALUES[[2, 0]].astype(np.uint8)[~block.missing])


def test_alpha_of_many_bands_is_a_mask(tmp_path: Path) -> None:
    """GDAL takes it as one of pictures of one and three bands only."""
    hole = np.arange(2000).reshape(40, 50) < 500
    bands = np.stack([*VALUES, VALUES[0], np.where(hole, 0, 255)]).astype(np.uint16)
    path = tif(tmp_path / "a.tif", bands, names=[*NAMES, "NIR", ""], nodata=7)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp.gray, *[ColorInterp.undefined] * (len(bands) - 2), ColorInterp.alpha]
    block = whole(open_source(path, MODEL))
    assert block.missing is not None
    np.testing.assert_array_equal(block.missing, hole | (bands[[2, 0]] == 7))


@pytest.mark.parametrize("how", ["file", "item", "number"])
def test_near_infrared_that_gdal_calls_alpha_is_a_band(tmp_path: Path, how: str) -> None:
    """So it calls the fourth of four bands of 8 bits, if whoever writes them says nothing, as of NAIP."""
    names = ["red", "green", "blue", "nir"]
    bands = np.random.default_rng(5).integers(0, 4, (4, 40, 50)).astype(np.uint8)
    path = tif(tmp_path / "a.tif", bands, names=names if how == "file" else None)
    with rasterio.open(path) as file:
        assert file.colorinterp[3] == ColorInterp.alpha
    source: Any = path
    if how == "item":
        listed = [{"name": name} for name in names]
        source = scene_item(tmp_path, {"image": {"href": str(path), "eo:bands": listed}})
    if how == "number":
        with pytest.raises(DataError, match="its band 4 is marked as alpha: give its number there, if it is a band"):
            open_source(path, model(tensor(names)))
    said = [1, 2, 3, 4] if how == "number" else None
    block = whole(open_source(source, model(tensor(names)), bands=said))
    np.testing.assert_array_equal(block.values, bands)
    assert block.missing is None
    if how != "number":
        assert whole(open_source(source, model(tensor(["red"])))).missing is None


@pytest.mark.parametrize("how", ["nodata", "mask", "NaN", "item", "user", "per band"])
def test_what_is_missing_is_read_with_the_data(tmp_path: Path, how: str) -> None:
    values = VALUES.astype(np.float32 if how == "NaN" else np.uint16)
    hole = np.zeros(values.shape[1:], bool)
    hole[4:9, 20:31] = True
    values[:, hole] = np.nan if how == "NaN" else 0
    wanted, options, reads = np.broadcast_to(hole, (2, *hole.shape)).copy(), {}, MODEL
    if how == "item":
        reads = model(tensor(["B04", "B02"]), bands=[{"name": "B04", "nodata": 0}, {"name": "B02", "nodata": 0}])
    source: Any = tif(
        tmp_path / "a.tif", values, names=NAMES,
        nodata=0 if how == "nodata" else None, mask=~hole if how == "mask" else None,
    )  # fmt: skip
    if how == "user":
        options = {"nodata": 0}
    if how == "per band":
        source = [tif(tmp_path / "B04.tif", values[2], nodata=0), tif(tmp_path / "B02.tif", values[0], nodata=9)]
        wanted[1] = values[0] == 9
    block = whole(open_source(source, reads, fill=5, **options))
    assert block.missing is not None
    np.testing.assert_array_equal(block.missing, wanted)
    assert (block.values[wanted] == 5).all()
    np.testing.assert_array_equal(block.values[~wanted], values[[2, 0]][~wanted])


def test_layouts_of_models(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES, names=NAMES)
    last = model(tensor(["B04", "B02"], order=("batch", "height", "width", "bands")))
    np.testing.assert_array_equal(whole(open_source(path, last)).values, np.moveaxis(WANTED, 0, -1))
    pixel = model(tensor(["B04", "B02"], (-1, 2), ("batch", "bands")))
    np.testing.assert_array_equal(whole(open_source(path, pixel)).values, WANTED)
    grey = model(tensor([], (-1, -1, -1), ("batch", "height", "width")))
    np.testing.assert_array_equal(whole(open_source(path, grey, bands="B03")).values, VALUES[1])
    unnamed = model(tensor([], (-1, 3, -1, -1), ("batch", "channel", "height", "width")))
    np.testing.assert_array_equal(whole(open_source(path, unnamed)).values, VALUES)
    frame = model(tensor(["B04"], (-1, 1, 1, -1, -1), ("batch", "time", "bands", "height", "width")))
    np.testing.assert_array_equal(whole(open_source(path, frame)).values, VALUES[2][None, None])


def test_whole_numbers_stay_whole_for_a_model_of_such(tmp_path: Path) -> None:
    fine = tif(tmp_path / "B04.tif", VALUES[0])
    coarse = tif(tmp_path / "B02.tif", VALUES[1, :20, :25], transform=CORNER @ Affine.scale(2))
    block = whole(open_source([fine, coarse], model(tensor(["B04", "B02"], dtype="uint16"))))
    assert block.values.dtype == np.uint16
    np.testing.assert_array_equal(block.values[0], VALUES[0])


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_files_of_several_dates_are_frames_in_order(tmp_path: Path, order: list[int]) -> None:
    days = ["20230601", "20230611", "20230701"]
    files = [tif(tmp_path / f"ndvi_{day}.tif", VALUES[n], names=["ndvi"]) for n, day in enumerate(days)]
    frames = model(tensor(["ndvi"], (-1, 3, 1, -1, -1), ("batch", "time", "bands", "height", "width")))
    source = open_source([files[n] for n in order], frames)
    np.testing.assert_array_equal(whole(source).values[:, 0], VALUES)
    series = model(tensor(["ndvi"], (-1, 3, 1), ("batch", "time", "bands")))
    np.testing.assert_array_equal(whole(open_source([files[n] for n in order], series)).values[:, 0], VALUES)
    with pytest.raises(DataError, match=r"reads 3 times; found 2 \(2023-06-01T00:00, 2023-06-11T00:00\): name as many"):
        open_source(files[:2], frames)
    with pytest.raises(
        DataError, match=r"has no time, and the scene has 3: 2023-06-01.*: name one of them, --datetime, or give each"
    ):
        open_source(files, model(tensor(["ndvi"])))


def test_times_of_an_array_are_frames(tmp_path: Path) -> None:
    times = np.array(["2023-06-11", "2023-06-01", "2023-07-01"], "datetime64[ns]")
    grid = xr_coords(GeoBox((40, 50), CORNER, UTM))
    array = xr.DataArray(VALUES, {"time": times, **grid}, ("time", "y", "x"), name="ndvi")
    series = model(tensor(["ndvi"], (-1, 3, 1), ("batch", "time", "bands")))
    np.testing.assert_array_equal(whole(open_source(array, series)).values[:, 0], VALUES[[1, 0, 2]])
    array.to_dataset().to_netcdf(tmp_path / "a.nc")
    np.testing.assert_array_equal(whole(open_source(tmp_path / "a.nc", series)).values[:, 0], VALUES[[1, 0, 2]])
    with pytest.raises(DataError, match="has no time, and the scene has 3"):
        open_source(array, model(tensor(["ndvi"])))


def test_two_dates_by_the_names_of_the_inputs(tmp_path: Path) -> None:
    change = model(tensor(["B04", "B02"], name="before"), tensor(["B04", "B02"], name="after"))
    before, after = (tif(tmp_path / f"{n}.tif", VALUES + n, names=NAMES) for n in (0, 1))
    source = open_source({"before": before, "after": [after]}, change)
    np.testing.assert_array_equal(whole(source, "before").values, WANTED)
    np.testing.assert_array_equal(whole(source, "after").values, WANTED + 1)
    assert source.grids["before"] == source.grids["after"]
    assert len(source.origins) == 2
    with pytest.raises(DataError, match="'before' and 'after' would read the same bands: give each by its name"):
        open_source(before, change)
    with pytest.raises(DataError, match=r"needs the input after; found before: give before, after by name"):
        open_source({"before": before}, change)


def test_variables_that_are_called_as_the_inputs(tmp_path: Path) -> None:
    change = model(tensor(["B04", "B02"], name="before"), tensor(["B04", "B02"], name="after"))
    dataset = xr.Dataset({"before": cube(), "after": cube() + np.uint16(1)}).reset_coords("spatial_ref")
    for variable in ("before", "after"):
        dataset[variable].attrs["grid_mapping"] = "spatial_ref"
    source = open_source(dataset, change)
    np.testing.assert_array_equal(whole(source, "before").values, WANTED)
    np.testing.assert_array_equal(whole(source, "after").values, WANTED + 1)
    assert source.grids["after"] == GeoBox((40, 50), CORNER, UTM)
    assert source.identity != open_source(dataset + np.uint16(1), change, crs=UTM).identity


def test_a_second_sensor_on_the_pixels_that_its_input_has(tmp_path: Path) -> None:
    both = model(
        tensor(["B04"], (-1, 1, 64, 64), name="optical"), tensor(["vv"], (-1, 1, 32, 32), name="radar")
    )  # fmt: skip
    optical = tif(tmp_path / "B04.tif", VALUES[0, :39])
    radar = tif(tmp_path / "vv.tif", VALUES[1, :20, :25].astype(np.float32), transform=CORNER @ Affine.scale(2))
    source = open_source([optical, radar], both)
    assert source.grids["optical"].shape == (40, 50)  # a row that is missing, so that two are one of the other
    assert source.grids["radar"] == GeoBox((20, 25), CORNER @ Affine.scale(2), UTM)
    np.testing.assert_array_equal(whole(source, "radar").values[0], VALUES[1, :20, :25])
    block = whole(source, "optical")
    assert block.missing is not None
    assert block.missing[0, 39].all()
    assert not block.missing[0, :39].any()


GRIDS = {
    "north up": (CORNER, UTM),
    "degrees": (Affine(0.001, 0, 16, 0, -0.001, 52), "EPSG:4326"),
    "polar": (Affine(500, 0, -200_000, 0, -500, -1_000_000), "EPSG:3413"),
    "over the antimeridian": (Affine(0.01, 0, 179.8, 0, -0.01, -16), "EPSG:4326"),
    "askew": (CORNER @ Affine.rotation(30), UTM),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_rasters_keep_their_own_grid(tmp_path: Path, grid: tuple[Affine, str]) -> None:
    transform, crs = grid
    source = open_source(tif(tmp_path / "a.tif", VALUES, names=NAMES, transform=transform, crs=crs), MODEL)
    assert source.grids["image"].affine.almost_equals(transform)
    assert source.grids["image"].crs == crs
    np.testing.assert_array_equal(whole(source).values, WANTED)
    assert not source.notes


def test_rows_from_the_south_are_read_from_the_north(tmp_path: Path) -> None:
    south = CORNER @ Affine.translation(0, 40) @ Affine.scale(1, -1)
    source = open_source(tif(tmp_path / "a.tif", VALUES[:, ::-1], names=NAMES, transform=south), MODEL)
    assert source.grids["image"] == GeoBox((40, 50), CORNER, UTM)
    np.testing.assert_array_equal(whole(source).values, WANTED)
    assert source.notes == ("rows are read from north to south, as the model reads them",)


def test_the_pixels_of_the_model_are_taken_where_its_item_says_such(tmp_path: Path) -> None:
    coarse = model(tensor(["B04", "B02"]), gsd=20)
    path = tif(tmp_path / "a.tif", VALUES, names=NAMES)
    source = open_source(path, coarse, resampling="average")
    assert source.grids["image"] == GeoBox((20, 25), CORNER @ Affine.scale(2), UTM)
    np.testing.assert_array_equal(whole(source).values, WANTED.reshape(2, 20, 2, 25, 2).mean(axis=(2, 4)))
    assert source.notes[0] == "brought from pixels of 10 onto those of the model, 20 m (gsd)"
    files = [path, tif(tmp_path / "B04.tif", VALUES[0, :20, :25], transform=CORNER @ Affine.scale(2))]
    assert open_source(files[1], model(tensor(["B04"]), gsd=20)).notes == ()
    assert open_source(path, model(tensor(["B04"]), gsd=10.4)).grids["image"] == GeoBox((40, 50), CORNER, UTM)


def test_a_grid_that_the_user_names(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES, names=NAMES)
    assert open_source(path, MODEL, grid=5).grids["image"] == GeoBox((80, 100), CORNER @ Affine.scale(0.5), UTM)
    other = GeoBox((7, 9), CORNER @ Affine.translation(5, 5) @ Affine.scale(3), UTM)
    assert open_source(path, MODEL, grid=other).grids["image"] == other
    like = tif(tmp_path / "like.tif", np.zeros((7, 9), np.uint8), transform=other.affine)
    assert open_source(path, MODEL, grid=like).grids["image"] == other
    degrees = open_source(path, MODEL, grid="EPSG:4326")
    assert degrees.grids["image"].crs == "EPSG:4326"
    assert "was warped onto the grid of the result, in EPSG:4326" in degrees.notes[-1]
    assert whole(degrees).missing is not None
    with pytest.raises(DataError, match="grid 'nowhere' is no reference system, raster or length of a pixel"):
        open_source(path, MODEL, grid="nowhere")


def test_a_box_cuts_it(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES, names=NAMES)
    grid = GeoBox((40, 50), CORNER, UTM)
    box = grid[10:20, 5:30].geographic_extent.boundingbox
    cut = open_source(path, MODEL, bbox=list(box)).grids["image"]
    assert cut.crs == UTM
    assert cut.shape[0] in range(10, 14)
    assert cut.shape[1] in range(25, 29)
    down = round((CORNER.f - cut.affine.f) / 10)
    source = open_source(path, MODEL, bbox=list(box))
    right = round((cut.affine.c - CORNER.c) / 10)
    np.testing.assert_array_equal(
        whole(source).values, WANTED[:, down : down + cut.shape[0], right : right + cut.shape[1]]
    )
    with pytest.raises(DataError, match="the scene does not lie in the box 0, 0, 1, 1: name another"):
        open_source(path, MODEL, bbox=[0, 0, 1, 1])
    # A quarter of the earth away, where UTM gives numbers of no place, to all sides of the scene.
    with pytest.raises(DataError, match="the scene does not lie in the box 100, 2, 103, 3: name another"):
        open_source(path, MODEL, bbox=[100, 2, 103, 3])
    assert open_source(path, MODEL, bbox=[-180, -90, 180, 90]).grids["image"] == grid
    over = tif(
        tmp_path / "b.tif", VALUES, names=NAMES, transform=Affine(0.01, 0, 179.8, 0, -0.01, -16), crs="EPSG:4326"
    )
    crossing = open_source(over, MODEL, bbox=[179.9, -16.2, -179.9, -16.1]).grids["image"]
    assert crossing.shape == (10, 20)
    assert crossing.affine.c == pytest.approx(179.9)


def test_tiles_beside_each_other_are_one_scene(tmp_path: Path) -> None:
    left = tif(tmp_path / "left.tif", VALUES[:, :, :28], names=NAMES, nodata=0)
    right = tif(tmp_path / "right.tif", VALUES[:, :, 20:], names=NAMES, transform=CORNER @ Affine.translation(20, 0))
    block = whole(open_source([left, right], MODEL))
    np.testing.assert_array_equal(block.values, WANTED)
    assert block.missing is None


def test_bands_at_several_resolutions_without_seams(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    files = [
        tif(tmp_path / f"B{n:02}.tif", rng.integers(0, 9, (120 // side, 160 // side)).astype(np.uint16) * 1000,
            nodata=0, transform=CORNER @ Affine.scale(side))
        for n, side in ((2, 1), (5, 2), (9, 6))
    ]  # fmt: skip
    source = open_source(files, model(tensor(["B09", "B02", "B05"])), fill=-1)
    block = whole(source)
    assert block.missing is not None
    assert source.notes == (
        "B05: pixels of 20 brought onto 10 by bilinear", "B09: pixels of 60 brought onto 10 by bilinear"
    ) or set(source.notes) == {
        "B05: pixels of 20 brought onto 10 by bilinear", "B09: pixels of 60 brought onto 10 by bilinear"
    }  # fmt: skip
    windows = [
        (slice(r, min(r + 37, 120)), slice(c, min(c + 41, 160))) for r in range(0, 120, 31) for c in range(0, 160, 33)
    ]

    def check(window: tuple[slice, slice]) -> None:
        part, cut = source.read("image", window), (slice(None), *window)
        assert part.values.tobytes() == block.values[cut].tobytes()
        missing = np.zeros(part.values.shape, bool) if part.missing is None else part.missing
        np.testing.assert_array_equal(missing, block.missing[cut])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, windows * 3))


def test_resampling_as_the_item_or_the_user_says(tmp_path: Path) -> None:
    coarse = VALUES[0, :20, :25]
    files = [
        tif(tmp_path / "B04.tif", VALUES[2]),
        tif(tmp_path / "B02.tif", coarse, transform=CORNER @ Affine.scale(2)),
    ]
    repeated = coarse.repeat(2, 0).repeat(2, 1)
    said = model(tensor(["B04", "B02"], resize_type="interpolation-nearest"))
    np.testing.assert_array_equal(whole(open_source(files, said)).values[1], repeated)
    np.testing.assert_array_equal(whole(open_source(files, MODEL, resampling="nearest")).values[1], repeated)
    assert not np.array_equal(whole(open_source(files, MODEL)).values[1], repeated)
    with rasterio.open(tmp_path / "B02.tif", "r+") as file:  # a map of classes has no values between them
        file.nodata = 0
    classes = tif(tmp_path / "SCL_B02.tif", (coarse % 11).astype(np.uint8), transform=CORNER @ Affine.scale(2))
    with rasterio.open(classes, "r+") as file:
        file.write_colormap(1, {number: (number, 0, 0, 255) for number in range(11)})
    found = whole(open_source([files[0], classes], MODEL)).values[1]
    np.testing.assert_array_equal(found, repeated % 11)
    with pytest.raises(DataError, match=r"resampling is one of nearest, bilinear, .*, not 'best'"):
        open_source(files, MODEL, resampling="best")


def test_a_state_is_told_from_another(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES, names=NAMES)
    first = open_source(path, MODEL).identity
    assert open_source(path, MODEL).identity == first
    assert open_source(path, MODEL, resampling="cubic").identity != first
    assert open_source(path, MODEL, bands=[2, 1]).identity != first
    tif(path, VALUES + 1, names=NAMES)
    assert open_source(path, MODEL).identity != first
    [link] = open_source(path, MODEL).origins
    assert (link.rel, link.href) == ("derived_from", str(path))


def test_a_thread_reads_by_the_handle_that_another_has_done_with(tmp_path: Path) -> None:
    path, handles = tif(tmp_path / "a.tif", VALUES, names=NAMES), Handles()
    part = FilePart(str(path), handles)
    path.unlink()  # it is open
    with ThreadPoolExecutor(1) as other:
        values, _ = other.submit(part.read, (0,), slice(0, 5), slice(0, 5)).result()
    np.testing.assert_array_equal(values[0], VALUES[0, :5, :5])
    kept = handles.take(str(path))
    handles.give_back(str(path), kept)
    handles.close()
    assert kept.closed


def test_those_that_were_used_longest_ago_are_closed(tmp_path: Path) -> None:
    paths = [str(tif(tmp_path / f"{number}.tif", VALUES)) for number in range(3)]
    handles = Handles(keep=2)
    opened = {path: handles.take(path) for path in paths}
    for path, handle in opened.items():
        handles.give_back(path, handle)
    assert [handle.closed for handle in opened.values()] == [True, False, False]


def test_threads_have_handles_of_their_own(tmp_path: Path) -> None:
    source = open_source(tif(tmp_path / "a.tif", VALUES, names=NAMES, tiled=True, blockxsize=16, blockysize=16), MODEL)
    failed: list[Exception] = []

    def read() -> None:
        rng = np.random.default_rng(threading.get_ident() % 2**32)
        for _ in range(60):
            row, column = int(rng.integers(0, 30)), int(rng.integers(0, 40))
            found = source.read("image", (slice(row, row + 10), slice(column, column + 10))).values
            if not np.array_equal(found, WANTED[:, row : row + 10, column : column + 10]):
                failed.append(AssertionError(f"{row}, {column}"))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
