"""Assets of others' items: copies elsewhere, pictures, types of servers, two codes for what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import rioxarray  # noqa: F401 - for .rio
import xarray as xr
from affine import Affine
from tests.registry.scenes.reading_models import UTM, model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.opening import open_source

VALUES = np.arange(1, 21, dtype=np.float32).reshape(4, 5)
MODEL = model(tensor(["red"]))
BANDS = {"bands": [{"name": "red"}]}


def item(folder: Path, name: str = "item.json", links: Any = (), **assets: dict[str, Any]) -> Path:
    """Write an item, whose file is there."""
    tif(folder / "red.tif", VALUES, names=["red"])
    found = scene_item(folder, {key: BANDS | asset for key, asset in assets.items()}) | {"links": list(links)}
    (folder / name).write_text(json.dumps(found))
    return folder / name


@pytest.mark.parametrize("main", ["./gone.tif", "http://127.0.0.1:9/red.tif"])
def test_a_copy_is_read_where_the_file_itself_is_not_there(tmp_path: Path, main: str) -> None:
    copies = {"far": {"href": "http://127.0.0.1:9/red.tif"}, "here": {"href": "./red.tif"}, "odd": "./red.tif"}
    path = item(tmp_path, red={"href": main, "alternate": copies})
    found = open_source(path, MODEL)
    np.testing.assert_array_equal(whole(found).values[0], VALUES)
    (note,) = found.notes
    assert "gone.tif cannot be opened" in note or "127.0.0.1:9/red.tif cannot be opened" in note
    assert note.endswith(f"its copy {tmp_path / 'red.tif'} is read")
    (tmp_path / "red.tif").unlink()
    with pytest.raises(DataError, match=r"cannot open .*(gone.tif: there is no such file|9/red.tif: )"):
        open_source(path, MODEL)


def test_a_file_that_opens_and_is_no_good_has_no_copy(tmp_path: Path) -> None:
    tif(tmp_path / "complex.tif", VALUES.astype("complex64"), names=["red"])
    path = item(tmp_path, red={"href": "./complex.tif", "alternate": {"here": {"href": "./red.tif"}}})
    with pytest.raises(DataError, match="complex numbers"):
        open_source(path, MODEL)


def test_a_copy_of_a_cube(tmp_path: Path) -> None:
    array = xr.DataArray(VALUES, {"y": -np.arange(4.0) * 10, "x": np.arange(5.0) * 10}, ("y", "x"), "red")
    array.to_dataset().to_netcdf(tmp_path / "red.nc")
    asset = {"type": "application/netcdf", "href": "./gone.nc", "alternate": {"here": {"href": "./red.nc"}}}
    found = open_source(item(tmp_path, red=asset), MODEL, crs="EPSG:32633")
    np.testing.assert_array_equal(whole(found).values[0], VALUES)


def test_an_item_that_was_copied_has_its_files_beside_it(tmp_path: Path) -> None:
    links = [{"rel": "self", "href": "https://example.invalid/scenes/item.json", "type": "application/geo+json"}]
    path = item(tmp_path, links=links, red={"href": "./red.tif"})
    np.testing.assert_array_equal(whole(open_source(path, MODEL)).values[0], VALUES)
    moved = pystac.Item.from_file(path)  # which pystac places where it was read
    np.testing.assert_array_equal(whole(open_source(moved, MODEL)).values[0], VALUES)


@pytest.mark.parametrize(
    "kind", ["image/geotiff", "application/octet-stream", "binary/octet-stream", "application/x-geotiff", None]
)
def test_types_of_servers(tmp_path: Path, kind: str | None) -> None:
    path = item(tmp_path, red={"type": kind})
    np.testing.assert_array_equal(whole(open_source(path, MODEL)).values[0], VALUES)


def test_a_picture_is_data_where_its_item_says_so_and_has_nothing_else(tmp_path: Path) -> None:
    tif(tmp_path / "picture.tif", VALUES * 2, names=["red"])
    picture = {"href": "./picture.tif", "roles": ["data", "visual"]}
    found = whole(open_source(item(tmp_path, visual=picture), MODEL)).values
    np.testing.assert_array_equal(found[0], VALUES * 2)
    both = whole(open_source(item(tmp_path, red={}, visual=picture), MODEL)).values
    np.testing.assert_array_equal(both[0], VALUES)
    with pytest.raises(DataError, match="has no asset that is a raster"):
        open_source(item(tmp_path, visual=picture | {"roles": ["visual"]}), MODEL)


def test_of_two_assets_of_one_band_the_one_that_is_named(tmp_path: Path) -> None:
    tif(tmp_path / "quality.tif", VALUES * 2, names=["red"])
    path = item(tmp_path, data={"href": "./red.tif"}, quality={"href": "./quality.tif", "roles": ["saturation"]})
    with pytest.raises(DataError, match="data and quality both are the band red: say which is meant, --bands"):
        open_source(path, MODEL)
    for key, factor in (("data", 1), ("quality", 2)):
        for bands in (key, {"red": key}):
            np.testing.assert_array_equal(whole(open_source(path, MODEL, bands=bands)).values[0], VALUES * factor)


def test_what_the_file_or_its_item_calls_missing_is(tmp_path: Path) -> None:
    tif(tmp_path / "coded.tif", VALUES, names=["red"], nodata=5)
    for said, missing in ((3, {3, 5}), ("nan", {5}), (5, {5}), (None, {5})):
        asset = {"href": "./coded.tif", "bands": [{"name": "red"} | ({} if said is None else {"nodata": said})]}
        block = whole(open_source(item(tmp_path, red=asset), MODEL))
        assert set(VALUES[block.missing[0]]) == missing


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ({"raster:scale": 2}, {"scale": 3}, "scale 3 and scale 2"),
        ({"nodata": 4}, {"nodata": 3}, "nodata 3 and nodata 4"),
        ({"unit": "K"}, {"unit": "degC"}, "unit degC and unit K"),
    ],
)
def test_lists_of_two_versions_that_contradict_each_other(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], what: str
) -> None:
    tif(tmp_path / "whole.tif", VALUES.astype("uint16"), names=["red"])
    asset = {"href": "./whole.tif", "bands": [{"name": "red"} | one], "raster:bands": [other]}
    path = item(tmp_path, red=asset)
    with pytest.raises(DataError, match=f"whole.tif: its item says {what}, in lists of two versions"):
        open_source(path, MODEL)
    unused = item(tmp_path, red={"href": "./red.tif"}, nir=asset | {"bands": [{"name": "nir"} | one]})
    np.testing.assert_array_equal(whole(open_source(unused, MODEL)).values[0], VALUES)
    alike = asset | {"raster:bands": [{key.removeprefix("raster:"): value for key, value in one.items()}]}
    open_source(item(tmp_path, red=alike), MODEL)
    bands, old = {"name": "red", "unit": "K", "nodata": "nan"}, {"unit": "kelvin", "nodata": "NaN"}
    open_source(item(tmp_path, red={"href": "./red.tif", "bands": [bands], "raster:bands": [old]}), MODEL)


@pytest.mark.parametrize("of", ["bands", "asset"])
@pytest.mark.parametrize("kind", ["classes", "bitfields"])
def test_nothing_lies_between_classes_or_bits(tmp_path: Path, kind: str, of: str) -> None:
    flags = np.array([[4, 5], [64, 1]], np.uint8)
    tif(tmp_path / "qa.tif", flags, names=["qa"], transform=Affine(20, 0, 600_000, 0, -20, 5_800_000))
    said = {f"classification:{kind}": [{"value": 4, "name": "clear", "offset": 0, "length": 1, "classes": []}]}
    asset = {"bands": [{"name": "qa"} | said]} if of == "bands" else said | {"bands": [{"name": "qa"}]}
    path = item(tmp_path, red={"href": "./red.tif"}, qa={"href": "./qa.tif"} | asset)
    found = whole(open_source(path, model(tensor(["red", "qa"])))).values
    np.testing.assert_array_equal(found[1, :4, :4], np.kron(flags, np.ones((2, 2))))


@pytest.mark.parametrize("how", ["tags", "flag_masks", "model"])
def test_nothing_lies_between_what_a_file_names(tmp_path: Path, how: str) -> None:
    """As our own maps do, of more classes than have a place in a palette."""
    tif(tmp_path / "red.tif", VALUES[:, :4], names=["red"])
    numbers, affine = np.array([[4, 300], [64, 1]], np.uint16), Affine(20, 0, 600_000, 0, -20, 5_800_000)
    said = [{"name": "map", "classification:classes": [{"value": 4, "name": "water"}]}] if how == "model" else []
    if how != "flag_masks":
        path = tif(tmp_path / "map.tif", numbers, names=["map"], transform=affine)
    if how == "tags":
        with rasterio.open(path, "r+") as file:
            file.update_tags(1, CLASS_4="water", CLASS_300="rock")
    if how == "flag_masks":
        y, x = 5_800_000 - 20 * np.arange(2.0) - 10, 600_000 + 20 * np.arange(2.0) + 10
        flags = xr.DataArray(numbers, {"y": y, "x": x}, ("y", "x"), "map", {"flag_masks": np.array([1, 4], np.uint16)})
        path = tmp_path / "map.nc"
        flags.rio.write_crs(UTM).to_dataset().to_netcdf(path)
    found = whole(open_source([tmp_path / "red.tif", path], model(tensor(["red", "map"]), bands=said))).values
    np.testing.assert_array_equal(found[1], np.kron(numbers, np.ones((2, 2))))


def test_a_list_of_numbers_that_is_shorter_than_that_of_bands_says_nothing_of_the_rest(tmp_path: Path) -> None:
    names = ["red", "green", "nir"]
    values = np.stack([VALUES * n for n in (1, 2, 3)]).astype("uint16")
    tif(tmp_path / "all.tif", values)
    bands = {"eo:bands": [{"name": name} for name in names], "raster:bands": [{"scale": 0.01, "offset": -0.1}] * 2}
    found = scene_item(tmp_path, {"all": {"href": str(tmp_path / "all.tif"), **bands}})
    told = open_source(found, model(tensor(["green", "red"])))
    np.testing.assert_allclose(whole(told).values, values[[1, 0]] * 0.01 - 0.1, atol=1e-6)
    plain = {**found["assets"]["all"], "raster:bands": [{"nodata": 0, "scale": None}]}
    assert not open_source({**found, "assets": {"all": plain}}, model(tensor(names))).notes
    with pytest.raises(DataError, match=r"band 3: its item says scale and offset of 2 of its 3 bands: correct it"):
        open_source(found, model(tensor(names)))
    stored = open_source(found, model(tensor(names)), physical=False)
    np.testing.assert_array_equal(whole(stored).values, values)


def test_items_of_two_sensors_that_call_other_light_alike_are_refused(tmp_path: Path) -> None:
    """B06 of the two halves of HLS is the red edge, and short-wave infrared."""
    items = []
    for name, light, begin in (("S30", "rededge", 0), ("L30", "swir16", 5)):
        path = tif(tmp_path / f"{name}.tif", VALUES, transform=Affine(10, 0, 600_000 + 10 * begin, 0, -10, 5_800_000))
        bands = [{"name": "B06", "common_name": light}]
        items.append(scene_item(tmp_path, {"B06": {"href": str(path), "eo:bands": bands}}, id=name))
    both = {"type": "FeatureCollection", "features": items}
    with pytest.raises(DataError, match=r"S30\.tif calls B06 what sees rededge, and .*L30\.tif what sees swir16"):
        open_source(both, model(tensor(["B06"])))


def test_an_item_that_lacks_a_band_is_said(tmp_path: Path) -> None:
    items = []
    for begin, names in ((0, ["red", "nir"]), (5, ["red"])):
        assets = {}
        for name in names:
            place = Affine(10, 0, 600_000 + 10 * begin, 0, -10, 5_800_000)
            path = tif(tmp_path / f"{name}{begin}.tif", VALUES, names=[name], transform=place)
            assets[name] = {"href": str(path), "bands": [{"name": name}]}
        items.append(scene_item(tmp_path, assets, id=f"s{begin}"))
    found = open_source({"type": "FeatureCollection", "features": items}, model(tensor(["nir", "red"])))
    assert found.notes == (f"{tmp_path}/red5.tif is of a source without nir: where no other has it, the map is masked",)
    block = whole(found)
    assert block.missing is not None
    np.testing.assert_array_equal(block.missing[0].any(0), np.arange(10) >= 5)
    assert not block.missing[1].any()
    files = open_source([tmp_path / "red0.tif", tmp_path / "nir0.tif"], model(tensor(["nir", "red"])))
    assert files.notes == ()


def test_numbers_that_an_item_writes_as_text_are_numbers(tmp_path: Path) -> None:
    """An offset was left out without a word, as it came from tags of GDAL."""
    path = tif(tmp_path / "a.tif", (VALUES * 1000).astype("uint16"))
    numbers = {"scale": "0.0001", "offset": "-0.1", "nodata": "3000"}
    found = scene_item(tmp_path, {"red": {"href": str(path), "eo:bands": [{"name": "red"}], "raster:bands": [numbers]}})
    block = whole(open_source(found, MODEL))
    assert block.missing is not None
    np.testing.assert_array_equal(block.missing[0], VALUES == 3)
    np.testing.assert_allclose(block.values[~block.missing], (VALUES / 10 - 0.1)[VALUES != 3], atol=1e-6)
