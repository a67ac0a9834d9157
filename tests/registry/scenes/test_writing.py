"""Maps as Cloud Optimised GeoTIFF, Zarr and NetCDF: what is in them, byte for byte, and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from tests.registry.scenes.in_memory import CLASSES, NAMES, UTM, InMemory, class_map, scores

from modelstac.catalog.errors import DataError, ModelStacError, StorageError
from modelstac.catalog.items.digests import sha256
from modelstac.registry.scenes.rasters import Class, Layer
from modelstac.registry.scenes.writing.layers import colored, windows
from modelstac.registry.scenes.writing.write import check_targets, write, write_preview

DIGEST = "ab" * 32
MODEL = pystac.Item("land-1.0.0-onnx", None, None, datetime(2026, 1, 1, tzinfo=UTC), {"title": "Land cover"})
MODEL.add_asset("model", pystac.Asset("m.onnx", roles=["mlm:model"], extra_fields={"file:checksum": "1220" + DIGEST}))
SCENE = pystac.Link("derived_from", "https://example.org/scene.json")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_class_map_is_a_valid_cog_with_all_that_it_means(tmp_path: Path) -> None:
    from rio_cogeo.cogeo import cog_validate

    raster = class_map()
    write([raster], tmp_path / "map.tif", model=MODEL, origins=[SCENE], notes=["offset -1000"], item=False)
    assert cog_validate(tmp_path / "map.tif", strict=True, quiet=True)[:3] == (True, [], [])
    with rasterio.open(tmp_path / "map.tif") as file:
        assert np.array_equal(file.read(), raster.values)
        assert (file.crs.to_epsg(), file.transform, file.nodata) == (32633, UTM.affine, 255)
        colours = {value: colour[:3] for value, colour in file.colormap(1).items() if value < len(CLASSES)}
        assert colours == {i: tuple(bytes.fromhex(str(c.color)[1:])) for i, c in enumerate(colored(CLASSES))}
        assert {f"CLASS_{i}": name for i, name in enumerate(NAMES)}.items() <= file.tags(1).items()
        assert file.descriptions == ("cover",)
        told = file.tags()
        assert told["MODELSTAC_MODEL"] == "land-1.0.0-onnx"
        assert told["MODELSTAC_MODEL_SHA256"] == DIGEST
        assert told["MODELSTAC_SCENE"] == "https://example.org/scene.json"
        assert told["MODELSTAC_NOTES"] == "offset -1000"
        assert told["TIFFTAG_IMAGEDESCRIPTION"] == "Land cover"
        assert told["TIFFTAG_SOFTWARE"].startswith("modelstac ")
    assert files(tmp_path) == ["map.tif"]  # nothing beside it that could be lost


def test_overviews_are_the_most_frequent_class_and_the_mean_of_what_is_there(tmp_path: Path) -> None:
    quarter = np.array([[3, 3], [3, 255]], "uint8")
    values = np.tile(quarter, (300, 350))[None]
    values[0, :2, :2] = [[255, 255], [255, 7]]
    raster = InMemory(class_map().layer, values)
    write([raster], tmp_path / "map.tif", item=False)
    with rasterio.open(tmp_path / "map.tif", overview_level=0) as file:
        found = file.read(1)
    assert found[0, 0] == 7
    assert (found.ravel()[1:] == 3).all()

    numbers = np.tile(np.array([[1, 2], [6, np.nan]], "float32"), (300, 350))[None]
    layer = Layer("height", UTM, "float32", ("height",), nodata=float("nan"), unit="m")
    write([InMemory(layer, numbers)], tmp_path / "height.tif", item=False)
    with rasterio.open(tmp_path / "height.tif", overview_level=0) as file:
        assert np.allclose(file.read(1), 3)
    with rasterio.open(tmp_path / "height.tif") as file:
        assert file.units == ("m",)
        assert np.isnan(file.nodata)


def test_scores_of_many_bands_keep_their_names_and_values(tmp_path: Path) -> None:
    from rio_cogeo.cogeo import cog_validate

    raster = scores(unit="1")
    write([raster], tmp_path / "map.TIF", item=False)
    assert cog_validate(tmp_path / "map.TIF", strict=True, quiet=True)[:3] == (True, [], [])
    with rasterio.open(tmp_path / "map.TIF") as file:
        assert file.descriptions == NAMES
        assert np.array_equal(file.read(), raster.values, equal_nan=True)


def test_blocks_that_fill_the_grid_are_enough(tmp_path: Path) -> None:
    grid = GeoBox((1024, 2048), UTM.affine, UTM.crs)
    raster = scores(grid, bands=NAMES[:2])
    write([raster], tmp_path / "map.tif", item=False)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.overviews(2) == [2, 4]
        assert np.array_equal(file.read(), raster.values, equal_nan=True)


@pytest.mark.parametrize("count", [3, 4])
def test_bands_of_bytes_are_no_picture(tmp_path: Path, count: int) -> None:
    names = NAMES[:count]
    values = np.full((count, 600, 700), 100, "uint8")
    values[-1] = 0  # no transparency either
    write([InMemory(Layer("part", UTM, "uint8", names), values)], tmp_path / "map.tif", item=False)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert np.array_equal(file.read(), values)
        assert rasterio.enums.ColorInterp.alpha not in file.colorinterp
        assert rasterio.enums.ColorInterp.red not in file.colorinterp
        assert file.dataset_mask().all()


@pytest.mark.parametrize("end", ["tif", "nc", "zarr", "parquet", "gpkg", "geojson", "png"])
def test_the_same_result_gives_the_same_bytes(tmp_path: Path, end: str) -> None:
    place = {"parquet": "vector", "gpkg": "vector", "geojson": "vector", "png": "preview"}.get(end)
    found: list[Any] = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        target = folder / f"out.{end}"
        named: dict[str, Any] = {"model": MODEL, "item": False}
        if place is None:
            write([class_map()], target, **named)
        else:
            write([class_map()], folder / "map.tif", **named, **{place: target})
        paths = sorted(target.rglob("*")) if target.is_dir() else [target]
        found.append({path.relative_to(folder): sha256(path) for path in paths if path.is_file()})
    assert found[0] == found[1]


def test_several_layers_are_a_file_each_or_variables(tmp_path: Path) -> None:
    import xarray as xr

    rasters = [class_map(), scores(unit="1")]
    written = write(rasters, tmp_path / "map.tif")
    assert [Path(found.href).name for found in written] == ["map-cover.tif", "map-scores.tif", "map.json"]
    for name in ("map.nc", "map.zarr"):
        write(rasters, tmp_path / name, model=MODEL, item=False)
        with xr.open_dataset(tmp_path / name, decode_coords="all", mask_and_scale=False) as found:
            assert found.attrs["Conventions"] == "CF-1.11"
            assert found.attrs["source"] == "land-1.0.0-onnx"
            assert found.attrs["model_sha256"] == DIGEST
            assert np.array_equal(found["cover"], class_map().values[0])
            assert np.array_equal(found["scores"], scores().values, equal_nan=True)
            assert list(found["band"].values) == list(NAMES)
            assert list(found["cover"].attrs["flag_values"]) == list(range(9))
            assert found["cover"].attrs["flag_meanings"].split()[3:6] == ["flooded_vegetation", "crops", "shrub_scrub"]
            assert found["cover"].attrs["_FillValue"] == 255
            assert found["scores"].attrs["units"] == "1"


def test_layers_of_different_grids_are_groups(tmp_path: Path) -> None:
    import xarray as xr

    finer = GeoBox((1200, 1400), Affine(5, 0, 500_000, 0, -5, 5_000_000), "EPSG:32633")
    for name in ("map.nc", "map.zarr"):
        write([class_map(), scores(finer, bands=("height",))], tmp_path / name, item=False)
        with xr.open_dataset(tmp_path / name, group="scores", decode_coords="all") as found:
            assert found["scores"].shape == (1200, 1400)
            assert found["x"].values[0] == 500_002.5


@pytest.mark.parametrize("name", ["y", "spatial_ref", "dense/Softmax:0", "../up"])
def test_odd_names_of_layers_are_no_paths_and_clash_with_nothing(tmp_path: Path, name: str) -> None:
    import xarray as xr

    raster = class_map()
    raster = InMemory(replace(raster.layer, name=name), raster.values)
    write([raster], tmp_path / "map.nc", item=False)
    with xr.open_dataset(tmp_path / "map.nc", decode_coords="all", mask_and_scale=False) as found:
        (variable,) = found.data_vars.values()
        assert np.array_equal(variable, raster.values[0])
    write([raster, scores()], tmp_path / "map.tif", item=False)
    assert len(files(tmp_path)) == 3


def test_types_that_old_readers_misread_are_stored_wider(tmp_path: Path) -> None:
    for dtype, stored in (("bool", "uint8"), ("int8", "int16"), ("float16", "float32")):
        values = np.ones((1, 600, 700), dtype)
        write([InMemory(Layer("a", UTM, dtype, ("a",)), values)], tmp_path / "a.tif", item=False)
        with rasterio.open(tmp_path / "a.tif") as file:
            assert file.dtypes == (stored,)
            assert file.read(1).min() == 1


def test_windows_cover_every_pixel_once_and_are_bounded() -> None:
    layer = Layer("a", GeoBox((1100, 2300), UTM.affine, UTM.crs), "float32", NAMES)
    seen = np.zeros((1100, 2300), int)
    for rows, columns in windows(layer, 512, most=20 << 20):
        seen[rows, columns] += 1
        assert (rows.stop - rows.start) * (columns.stop - columns.start) * 4 * 9 <= 20 << 20
        assert rows.start % 512 == columns.start % 512 == 0
    assert (seen == 1).all()


def test_a_result_replaces_an_older_one_and_no_folder_of_somebody_else(tmp_path: Path) -> None:
    import zarr

    for seed in (0, 1):
        for name in ("map.zarr", "map.tif"):
            write([class_map(seed=seed)], tmp_path / name, item=False)
    assert np.array_equal(zarr.open_group(tmp_path / "map.zarr", mode="r")["cover"][:], class_map(seed=1).values[0])
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.txt").write_text("all of it")
    with pytest.raises(DataError, match="a folder of this name that is no Zarr store"):
        write([class_map()], tmp_path / "mine.zarr", item=False)
    assert (tmp_path / "mine.zarr" / "thesis.txt").read_text() == "all of it"
    assert files(tmp_path) == ["map.tif", "map.zarr", "mine.zarr"]


class _Broken(InMemory):
    def read(self, window: Any) -> Any:
        if window[0].start > 0:
            raise StorageError("a tile is gone")
        return super().read(window)


def test_what_breaks_off_leaves_nothing_and_the_older_file(tmp_path: Path) -> None:
    write([class_map()], tmp_path / "map.tif")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    grid = GeoBox((2000, 700), UTM.affine, UTM.crs)
    raster = class_map(grid)
    with pytest.raises(StorageError, match="a tile is gone"):
        write([class_map(), _Broken(raster.layer, raster.values)], tmp_path / "map.tif", preview=tmp_path / "p.png")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    import filelock

    for name in ("dead", "alive"):
        (tmp_path / f".map.tif.{name}.part").mkdir()
        (tmp_path / f".map.tif.{name}.lock").touch()
    with filelock.FileLock(tmp_path / ".map.tif.alive.lock"):
        write([class_map()], tmp_path / "map.tif", item=False)
        assert files(tmp_path) == [".map.tif.alive.lock", ".map.tif.alive.part", "map.tif"]


FULL = (
    ("map.tif", 100_000, None),  # in the middle of the pixels
    ("map.tif", 1_048_000, None),  # in their last block
    ("noise.tif", 4_500_000, None),  # in what is made of them, which noise does not make smaller
    ("map.nc", 30_000, None),
    ("map.zarr", 20_000, None),
    ("map.tif", 1_600_000, "p.parquet"),
    ("map.tif", 1_600_000, "p.gpkg"),
    ("map.tif", 1_600_000, "p.geojson"),
)
CHILD = """
import json, os, resource, sys
import numpy as np
from modelstac.catalog.errors import ModelStacError
from modelstac.registry.scenes.writing.write import write
from odc.geo.geobox import GeoBox
from modelstac.registry.scenes.rasters import Layer
from tests.registry.scenes.in_memory import UTM, InMemory, class_map
bits = np.random.default_rng(0).integers(0, 2**32, (1, 1024, 1024), "uint32")
noise = InMemory(Layer("noise", GeoBox((1024, 1024), UTM.affine, UTM.crs), "uint32", ("noise",)), bits)
raster = class_map(patch=2)
raster.values = np.zeros((1, 600, 700), "uint8")
raster.values[:, :350] = np.random.default_rng(0).integers(0, 9, (1, 350, 700))
for name, limit, vector in json.loads(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    said = code = None
    try:
        write([noise if name == "noise.tif" else raster], name, vector=vector)
    except ModelStacError as error:
        said, code = str(error), error.exit_code
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(json.dumps([said, code, sorted(os.listdir("."))]), flush=True)
    for left in os.listdir("."):
        os.remove(left)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, json.dumps(FULL)]
    root = Path(__file__).parents[3]
    paths = os.pathsep.join((str(root / "src"), str(root)))
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for (name, _, vector), line in zip(FULL, done.stdout.splitlines(), strict=True):
        said, code, left = json.loads(line)
        assert said is not None, f"{vector or name} was written"
        assert said.startswith(f"cannot write {vector or name}: ")
        assert "\n" not in said
        assert (code, left) == (2, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "complex64"}, "is of type complex64, which is written to no map"),
        ({"nodata": float("nan")}, "is of type uint8, which has no nan for nodata"),
        ({"nodata": 300}, "is of type uint8, which has no 300 for nodata"),
        ({"classes": (Class(1, "a"), Class(1, "b"))}, "two classes have the same value"),
        ({"classes": (Class(1, "a", "blue"),)}, "class 'a' has the colour 'blue'"),
        ({"bands": ()}, "has no pixels or no bands"),
        ({"grid": GeoBox((600, 700), UTM.affine, None)}, "the grid has no reference system"),
    ],
)
def test_what_no_file_can_hold_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    raster = class_map()
    with pytest.raises(DataError, match=message) as caught:
        write([InMemory(replace(raster.layer, **change), raster.values)], tmp_path / "map.tif")
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("target", "more", "message"),
    [
        ("map.jpg", {}, r"cannot write .*map.jpg: name a map that ends in .tif, .tiff, .zarr, .nc"),
        ("map.tif", {"preview": "p.jpg"}, "name a picture that ends in .png"),
        ("map.tif", {"vector": "p.shp"}, "name a file that ends in .parquet"),
        ("https://example.org/map.tif", {}, "cannot write https://example.org/map.tif: name a path, or an object"),
        ("s3://bucket", {}, "cannot write s3://bucket"),
        ("nowhere/map.tif", {}, "no such folder"),
        ("map.tif", {"preview": "map.png", "vector": "map.json"}, "two results would be written to"),
    ],
)
def test_targets_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, more: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelStacError, match=message) as caught:
        write([class_map()], target, **more)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == []


def test_regression_has_no_polygons_and_it_is_said_first() -> None:
    with pytest.raises(DataError, match="polygons are made of a map of classes"):
        check_targets([scores().layer], "map.tif", vector="p.parquet")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which not even root writes: Linux has one")
def test_a_folder_that_may_not_be_written_is_one_line() -> None:
    target = Path("/proc/map.tif")
    with pytest.raises(StorageError, match=r"cannot write /proc/map\.tif: .*check that the folder is there"):
        write([class_map()], target, item=False)


@pytest.mark.filterwarnings("error")
def test_a_legend_has_names_of_any_letters(tmp_path: Path) -> None:
    """Dollars are no formula, which ended a run after all of its tiles, and a font has not all letters."""
    raster = class_map()
    names = (r"$\foo$", "城市", "costs $5, not $10")
    listed = tuple(replace(one, name=name) for one, name in zip(raster.layer.classes, names * 9, strict=False))
    raster.layer = replace(raster.layer, classes=listed)
    write_preview(raster, tmp_path / "p.png", title=r"scene $\x$ 城市")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_pictures_are_small_and_see_through_where_there_is_nothing(tmp_path: Path) -> None:
    from PIL import Image

    grid = GeoBox((1000, 3000), Affine(0.001, 0, 10, 0, -0.001, 60), "EPSG:4326")
    write_preview(class_map(grid), tmp_path / "p.png", title="A title")
    with Image.open(tmp_path / "p.png") as image:
        assert max(image.size) <= 1200
        pixels = np.asarray(image.convert("RGBA"))
    holes = pixels[..., 3] == 0
    assert 0.005 < holes.mean() < 0.2
    colours = {tuple(int(part) for part in pixel) for pixel in pixels.reshape(-1, 4)[::7]}
    assert {(*bytes.fromhex(str(c.color)[1:]), 255) for c in colored(CLASSES)} <= colours
    empty = class_map()
    for raster in (InMemory(empty.layer, np.full((1, 600, 700), 255, "uint8")), scores(bands=("a",))):
        if raster.layer.dtype == "float32":
            raster.values = np.full((1, 600, 700), np.nan, "float32")
        write_preview(raster, tmp_path / "empty.png")
        with Image.open(tmp_path / "empty.png") as image:
            assert (np.asarray(image.convert("RGBA"))[..., 3] == 0).mean() > 0.4
