"""Stored numbers become those that a model reads: once, said, and refused where nobody can tell."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from tests.registry.scenes.reading_models import CORNER, UTM, Read, model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.running.values.scaling import looks_scaled, scale
from modelstac.registry.scenes.reading.opening import open_source

STORED = np.random.default_rng(0).integers(1_100, 9_000, (1, 24, 30)).astype(np.uint16)
COUNTS = [{"type": "scale", "value": 10_000}]
MEANS = [{"type": "z-score", "mean": 1354.4, "stddev": 245.7}]
SHARES = [{"type": "z-score", "mean": 0.13, "stddev": 0.07}]


def reads(scaling: Any = None, dtype: str = "float32", bands: Any = None, **more: Any) -> Read:
    """Return a model of one band."""
    scaled = {} if scaling is None else {"value_scaling": scaling}
    about = {} if bands is None else {"bands": [{"name": "B04", **bands}]}
    return model(tensor(["B04"], dtype=dtype, **scaled, **more), **about)


def one(folder: Path, values: np.ndarray[Any, Any] = STORED, **more: Any) -> str:
    return str(tif(folder / "B04.tif", values, names=["B04"], **more))


def item(
    folder: Path, asset: dict[str, Any], values: np.ndarray[Any, Any] = STORED, **properties: Any
) -> dict[str, Any]:
    """Return an item of Sentinel-2 of one band."""
    path = one(folder, values)
    about = {"constellation": "sentinel-2", "platform": "sentinel-2a"} | properties
    return scene_item(folder, {"B04": {"href": path} | asset}, **about)


OLD = {"raster:bands": [{"scale": 0.0001, "offset": -0.1, "nodata": 0}]}
NEW = {"bands": [{"name": "B04", "raster:scale": 0.0001, "raster:offset": -0.1, "nodata": 0}]}
AT_ASSET = {"raster:scale": 0.0001, "raster:offset": -0.1}


@pytest.mark.parametrize(
    ("asset", "properties", "offset"),
    [
        (OLD, {}, -1000),
        (NEW, {}, -1000),
        (AT_ASSET, {}, -1000),
        ({}, {"s2:processing_baseline": "05.09"}, -1000),
        ({}, {"s2:processing_baseline": "04.00"}, -1000),
        ({}, {"processing:version": "05.11"}, -1000),
        ({}, {"s2:processing_baseline": "03.01"}, 0),
        ({"raster:bands": [{"scale": 0.0001}]}, {"s2:processing_baseline": "05.09"}, -1000),
        ({"raster:bands": [{"scale": 0.0001, "offset": 0}]}, {"s2:processing_baseline": "05.09"}, 0),
        (OLD, {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, 0),
        (OLD, {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False}, -1000),
        ({}, {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, 0),
    ],
)
@pytest.mark.parametrize(
    "scaling", [COUNTS, MEANS, SHARES], ids=["divided by 10,000", "z-score of counts", "of shares"]
)
def test_sentinel_2_whatever_its_baseline_and_its_model(
    tmp_path: Path, asset: dict[str, Any], properties: dict[str, Any], offset: int, scaling: Any
) -> None:
    source = open_source(item(tmp_path, asset, **properties), reads(scaling))
    values = whole(source).values
    counts = STORED.astype(np.float64) + offset
    wanted = counts / 10_000 if scaling is SHARES else counts
    np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-6 if scaling is SHARES else 0)
    changed = scaling is SHARES or offset
    assert len(source.notes) == (1 if changed else 0)
    assert not changed or source.notes[0].startswith("B04: stored numbers ")
    # What the model is fed, after its own scaling, is the same whichever way it says it.
    assert looks_scaled(values, scaling) is None
    fed = scale(values, scaling, ("bands", "height", "width"), of="image")
    assert np.abs(fed).max() < 60


def test_what_was_done_is_said_once(tmp_path: Path) -> None:
    names = ["B02", "B03", "B04"]
    assets = {name: {"href": str(tif(tmp_path / f"{name}.tif", STORED))} | OLD for name in names}
    scene = scene_item(tmp_path, assets, id="S2A_33", platform="sentinel-2a", **{"s2:processing_baseline": "05.09"})
    found = open_source(scene, model(tensor(names, value_scaling=SHARES)))
    assert found.notes == ("B02, B03, B04: stored numbers times 0.0001 minus 0.1: item 'S2A_33' says so",)
    found = open_source(scene, model(tensor(names, value_scaling=COUNTS)))
    said = "stored numbers minus 1000: item 'S2A_33' says so, and the model reads stored numbers"
    assert found.notes == (f"B02, B03, B04: {said}",)


def test_classes_beside_reflectances_are_left_alone(tmp_path: Path) -> None:
    scl = tif(tmp_path / "SCL.tif", (STORED % 12).astype(np.uint8))
    assets = {"B04": {"href": one(tmp_path)}, "SCL": {"href": str(scl)}}
    scene = scene_item(tmp_path, assets, platform="sentinel-2a", **{"s2:processing_baseline": "05.09"})
    values = whole(open_source(scene, model(tensor(["B04", "SCL"], value_scaling=COUNTS)))).values
    np.testing.assert_array_equal(values[0], STORED[0] - 1000.0)
    np.testing.assert_array_equal(values[1], STORED[0] % 12)


@pytest.mark.parametrize(
    ("folder", "offset"),
    [
        ("S2B_MSIL2A_20230601T101559_N0509_R065_T33UUU_20230601T150000.SAFE", -1000),
        ("S2A_MSIL2A_20190601T101559_N0212_R065_T33UUU_20190601T150000.SAFE", 0),
    ],
)
def test_a_product_of_sentinel_2_as_it_is_fetched(tmp_path: Path, folder: str, offset: int) -> None:
    place = tmp_path / folder / "GRANULE" / "L2A_T33UUU" / "IMG_DATA"
    stored = STORED.copy()
    stored[0, :3] = 0
    for side, resolution in ((1, 10), (2, 20)):
        (place / f"R{resolution}m").mkdir(parents=True)
        name = f"T33UUU_20230601T101559_B04_{resolution}m.jp2"
        values = np.ascontiguousarray(stored[:, ::side, ::side])
        tif(place / f"R{resolution}m" / name, values, driver="JP2OpenJPEG", transform=CORNER @ CORNER.scale(side),
            QUALITY=100, REVERSIBLE="YES")  # fmt: skip
    tif(place / "R20m" / "T33UUU_20230601T101559_B05_20m.jp2", values, driver="JP2OpenJPEG")
    found = open_source(tmp_path / folder, reads(MEANS))
    assert {Path(link.href).name[23:26] for link in found.origins} == {"B04"}  # and not from B05, which is not read
    block = whole(found)
    shutil.make_archive(str(tmp_path / "delivered"), "zip", tmp_path, folder)
    zipped = whole(open_source(tmp_path / "delivered.zip", reads(MEANS)))
    np.testing.assert_array_equal(zipped.values, block.values)
    np.testing.assert_array_equal(zipped.missing, block.missing)
    assert block.values.shape == (1, 24, 30)  # of the finer pixels
    assert block.missing is not None
    assert block.missing[0, :3].all()
    np.testing.assert_array_equal(block.values[~block.missing], stored[~block.missing] + float(offset))
    lone = tif(tmp_path / "T33UUU_20230601T101559_B04_10m.tif", STORED)
    with pytest.raises(DataError, match=r"is of Sentinel-2 and says no processing baseline.*: say offset=-1000"):
        open_source(lone, reads(MEANS))
    np.testing.assert_array_equal(whole(open_source(lone, reads(MEANS), physical=False)).values, STORED)
    np.testing.assert_array_equal(whole(open_source(lone, reads(MEANS), offset=-1000)).values, STORED - 1000.0)


def test_scale_and_offset_of_a_file(tmp_path: Path) -> None:
    path = one(tmp_path, scales=[0.0001], offsets=[-0.1])
    source = open_source(path, reads(SHARES))
    np.testing.assert_allclose(whole(source).values, STORED / 1e4 - 0.1, atol=1e-6)
    assert source.notes == (f"B04: stored numbers times 0.0001 minus 0.1: {path} says so",)
    np.testing.assert_array_equal(whole(open_source(path, reads(SHARES), physical=False)).values, STORED)
    with pytest.raises(
        DataError, match=r"scales stored numbers, and .* says of .* scale 0.0001, offset -0.1: say phys"
    ):
        open_source(path, reads(COUNTS))
    np.testing.assert_array_equal(whole(open_source(path, reads(COUNTS), physical=False)).values, STORED)
    plain = one(tmp_path, scales=[0.0001])
    found = open_source(plain, reads(COUNTS))
    np.testing.assert_array_equal(whole(found).values, STORED)
    assert not found.notes


@pytest.mark.parametrize("scaling", [SHARES, COUNTS, None])
def test_physical_values_are_not_scaled_twice(tmp_path: Path, scaling: Any) -> None:
    physical = (STORED / 1e4).astype(np.float32)
    source = open_source(one(tmp_path, physical), reads(scaling))
    np.testing.assert_array_equal(whole(source).values, physical)
    assert not source.notes
    made = item(tmp_path, {}, physical, **{"s2:processing_baseline": "05.09"})
    np.testing.assert_array_equal(whole(open_source(made, reads(scaling))).values, physical)


def test_fractions_with_a_scale_beside_them_are_asked_for(tmp_path: Path) -> None:
    physical = (STORED / 1e4).astype(np.float32)
    path = one(tmp_path, physical, scales=[0.0001])
    with pytest.raises(DataError, match=r"has fractions \(float32\) and .* says scale 0.0001, and nobody can tell"):
        open_source(path, reads(SHARES))
    np.testing.assert_array_equal(whole(open_source(path, reads(SHARES), physical=False)).values, physical)
    np.testing.assert_allclose(
        whole(open_source(path, reads(SHARES), physical=True)).values, physical * 1e-4, rtol=1e-6
    )


def test_whole_numbers_are_no_shares(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"has whole numbers and says no scale, and the item scales shares of about 0.13"
    ):
        open_source(one(tmp_path), reads(SHARES))
    source = open_source(one(tmp_path), reads(SHARES), scale=0.0001, offset=-0.1)
    np.testing.assert_allclose(whole(source).values, STORED / 1e4 - 0.1, atol=1e-6)
    assert source.notes == ("B04: stored numbers times 0.0001 minus 0.1: as you said",)
    byte = (STORED // 40).astype(np.uint8)
    means = [{"type": "z-score", "mean": 0.485, "stddev": 0.229}]
    with pytest.raises(DataError, match=r"0.00392157 \(1/255\) for images of 8 bits"):
        open_source(one(tmp_path, byte), reads(means))
    np.testing.assert_array_equal(whole(open_source(one(tmp_path, byte), reads(means), physical=True)).values, byte)
    minmax = [{"type": "min-max", "minimum": 0, "maximum": 255}]
    np.testing.assert_array_equal(whole(open_source(one(tmp_path, byte), reads(minmax))).values, byte)


def test_numbers_that_both_may_be_meant_are_asked_for(tmp_path: Path) -> None:
    kelvin = [{"type": "z-score", "mean": 290, "stddev": 12}]
    path = one(tmp_path, scales=[0.02])
    with pytest.raises(
        DataError, match=r"scales numbers of about 290, .* so that both stored and physical values may be"
    ):
        open_source(path, reads(kelvin))
    np.testing.assert_allclose(whole(open_source(path, reads(kelvin), physical=True)).values, STORED * 0.02, rtol=1e-6)
    np.testing.assert_array_equal(whole(open_source(path, reads(kelvin), physical=False)).values, STORED)
    stated = reads(kelvin, bands={"unit": "K"})
    np.testing.assert_allclose(whole(open_source(path, stated)).values, STORED * 0.02, rtol=1e-6)
    byte = [{"type": "scale", "value": 255}]
    with pytest.raises(DataError, match="scales numbers of about 255"):
        open_source(one(tmp_path, scales=[0.0001]), reads(byte))


def test_what_the_item_says_of_its_own_bands_decides(tmp_path: Path) -> None:
    path = one(tmp_path, scales=[0.0001], offsets=[-0.1])
    harmonised = reads(COUNTS, bands={"raster:scale": 0.0001})
    np.testing.assert_array_equal(whole(open_source(path, harmonised)).values, STORED - 1000.0)
    as_is = reads(COUNTS, bands={"raster:scale": 0.0001, "raster:offset": -0.1})
    np.testing.assert_array_equal(whole(open_source(path, as_is)).values, STORED)
    in_counts = reads(None, bands={"unit": "DN"})
    np.testing.assert_array_equal(whole(open_source(one(tmp_path, scales=[0.0001]), in_counts)).values, STORED)


def test_a_model_of_whole_numbers_reads_stored_ones(tmp_path: Path) -> None:
    scene = item(tmp_path, OLD)
    block = whole(open_source(scene, reads(dtype="uint16")))
    assert block.values.dtype == np.uint16
    np.testing.assert_array_equal(block.values, STORED - 1000)
    low = item(tmp_path, OLD, np.full((1, 24, 30), 900, np.uint16))
    assert (whole(open_source(low, reads(dtype="uint16"))).values == 0).all()  # as the archives without offset have it


def test_reflectances_are_not_rounded_to_zeros_and_ones(tmp_path: Path) -> None:
    path = one(tmp_path, STORED / np.float32(10_000))
    with pytest.raises(DataError, match=r"has fractions such as 0\.\d+, and the model reads whole numbers \(uint16\)"):
        whole(open_source(path, reads(dtype="uint16")))
    found = whole(open_source(path, reads(dtype="uint16"), scale=10_000)).values
    np.testing.assert_array_equal(found, STORED)
    numbers = one(tmp_path, STORED + np.float32(0.25))  # as resampling leaves them
    np.testing.assert_array_equal(whole(open_source(numbers, reads(dtype="uint16"))).values, STORED)


def test_a_range_tells_as_a_scaling_does(tmp_path: Path) -> None:
    counts = reads(None, **{"interop:range": [0, 10_000]})
    np.testing.assert_array_equal(whole(open_source(item(tmp_path, OLD), counts)).values, STORED - 1000.0)
    shares = reads(None, **{"interop:range": [0, 1]})
    np.testing.assert_allclose(whole(open_source(item(tmp_path, OLD), shares)).values, STORED / 1e4 - 0.1, atol=1e-6)


def test_units_are_brought_to_those_of_the_item_or_refused(tmp_path: Path) -> None:
    values = np.linspace(270, 300, 720).reshape(24, 30).astype(np.float32)
    array = xr.DataArray(values, xr_coords(GeoBox((24, 30), CORNER, UTM)), ("y", "x"), "B04", {"units": "K"})
    found = open_source(array, reads(bands={"unit": "degC"}))
    np.testing.assert_allclose(whole(found).values[0], values - 273.15, atol=1e-4)
    assert found.notes == ("B04: brought from K to degC",)
    with pytest.raises(DataError, match="the data are in 'K' and the item says 'mm', which it cannot become"):
        open_source(array, reads(bands={"unit": "mm"}))
    power = array.copy(data=np.abs(values) / 1e4).assign_attrs(units="1")
    with pytest.raises(DataError, match="cannot become"):
        open_source(power, reads(bands={"unit": "K"}))


KELVINS = np.linspace(270, 300, 720).reshape(24, 30).astype(np.float32)
# GRIB2, product definition template 4.0: temperature (category 0, number 0) at 2 m above ground (surface 103).
TEMPERATURE = "0 0 0 255 128 0 0 0 1 0 0 0 0 103 0 0 0 0 2 255 255 255 255 255 255"


def grib(folder: Path) -> Path:
    import rasterio.shutil

    path = tif(folder / "t.tif", KELVINS, crs="EPSG:4326", transform=Affine(0.1, 0, 5, 0, -0.1, 53))
    how = {"PDS_PDTN": "0", "PDS_TEMPLATE_NUMBERS": TEMPERATURE, "INPUT_UNIT": "K", "DISCIPLINE": "0"}
    rasterio.shutil.copy(path, folder / "t.grib2", driver="GRIB", DATA_ENCODING="IEEE_FLOATING_POINT", **how)
    return folder / "t.grib2"


def of_an_array(folder: Path) -> Path:
    array = xr.DataArray(KELVINS, xr_coords(GeoBox((24, 30), CORNER, UTM)), ("y", "x"), attrs={"units": "K"})
    array.rio.to_raster(folder / "t.tif")
    return folder / "t.tif"


def of_a_dataset(folder: Path) -> Path:
    array = xr.DataArray(KELVINS, xr_coords(GeoBox((24, 30), CORNER, UTM)), ("y", "x"), attrs={"units": "K"})
    xr.Dataset({"B04": array, "more": array.assign_attrs(units="mm")}).rio.to_raster(folder / "t.tif")
    return folder / "t.tif"


@pytest.mark.parametrize("made", [grib, of_an_array, of_a_dataset])
def test_units_that_a_file_says_in_tags(tmp_path: Path, made: Any) -> None:
    """GRIB, which GDAL would give in Celsius, and what rioxarray writes of an attribute."""
    path = str(made(tmp_path))
    for unit, values in {"K": KELVINS, "degC": KELVINS - np.float32(273.15)}.items():
        found = whole(open_source(path, reads(bands={"unit": unit}))).values[0]
        np.testing.assert_allclose(found, values, atol=1e-4)
    with pytest.raises(DataError, match="the data are in 'K' and the item says 'mm', which it cannot become"):
        open_source(path, reads(bands={"unit": "mm"}))


def test_arrays_of_grib_that_rioxarray_read(tmp_path: Path) -> None:
    array = rioxarray.open_rasterio(grib(tmp_path), masked=True)  # in Celsius, which a tag says
    found = whole(open_source(array, reads(bands={"unit": "K"}))).values[0]
    np.testing.assert_allclose(found, KELVINS, atol=1e-3)


def test_a_file_and_its_item_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    path = one(tmp_path, scales=[0.001])
    scene = scene_item(tmp_path, {"B04": {"href": path, "raster:bands": [{"scale": 0.0001}]}}, id="two")
    with pytest.raises(DataError, match=r"item 'two' contradict each other, scale 0.001, offset 0 and scale 0.0001"):
        open_source(scene, reads(SHARES))
    np.testing.assert_allclose(whole(open_source(scene, reads(SHARES), scale=0.0001)).values, STORED / 1e4, rtol=1e-6)


def test_a_scale_that_leaves_no_number_what_it_was_is_refused(tmp_path: Path) -> None:
    path, asset = one(tmp_path), {"raster:bands": [{"scale": 0, "offset": 1}]}
    odd = tif(tmp_path / "odd.tif", STORED, names=["B04"], scales=[0.0])
    array = xr.DataArray(STORED[0], xr_coords(GeoBox((24, 30), CORNER, UTM)), ("y", "x"), "B04", {"scale_factor": 0.0})
    scene = scene_item(tmp_path, {"B04": {"href": path} | asset}, id="odd")
    for given, source in ((array, "the array 'B04'"), (scene, "item 'odd'"), (str(odd), str(odd))):
        with pytest.raises(DataError, match=f"{source} says scale 0.0, offset .*say the right ones"):
            open_source(given, reads())
        np.testing.assert_array_equal(whole(open_source(given, reads(), scale=2)).values, STORED * 2.0)


def test_packed_netcdf_is_unpacked_once(tmp_path: Path) -> None:
    grid = GeoBox((24, 30), CORNER, UTM)
    packed = xr.DataArray(STORED[0].astype(np.int16), xr_coords(grid), ("y", "x"), "B04")
    packed.attrs = {"scale_factor": 0.0001, "add_offset": -0.1, "_FillValue": np.int16(-1)}
    packed.to_dataset().to_netcdf(tmp_path / "a.nc")
    source = open_source(tmp_path / "a.nc", reads(SHARES))
    np.testing.assert_allclose(whole(source).values[0], STORED[0] / 1e4 - 0.1, atol=1e-6)
    with xr.open_dataset(tmp_path / "a.nc", decode_coords="all") as decoded:
        assert decoded.B04.dtype.kind == "f"
        again = open_source(decoded, reads(SHARES))
        np.testing.assert_allclose(whole(again).values[0], STORED[0] / 1e4 - 0.1, atol=1e-6)
        assert not again.notes


def test_a_system_that_no_variable_names(tmp_path: Path) -> None:
    """An encoding that is given drops the mapping's name: the commonest way to write packed NetCDF."""
    array = xr.DataArray(STORED[0] * 0.5, xr_coords(GeoBox((24, 30), CORNER, UTM)), ("y", "x"), "B04")
    array.encoding["grid_mapping"] = "spatial_ref"
    packing = {"dtype": "int32", "scale_factor": 0.5, "_FillValue": -1}
    array.to_dataset().to_netcdf(tmp_path / "a.nc", encoding={"B04": packing})
    with xr.open_dataset(tmp_path / "a.nc", decode_coords="all") as found:
        assert "spatial_ref" in found.data_vars
    source = open_source(tmp_path / "a.nc", reads(SHARES))
    assert str(source.grids["image"].crs) == str(UTM)
    np.testing.assert_allclose(whole(source).values[0], STORED[0] * 0.5)


def test_a_thousand_more_or_less_that_nothing_tells_is_said(tmp_path: Path) -> None:
    sentinel = model(tensor(["B04"], value_scaling=MEANS), constellation="sentinel-2")
    source = open_source(one(tmp_path), sentinel)
    np.testing.assert_array_equal(whole(source).values, STORED)
    [note] = source.notes
    assert note.startswith("B04: nothing says scale or offset, so stored numbers are taken as they are; if they are")
    told = open_source(one(tmp_path), sentinel, offset=-1000)
    np.testing.assert_array_equal(whole(told).values, STORED - 1000.0)
    assert told.notes == ("B04: stored numbers minus 1000: as you said",)
    assert open_source(one(tmp_path), sentinel, physical=False).notes == ()
    assert open_source(one(tmp_path), reads(MEANS)).notes == ()


@pytest.mark.parametrize(
    ("scaling", "left", "right", "says"),
    [
        (SHARES, {"scale": 1e-4, "offset": -0.1}, {}, "whole numbers and says no scale"),
        (None, {"scale": 1e-4, "offset": -0.1}, {}, "a.tif says what its numbers mean (stored numbers times 0.0001"),
        (COUNTS, {"scale": 1e-4}, {"scale": 2e-4}, "by scale 0.0001 and offset 0, and"),
        (COUNTS, {"scale": 1e-4}, {"scale": 1e-4}, None),
        (SHARES, {"scale": 1e-4}, {"scale": 2e-4, "offset": -0.1}, None),
    ],
)
def test_files_of_one_band_mean_the_same_or_are_refused(
    tmp_path: Path, scaling: Any, left: dict[str, float], right: dict[str, float], says: str | None
) -> None:
    """Of the two halves of a picture one is 0.4 and the other 5000, where only one of their items says a scale."""
    items = []
    for name, said, begin in (("a", left, 0), ("b", right, 15)):
        tif(tmp_path / f"{name}.tif", STORED[:, :, begin : begin + 15], transform=CORNER @ Affine.translation(begin, 0))
        band = {"name": "B04", **{f"raster:{key}": value for key, value in said.items()}}
        href = str(tmp_path / f"{name}.tif")
        items.append(scene_item(tmp_path, {"red": {"href": href, "bands": [band]}}, id=name))
    both = {"type": "FeatureCollection", "features": items}
    if says is None:
        halves = [STORED] * 2
        if scaling is SHARES:
            halves = [STORED * said["scale"] + said.get("offset", 0) for said in (left, right)]
        wanted = np.concatenate([halves[0][..., :15], halves[1][..., 15:]], axis=-1)
        np.testing.assert_allclose(whole(open_source(both, reads(scaling))).values, wanted, atol=1e-6)
        return
    with pytest.raises(DataError) as caught:
        open_source(both, reads(scaling))
    assert says in str(caught.value)
    stored = open_source(both, reads(scaling), physical=False)
    np.testing.assert_array_equal(whole(stored).values, STORED)


def test_a_date_that_says_no_unit_beside_one_that_is_converted_is_refused(tmp_path: Path) -> None:
    """Of two dates one was brought from kelvins, and the other was 273 degrees warmer."""
    paths = [tif(tmp_path / f"t_2024010{n}.tif", STORED.astype("float32"), names=["B04"]) for n in (1, 2)]
    order = ("batch", "time", "bands", "height", "width")
    celsius = model(tensor(["B04"], (-1,) * 5, order), bands=[{"name": "B04", "unit": "degC"}])
    for path, unit in zip(paths, ("K", "degC"), strict=True):
        if path != paths[0]:
            with pytest.raises(DataError, match=r"_20240101.tif says what its numbers mean .*_20240102.tif says noth"):
                open_source(paths, celsius)
        with rasterio.open(path, "r+") as file:
            file.units = [unit]
    wanted = np.stack([STORED - 273.15, STORED])
    np.testing.assert_allclose(whole(open_source(paths, celsius)).values, wanted, rtol=1e-5)


@pytest.mark.parametrize("said", [-3.402823e38, -3.4028234663852886e38, -3.4e38])
def test_nodata_in_few_digits_is_what_gdal_masks(tmp_path: Path, said: float) -> None:
    values = np.full((1, 24, 30), 0.25, np.float32)
    values[0, :4, :5], values[0, 10, :3] = np.finfo(np.float32).min, (-3.4e38, 3e38, -9999)
    path = one(tmp_path, values, nodata=said)
    with rasterio.open(path) as file:
        gone = file.read_masks(1) == 0
    found = whole(open_source(path, reads()))
    assert gone.sum() == 21
    np.testing.assert_array_equal(np.zeros(gone.shape, bool) if found.missing is None else found.missing[0], gone)
