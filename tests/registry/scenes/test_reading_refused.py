"""What cannot be read is one line: what was asked, what was found, what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.control import GroundControlPoint
from rasterio.shutil import copy
from rasterio.transform import Affine
from tests.registry.scenes.reading_models import CORNER, UTM, model, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.opening import open_source

NAMES = ["B02", "B03", "B04"]
VALUES = np.random.default_rng(0).integers(1, 10_000, (3, 256, 256)).astype(np.uint16)
MODEL = model(tensor(["B04", "B02"]))


def refused(sources: Any, reads: Any = MODEL, **options: Any) -> str:
    """Return the line with which it is refused."""
    with pytest.raises(DataError) as error:
        whole(open_source(sources, reads, **options), reads.signature.inputs[0].name)
    line = str(error.value)
    assert "\n" not in line
    assert "bug" not in line.casefold()
    return line


def test_a_raster_that_lies_nowhere(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES, names=NAMES, crs=None)
    assert refused(path) == (
        f"{path} says no reference system, so that a map of it would lie nowhere: name it, --crs EPSG:…"
    )
    assert open_source(path, MODEL, crs=UTM).grids["image"].crs == UTM
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = tif(tmp_path / "b.tif", VALUES, names=NAMES, crs=None, transform=Affine.identity())
    assert "says no place" in refused(path)
    points = [GroundControlPoint(row, col, 16 + col / 1e3, 52 - row / 1e3) for row, col in ((0, 0), (0, 9), (9, 0))]
    with rasterio.open(
        tmp_path / "c.tif", "w", driver="GTiff", width=9, height=9, count=1, dtype="uint8", gcps=points, crs="EPSG:4326"
    ) as file:
        file.write(np.ones((1, 9, 9), np.uint8))
    assert "says only ground control points, so that a map of it would lie nowhere: warp it first" in refused(
        tmp_path / "c.tif"
    )
    path = tif(tmp_path / "d.tif", VALUES, names=NAMES)
    assert "degrees of latitude, by EPSG:4326: it has another reference system" in refused(path, crs="EPSG:4326")
    assert "lies north of" in refused(path, bbox=[14, 53, 16, 52])
    array = xr.DataArray(VALUES[:2], {"band": ["B04", "B02"]}, ("band", "y", "x"))
    assert "no coordinates along 'y' and 'x' and no transform" in refused(array)
    placed = array.assign_coords(y=np.arange(256.0) * -10 + 5e6, x=np.arange(256.0) * 10 + 6e5)
    assert "says no reference system" in refused(placed)
    assert open_source(placed, MODEL, crs=UTM).grids["image"].crs == UTM
    uneven = placed.assign_coords(y=np.sort(np.random.default_rng(0).random(256) * 2560)[::-1], spatial_ref=0)
    assert "apart" in refused(uneven, crs=UTM)


def test_bands_that_are_not_there_or_may_be_several(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES, names=["B02", "red", "B8A"])
    assert refused(path) == (
        "input 'image' needs the bands B04, B02; found B02, red, B8A: B04 missing: load it; or say which are meant, "
        "--bands, in the order B04,B02"
    )
    assert refused(path, bands="B03,B02") == (
        "input 'image': the scene has no band 'B03', or several; it has 1 B02, 2 red, 3 B8A: name one of them"
    )
    assert "reads 2 bands (B04, B02), and 3 are named" in refused(path, bands="B02,red,B8A")
    assert "has no band 'B05': its bands are B04, B02" in refused(path, bands={"B05": "red"})
    both = [path, tif(tmp_path / "b.tif", VALUES, names=["B02", "red", "B8A"])]
    assert "both are the band red, of one place and time: name one of them" in refused(both, bands="red,B02")
    assert "reads one band and does not name them; the scene has 3" in refused(
        path, model(tensor([], (-1, -1, -1), ("batch", "height", "width")))
    )


def test_what_is_no_raster(tmp_path: Path) -> None:
    text = tmp_path / "a.tif"
    text.write_text("not a raster at all")
    assert refused(text) == (
        f"cannot open {text}: it is no raster that GDAL reads here; it begins with b'not a raster at ': name a "
        "GeoTIFF, VRT or JPEG 2000"
    )
    text.write_bytes(b"\x0e\x03\x13\x01" + b"0" * 100)
    assert refused(text).startswith(f"cannot open {text}: it is HDF4, which this GDAL does not read: make a GeoTIFF")
    empty = tmp_path / "b.tif"
    empty.write_bytes(b"")
    assert refused(empty) == f"cannot open {empty}: it is empty"
    assert refused(tmp_path / "none.tif") == f"cannot open {tmp_path / 'none.tif'}: there is no such file"
    assert refused(tmp_path / "none.nc") == f"cannot open {tmp_path / 'none.nc'}: there is no such file"
    (tmp_path / "c.nc").write_text("no")
    assert refused(tmp_path / "c.nc").startswith(f"cannot open {tmp_path / 'c.nc'}: ")
    (tmp_path / "folder").mkdir()
    assert "is a folder, neither Zarr nor a product of Sentinel-2" in refused(tmp_path / "folder")
    assert refused([]) == "no scene is named: name a raster, a STAC item, an array or a search"
    assert refused(3) == "a scene is a path, a URL, a STAC item or an array of xarray, not int"


def test_a_file_that_hides_an_address_of_a_server(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_text("<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:1/${x}</ServerUrl></Service></GDAL_WMS>")
    assert "no raster that GDAL reads here" in refused(path)
    vrt = tmp_path / "a.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="9" rasterYSize="9"><SRS>EPSG:32633</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform>'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>/vsicurl/http://127.0.0.1:1/a.tif'
        '</SourceFilename><SourceBand>1</SourceBand><SourceProperties RasterXSize="9" RasterYSize="9" DataType="Byte"/>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert "over the network: name that itself, if it is meant" in refused(vrt, bands=[1, 1])


def test_complex_numbers(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES[:2].astype(np.complex64), names=["B04", "B02"])
    assert "band 1 holds complex numbers (complex64): give amplitude or intensity" in refused(path)
    whole_numbers = tmp_path / "b.tif"
    profile = {"driver": "GTiff", "width": 9, "height": 9, "count": 2, "crs": UTM, "transform": CORNER}
    with rasterio.open(whole_numbers, "w", dtype="complex_int16", **profile) as file:
        file.descriptions = ("B04", "B02")
    assert "holds complex numbers (complex_int16)" in refused(whole_numbers)


def test_rasters_of_several_systems_or_places(tmp_path: Path) -> None:
    one = tif(tmp_path / "B04.tif", VALUES[0])
    other = tif(tmp_path / "B02.tif", VALUES[1], crs="EPSG:32632")
    assert refused([one, other]) == (
        f"{one} is in EPSG:32633 and {other} in EPSG:32632: say onto which grid, --grid, such as the reference "
        "system of one of them"
    )
    (tmp_path / "far").mkdir()
    far = tif(tmp_path / "far" / "B02.tif", VALUES[1], transform=CORNER @ Affine.translation(5000, 0))
    grid = open_source(one, model(tensor(["B04"]))).grids["image"]
    assert refused([one, far], grid=grid) == (
        f"input 'image': {far} does not overlap the rest of the scene: name rasters of one place"
    )


def in_tiles(path: Path) -> Path:
    """Write a raster in tiles of 128, what is where standing at its beginning."""
    plain = tif(path.with_name(f"plain_{path.name}"), VALUES, names=NAMES)
    copy(plain, path, driver="COG", BLOCKSIZE=128, COMPRESS="DEFLATE", OVERVIEWS="NONE")
    plain.unlink()
    return path


def cut_off(path: Path, share: float) -> Path:
    """Leave of a raster its beginning, as a download does that broke off."""
    content = in_tiles(path).read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_a_raster_that_is_cut_off(tmp_path: Path) -> None:
    path = cut_off(tmp_path / "a.tif", 0.6)
    source = open_source(path, MODEL)
    first, last = (slice(0, 64), slice(0, 64)), (slice(192, 256), slice(64, 256))
    np.testing.assert_array_equal(source.read("image", first).values, VALUES[[2, 0], :64, :64])
    with pytest.raises(DataError, match=rf"cannot read {path}, rows 192 to 255, columns 64 to 255: .*--skip-errors\)"):
        source.read("image", last)
    # A read that failed spoils no later one.
    np.testing.assert_array_equal(source.read("image", first).values, VALUES[[2, 0], :64, :64])
    skipping = open_source(path, MODEL, skip_errors=True, fill=3)
    block = skipping.read("image", last)
    assert block.missing is not None
    assert block.missing.all()
    assert (block.values == 3).all()
    assert len(skipping.skipped) == 1
    assert "rows 192 to 255, columns 64 to 255" in skipping.skipped[0]
    for share in (0.0005, 0.002, 0.01):
        assert str(tmp_path / "b.tif") in refused(cut_off(tmp_path / "b.tif", share))


def test_a_tile_that_is_broken(tmp_path: Path) -> None:
    path = in_tiles(tmp_path / "a.tif")
    with rasterio.open(path) as file:
        place = int(file.get_tag_item("BLOCK_OFFSET_1_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[place : place + 200] = bytes(200)
    path.write_bytes(content)
    skipping = open_source(path, MODEL, skip_errors=True)
    blocks = [
        skipping.read("image", (slice(row, row + 64), slice(column, column + 64)))
        for row in range(0, 256, 64)
        for column in range(0, 256, 64)
    ]
    gone = [block for block in blocks if block.missing is not None]
    assert len(gone) == len(skipping.skipped) == 4  # of one tile of the file
    assert "cannot read" in refused(path)


def test_windows_that_are_none(tmp_path: Path) -> None:
    source = open_source(tif(tmp_path / "a.tif", VALUES, names=NAMES), MODEL)
    for window in ((slice(0, 300), slice(0, 9)), (slice(5, 5), slice(0, 9)), (slice(-3, 9), slice(0, 9))):
        with pytest.raises(DataError, match="is none of the grid of 'image', which has 256 x 256 pixels"):
            source.read("image", window)
    with pytest.raises(DataError, match="was opened for the inputs image, not 'other'"):
        source.read("other", (slice(0, 9), slice(0, 9)))


def test_an_item_that_speaks_of_more_bands_than_there_are(tmp_path: Path) -> None:
    tif(tmp_path / "a.tif", VALUES[:1])
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "x", "geometry": None, "links": [],
        "properties": {"datetime": "2023-06-01T10:00:00Z"},
        "assets": {"a": {"href": "./a.tif", "type": "image/tiff", "eo:bands": [{"name": "B02"}, {"name": "B04"}]}},
    }  # fmt: skip
    (tmp_path / "item.json").write_text(json.dumps(item))
    assert "its item speaks of 2 bands, and it has 1" in refused(tmp_path / "item.json")


def test_inputs_that_no_scene_has(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", VALUES, names=NAMES)
    level = model(tensor(["B04"], (-1, 1, 5, -1, -1), ("batch", "bands", "level", "height", "width")))
    assert "a scene has no 'level': give arrays" in refused(path, level)
    rows = model(tensor(["B04"], (-1, 1, -1), ("batch", "bands", "height")))
    assert "it has rows or columns alone, and is no image: give arrays" in refused(path, rows)
    assert "the model has no input 'x'" in refused({"x": path})


def test_what_was_read_is_kept_for_the_next_window(tmp_path: Path) -> None:
    path = in_tiles(tmp_path / "a.tif")
    source = open_source(path, MODEL)
    window = (slice(10, 100), slice(20, 120))
    before = source.read("image", window).values
    content = path.read_bytes()
    with path.open("r+b") as file:  # the same file, without its pixels
        file.write(content[:1000] + bytes(len(content) - 1000))
    np.testing.assert_array_equal(source.read("image", (slice(12, 98), slice(22, 118))).values, before[:, 2:-2, 2:-2])
    with pytest.raises(DataError):
        source.read("image", (slice(200, 256), slice(200, 256)))
