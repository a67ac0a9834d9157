"""Scenes as others write them: bytes with a sign, one row of an array, numbered bands, files called by their bands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pyproj
import pytest
import rioxarray
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from tests.registry.scenes.reading_models import CORNER, UTM, model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.running.signature import Signature
from modelstac.registry.scenes.reading.opening import open_source
from modelstac.registry.scenes.running.scaling import Scaling

VALUES = np.random.default_rng(0).integers(1, 200, (3, 24, 30)).astype(np.uint8)
NAMES = ["B02", "B03", "B04"]


def written(folder: Path, assets: dict[str, dict[str, Any]], **properties: Any) -> Path:
    (folder / "item.json").write_text(json.dumps(scene_item(folder, assets, **properties)))
    return folder / "item.json"


@pytest.mark.parametrize("form", ["dataset", "file"])
def test_bytes_have_the_sign_that_their_attribute_says(tmp_path: Path, form: str) -> None:
    """NetCDF 3 has signed bytes only: 200 is stored as -56 there, and a fill value of -1 is 255."""
    stored = VALUES[0].copy()
    stored[3, 4] = 255
    attrs = {"_Unsigned": "true", "_FillValue": np.int8(-1), "scale_factor": 0.5}
    array = xr.DataArray(stored.view(np.int8), xr_coords(GeoBox((24, 30), CORNER, UTM)), ("y", "x"), "B04", attrs)
    dataset = array.to_dataset()
    if form == "file":
        dataset.to_netcdf(tmp_path / "scene.nc")
    given = dataset if form == "dataset" else tmp_path / "scene.nc"
    block = whole(open_source(given, model(tensor(["B04"])), physical=True))
    assert block.missing is not None
    np.testing.assert_array_equal(np.argwhere(block.missing[0]), [[3, 4]])
    expected = stored * np.float32(0.5)
    expected[3, 4] = 0
    np.testing.assert_array_equal(block.values[0], expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_was_never_written_into_a_netcdf_is_missing(tmp_path: Path, dtype: str) -> None:
    with netCDF4.Dataset(tmp_path / "sst.nc", "w") as file:
        for name, unit in (("lat", "degrees_north"), ("lon", "degrees_east")):
            file.createDimension(name, 3)
            file.createVariable(name, "f8", (name,))[:] = 50.0 - np.arange(3)
            file[name].units = unit
        file.createVariable("sst", dtype, ("lat", "lon"))[:2] = 280
    found = whole(open_source(tmp_path / "sst.nc", model(tensor(["sst"]))))
    assert found.missing[0].tolist() == [[False] * 3] * 2 + [[True] * 3]
    assert (found.values[0, :2] == 280).all()


@pytest.mark.parametrize("cut", [(slice(5, 6), slice(7, 20)), (slice(5, 20), slice(7, 8)), (slice(5, 6), slice(7, 8))])
def test_one_row_that_was_cut_out_lies_where_it_is(tmp_path: Path, cut: tuple[slice, slice]) -> None:
    """rioxarray keeps the transform of the whole beside what was cut out of it."""
    array = rioxarray.open_rasterio(tif(tmp_path / "B04.tif", VALUES[:1])).load()
    scene = open_source(array[:, cut[0], cut[1]], model(tensor(["B04"])))
    assert scene.grids["image"].affine == CORNER @ Affine.translation(cut[1].start, cut[0].start)
    np.testing.assert_array_equal(whole(scene).values[0], VALUES[0][cut])


def test_what_holds_no_numbers_is_said() -> None:
    array = xr.DataArray(VALUES[0].astype(object), xr_coords(GeoBox((24, 30), CORNER, UTM)), ("y", "x"), "B04")
    with pytest.raises(DataError, match="holds object, no numbers"):
        open_source(array, model(tensor(["B04"])))


def test_times_of_items_are_in_utc_whatever_their_offset(tmp_path: Path) -> None:
    tif(tmp_path / "B04.tif", VALUES[0])
    path = written(tmp_path, {"B04": {}}, datetime="2023-06-01T10:00:00+02:00")
    assert open_source(path, model(tensor(["B04"]))).times["image"] == (np.datetime64("2023-06-01T08:00:00", "us"),)


def test_what_an_item_says_of_all_its_assets(tmp_path: Path) -> None:
    """STAC 1.1 hands fields down: of the item, its asset, and its band the nearest counts."""
    for name in NAMES[:2]:
        tif(tmp_path / f"{name}.tif", VALUES[0])
    path = written(
        tmp_path, {"B02": {}, "B03": {"raster:scale": 2.0}}, **{"raster:scale": 0.5, "scale": 7, "nodata": 9}
    )
    block = whole(open_source(path, model(tensor(NAMES[:2])), physical=True))
    assert block.missing is not None
    np.testing.assert_array_equal(block.missing, np.broadcast_to(VALUES[0] == 9, (2, 24, 30)))
    there = ~block.missing[0]
    np.testing.assert_array_equal(block.values[0][there], (VALUES[0] * 0.5)[there])
    np.testing.assert_array_equal(block.values[1][there], (VALUES[0] * 2.0)[there])


SENTINEL = {"constellation": "sentinel-2", "s2:processing_baseline": "02.00"}


@pytest.mark.parametrize("properties", [{}, SENTINEL])
@pytest.mark.parametrize("how", ["descriptions", "names of the file", "names of nobody", "file"])
def test_numbers_of_bands_are_no_names(tmp_path: Path, how: str, properties: dict[str, Any]) -> None:
    """Programs call bands b1, b2, b3; here b2 is B03, and not B02."""
    names = {"file": ["b1", "b2", "b3"], "names of the file": NAMES}.get(how)
    path = tif(tmp_path / "all.tif", VALUES.astype(np.int16), names=names)
    entries: list[dict[str, Any]] = [{"name": f"b{number}"} for number in (1, 2, 3)]
    if how == "descriptions":
        entries = [entry | {"description": name} for entry, name in zip(entries, NAMES, strict=True)]
    given = path if how == "file" else written(tmp_path, {"all": {"eo:bands": entries}}, **properties)
    reads = model(tensor(NAMES), **({"constellation": "sentinel-2"} if properties else {}))
    scene = open_source(given, reads, physical=False)
    np.testing.assert_array_equal(whole(scene).values, VALUES)
    assert any("taken in the order of the model" in note for note in scene.notes) == (names != NAMES and how[0] != "d")


def test_numbered_bands_are_named_by_their_numbers(tmp_path: Path) -> None:
    path = tif(tmp_path / "all.tif", VALUES, names=["b1", "b2", "b3"])
    for bands in (["b3", "b1"], ["3", "1"]):
        found = whole(open_source(path, model(tensor(["B04", "B02"])), bands=bands)).values
        np.testing.assert_array_equal(found, VALUES[[2, 0]])


@pytest.mark.parametrize("spelling", ["Band {}", "band_{}", "Band{}", "BAND {}", "b{}", "{}"])
@pytest.mark.parametrize("form", ["file", "dataset", "array"])
def test_numbers_that_programs_write_are_no_names_however_they_are_spelled(
    tmp_path: Path, spelling: str, form: str
) -> None:
    """GDAL calls variables of NetCDF and Zarr Band1, ENVI writes Band 1; a model that counts so has them by number."""
    names = [spelling.format(number) for number in (1, 2, 3)]
    scene: Any = tif(tmp_path / "all.tif", VALUES.astype(np.int16), names=names)
    if form != "file":
        grid = GeoBox(VALUES.shape[1:], CORNER, UTM)
        cube = xr.DataArray(VALUES, {"band": names, **xr_coords(grid)}, ("band", "y", "x"))
        scene = cube.to_dataset("band") if form == "dataset" else cube
    source = open_source(scene, model(tensor(NAMES)))
    np.testing.assert_array_equal(whole(source).values, VALUES)
    assert "its 3 bands have no names and are taken in the order of the model" in source.notes[0]
    for wanted in ([names[2], names[0]], ["b3", "b1"]):
        np.testing.assert_array_equal(whole(open_source(scene, model(tensor(wanted)))).values, VALUES[[2, 0]])
    with pytest.raises(DataError, match="3 without names"):
        open_source(scene, model(tensor(NAMES[:2])))


def test_all_of_ten_numbered_bands_are_taken_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    values = np.stack([VALUES[0] + number for number in range(10)])
    numbers = [f"b{number}" for number in range(1, 11)]
    path = tif(tmp_path / "all.tif", values, names=numbers)
    reads = model(tensor([f"B{number:02}" for number in range(2, 12)]))
    found = whole(open_source(path, reads, bands=numbers[::-1])).values
    np.testing.assert_array_equal(found, values[::-1])


def test_a_file_of_two_dates_is_read_as_the_model_lists_them_or_by_its_numbers(tmp_path: Path) -> None:
    names = ["B04", "B08", "B04", "B08"]
    values = np.concatenate([VALUES[:2], VALUES[1:]]).astype(np.uint16)  # of bytes, four are colours and alpha
    file, net = tif(tmp_path / "stacked.tif", values, names=names), model(tensor(names))
    np.testing.assert_array_equal(whole(open_source(file, net)).values, values)
    np.testing.assert_array_equal(whole(open_source(file, net, bands="3,4,1,2")).values, values[[2, 3, 0, 1]])
    with pytest.raises(DataError, match="lists 'B04' 2 times, as of several dates"):
        open_source(tif(tmp_path / "one.tif", VALUES[:2], names=names[:2]), net)


def test_an_asset_that_lists_no_bands_has_those_of_its_file(tmp_path: Path) -> None:
    tif(tmp_path / "all.tif", VALUES[::-1], names=NAMES[::-1])
    np.testing.assert_array_equal(
        whole(open_source(written(tmp_path, {"all": {}}), model(tensor(NAMES)))).values, VALUES
    )


def test_files_that_are_called_as_the_bands_of_the_model(tmp_path: Path) -> None:
    """SR_B4 is the band of the model, and B4 would be a part of its name."""
    names = ["SR_B2", "SR_B4"]
    paths = [tif(tmp_path / f"LC08_L2SP_197023_20230601_02_T1_{name}.TIF", VALUES[n]) for n, name in enumerate(names)]
    found = whole(open_source(paths[::-1], model(tensor(names)))).values
    np.testing.assert_array_equal(found, VALUES[:2])


@pytest.mark.parametrize("bands", [[], None])
def test_a_model_that_names_no_bands_reads_those_of_the_scene(tmp_path: Path, bands: list[str] | None) -> None:
    """Its axis is called ``bands``, which the extension keeps for a list."""
    made = model(tensor([], shape=(-1, 3, -1, -1)))
    if bands is None:
        del made.item.properties["mlm:input"][0]["bands"]
    description, _ = described(made.item, model_assets(made.item)[0], None)
    made.description, made.signature = description, Signature.of(description)
    scene = open_source(tif(tmp_path / "all.tif", VALUES, names=NAMES), made)
    np.testing.assert_array_equal(whole(scene).values, VALUES)
    (note,) = scene.notes
    assert note == "input 'image' does not name its bands: those of the scene are taken in their order, B02, B03, B04"


def test_fractions_that_a_type_does_not_hold_are_refused(tmp_path: Path) -> None:
    """170.4 is 170 for bytes, and not 127 for bytes with a sign."""
    path = tif(tmp_path / "B04.tif", np.full((24, 30), 170.4, np.float32))
    assert (whole(open_source(path, model(tensor(["B04"], dtype="uint8")))).values == 170).all()
    with pytest.raises(DataError, match=r"numbers from 170\.4 to 170\.4, and the model reads int8: .*--scale"):
        whole(open_source(path, model(tensor(["B04"], dtype="int8"))))


def test_a_mask_of_coarser_pixels_is_no_reflectance(tmp_path: Path) -> None:
    """Zeros and ones of 20 m have fractions between them on 10 m, which say nothing of a scale."""
    fine, coarse = (
        tif(tmp_path / "B02.tif", VALUES[0]),
        tif(tmp_path / "B03.tif", VALUES[1, ::2, ::2] % 2, transform=CORNER @ Affine.scale(2)),
    )
    found = whole(open_source([fine, coarse], model(tensor(NAMES[:2], dtype="uint8")))).values
    assert found.dtype == np.uint8
    assert set(np.unique(found[1])) == {0, 1}


def test_half_precision_ends_where_it_ends(tmp_path: Path) -> None:
    made = model(tensor(["B04"], dtype="float16"))
    scaling = Scaling(made, made.signature.inputs[0])
    assert scaling.apply(np.full((1, 2, 2), 65_504, np.int32)).dtype == np.float16
    with pytest.raises(DataError, match="takes float16, which ends at 65504; found 170000"):
        scaling.apply(np.full((1, 2, 2), 170_000, np.int32))


def test_axes_and_systems_as_gdal_writes_them_into_zarr() -> None:
    """Its axes are Y and X, and the reference system is an attribute of each array."""
    coords = {"Y": 5_799_995.0 - 10 * np.arange(24), "X": 600_005.0 + 10 * np.arange(30)}
    attrs = {"_CRS": {"url": "http://www.opengis.net/def/crs/EPSG/0/32633", "wkt": pyproj.CRS(UTM).to_wkt()}}
    scene = open_source(xr.DataArray(VALUES[0], coords, ("Y", "X"), "B04", attrs), model(tensor(["B04"])))
    assert scene.grids["image"] == GeoBox((24, 30), CORNER, UTM)
    np.testing.assert_array_equal(whole(scene).values[0], VALUES[0])
    stack = xr.DataArray(VALUES, coords, ("Band", "Y", "X"), "all", attrs)
    np.testing.assert_array_equal(whole(open_source(stack, model(tensor(NAMES)))).values, VALUES)


@pytest.mark.parametrize("form", ["nc", "zarr"])
def test_groups_of_a_cube_are_named(tmp_path: Path, form: str) -> None:
    cube = xr.DataArray(VALUES, {"band": NAMES, **xr_coords(GeoBox(VALUES.shape[1:], CORNER, UTM))}, ("band", "y", "x"))
    path = tmp_path / f"cube.{form}"
    for name in ("measurements/r10m", "quality"):
        if form == "nc":
            cube.to_dataset("band").to_netcdf(path, group=name, mode="a" if path.exists() else "w")
        else:
            cube.to_dataset("band").to_zarr(path, group=name, zarr_format=3, consolidated=False)
    way = f"{path}/measurements/r10m"
    with pytest.raises(DataError, match="in the groups measurements/r10m, quality: name one of them, ") as raised:
        open_source(path, model(tensor(NAMES)))
    assert way in str(raised.value)
    opened: Any = [xr.open_dataset(path, group="measurements/r10m")] if form == "nc" else []
    for group in (way, *opened):
        np.testing.assert_array_equal(whole(open_source(group, model(tensor(NAMES)))).values, VALUES)


def test_reference_systems_are_known_after_a_cube_was_opened(tmp_path: Path) -> None:
    """Opening one imports all plug-ins of xarray, and ecCodes among them brings a PROJ that has no database."""
    cube = xr.DataArray(VALUES, {"band": NAMES, **xr_coords(GeoBox(VALUES.shape[1:], CORNER, UTM))}, ("band", "y", "x"))
    cube.to_dataset("band").to_netcdf(tmp_path / "cube.nc")
    code = f"""
from modelstac.registry.scenes.reading.finding.arrays import open_dataset
open_dataset({str(tmp_path / "cube.nc")!r}).close()
import pyproj
print(pyproj.CRS("EPSG:32633").to_epsg())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "32633\n"


@pytest.mark.parametrize(("dtype", "nodata"), [("int64", 2**63 - 1), ("uint64", 2**64 - 1), ("int64", -(2**53) - 1)])
def test_nodata_of_64_bits_is_read_to_the_last_digit(tmp_path: Path, dtype: str, nodata: int) -> None:
    """As a fraction it would be another number, or none."""
    values = VALUES[0].astype(dtype)
    values[3, 4], values[5, 6] = nodata, nodata + (1 if nodata < 0 else -1)
    plain, kind = tif(tmp_path / "plain.tif", values), dtype.replace("i", "I").replace("u", "U")
    text = (
        f'<VRTDataset rasterXSize="30" rasterYSize="24"><SRS>{UTM}</SRS>'
        "<GeoTransform>600000, 10, 0, 5800000, 0, -10</GeoTransform>"
        f'<VRTRasterBand dataType="{kind}" band="1"><NoDataValue>{nodata}</NoDataValue>'
        f"<SimpleSource><SourceFilename>{plain}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )
    (tmp_path / "B04.vrt").write_text(text)
    block = whole(open_source(tmp_path / "B04.vrt", model(tensor(["B04"]))))
    assert block.missing is not None
    np.testing.assert_array_equal(np.argwhere(block.missing[0]), [[3, 4]])


@pytest.mark.parametrize("transform", [Affine(10, 0, 5e5, 0, 0, 5.6e6), Affine(float("nan"), 0, 5e5, 0, -10, 5.6e6)])
def test_a_transform_that_places_nothing_is_said(tmp_path: Path, transform: Affine) -> None:
    with pytest.raises(DataError, match=r"says the transform \(.*\), which places no pixel"):
        open_source(tif(tmp_path / "B04.tif", VALUES[0], transform=transform), model(tensor(["B04"])))


@pytest.mark.parametrize(("west", "pixel"), [(-6, 12), (0, 12), (-180, 12), (100, 6)])
def test_a_box_around_the_globe_is_all_of_it_wherever_the_scene_begins(
    tmp_path: Path, west: float, pixel: float
) -> None:
    place = Affine(pixel, 0, west, 0, -7.5, 90)
    path = tif(tmp_path / "B04.tif", VALUES[0], transform=place, crs="EPSG:4326")
    found = open_source(path, model(tensor(["B04"])), bbox=(-180, -90, 180, 90))
    assert found.grids["image"].affine == place
    np.testing.assert_array_equal(whole(found).values[0], VALUES[0])
    if pixel == 6:  # as far as 280: its middle would be left out
        with pytest.raises(DataError, match="crosses the longitude 100"):
            open_source(path, model(tensor(["B04"])), bbox=(-170, -90, 170, 90))


@pytest.mark.parametrize(
    ("west", "box", "crossed"),
    [(0, (-9, -9, 9, 9), "0"), (-180, (171, -9, -171, 9), "-180"), (0, (171, -9, -171, 9), "")],
)
def test_a_box_over_the_edge_of_the_whole_globe_is_not_halved(
    tmp_path: Path, west: float, box: tuple[float, ...], crossed: str
) -> None:
    path = tif(tmp_path / "B04.tif", VALUES[0], transform=Affine(12, 0, west, 0, -7.5, 90), crs="EPSG:4326")
    if crossed:
        with pytest.raises(DataError, match=f"crosses the longitude {crossed}, where the scene begins and ends"):
            open_source(path, model(tensor(["B04"])), bbox=box)
    else:
        found = whole(open_source(path, model(tensor(["B04"])), bbox=box)).values[0]
        np.testing.assert_array_equal(found, VALUES[0, 10:14, 14:16])


@pytest.mark.parametrize("box", [("a", 1, 2, 3), (9, float("nan"), 9.1, 51)])
def test_a_box_is_of_numbers(tmp_path: Path, box: Any) -> None:
    with pytest.raises(DataError, match="a box is four numbers in degrees"):
        open_source(tif(tmp_path / "B04.tif", VALUES[0]), model(tensor(["B04"])), bbox=box)


@pytest.mark.parametrize(
    ("said", "line"),
    [({"scale": "x"}, "scale is a number, not 'x'"), ({"grid": (1, 2)}, r"a grid is a raster, .* not \(1, 2\)")],
)
def test_what_is_said_of_the_wrong_kind_is_one_line(tmp_path: Path, said: dict[str, Any], line: str) -> None:
    with pytest.raises(DataError, match=line):
        open_source(tif(tmp_path / "B04.tif", VALUES[0]), model(tensor(["B04"])), **said)
