"""A window of a raster on another grid is, bit for bit, what it is in the whole; and the whole is what GDAL makes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject
from tests.registry.scenes.reading_models import CORNER, UTM, tif

from modelstac.registry.scenes.reading.finding.files import FilePart
from modelstac.registry.scenes.reading.finding.handles import Handles
from modelstac.registry.scenes.reading.fitting.resampling import Onto
from modelstac.registry.scenes.reading.options import METHODS

HEIGHT, WIDTH = 61, 75


@pytest.fixture(params=["uint16", "float32", "uint8"])
def raster(request: pytest.FixtureRequest, tmp_path: Path) -> FilePart:
    """Two bands of noise, with holes of other places in each."""
    values = np.random.default_rng(1).integers(1, 250, (2, HEIGHT, WIDTH)).astype(request.param)
    values[0, 10:25, 30:50] = values[1, 40:44, 3:9] = values[0, 0, 0] = 0
    return FilePart(str(tif(tmp_path / "a.tif", values, nodata=0, transform=CORNER @ Affine.scale(2))), Handles())


GRIDS = {
    "twice as fine": GeoBox((2 * HEIGHT, 2 * WIDTH), CORNER, UTM),
    "three times as fine, off": GeoBox((100, 130), CORNER @ Affine.translation(-7.25, 5.5) @ Affine.scale(2 / 3), UTM),
    "coarser": GeoBox((24, 31), CORNER @ Affine.scale(5.1), UTM),
    "turned round": GeoBox(
        (2 * HEIGHT, 2 * WIDTH), CORNER @ Affine.translation(0, 2 * HEIGHT) @ Affine.scale(1, -1), UTM
    ),
    "shifted": GeoBox((50, 60), CORNER @ Affine.translation(3.1, 4.7) @ Affine.scale(2), UTM),
    "the same": GeoBox((HEIGHT + 4, WIDTH + 3), CORNER @ Affine.translation(-4, -2) @ Affine.scale(2), UTM),
    "askew": GeoBox((80, 90), CORNER @ Affine.translation(20, -5) @ Affine.rotation(20) @ Affine.scale(1.3), UTM),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_window_is_bit_for_bit_a_cut_of_the_whole(
    raster: FilePart, grid: GeoBox, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelstac.registry.scenes.reading.fitting.resampling.BLOCK", 32)
    onto = Onto(raster, grid, method)
    height, width = grid.shape
    whole, gone = onto.read((1, 0), (slice(0, height), slice(0, width)))
    assert whole.shape == (2, height, width)
    assert gone is not None
    assert 0 < gone.sum() < gone.size
    for top, left, tall, wide in itertools.chain(
        itertools.product((0, 5, height - 9), (0, 11, width - 8), (9, 1), (8,)), [(3, 2, height - 4, width - 3)]
    ):
        window = slice(top, top + tall), slice(left, left + wide)
        # Of a scene that is opened anew, too: nothing of what was read before plays a part.
        part, holes = Onto(raster, grid, method).read((1, 0), window)
        holes = np.zeros(part.shape, bool) if holes is None else holes
        cut = (slice(None), *window)
        np.testing.assert_array_equal(holes, gone[cut])
        assert part.dtype == whole.dtype
        assert np.where(holes, 0, part).tobytes() == np.where(holes, 0, whole[cut]).tobytes()


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "lanczos", "average"])
@pytest.mark.parametrize("name", ["twice as fine", "three times as fine, off", "coarser", "shifted", "askew"])
def test_it_is_what_gdal_makes_of_it(tmp_path: Path, name: str, method: str) -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    values = (500 + 300 * np.sin(rows / 5) * np.cos(columns / 7)).astype(np.float32)
    transform, grid = CORNER @ Affine.scale(2), GRIDS[name]
    part = FilePart(str(tif(tmp_path / "a.tif", values, transform=transform)), Handles())
    found, gone = Onto(part, grid, method).read((0,), (slice(0, grid.shape[0]), slice(0, grid.shape[1])))
    wanted = np.full(grid.shape, np.nan, np.float32)
    reproject(
        values, wanted, src_transform=transform, src_crs=UTM, dst_transform=grid.affine, dst_crs=UTM,
        dst_nodata=np.nan, resampling=Resampling[method], tolerance=0.0,
    )  # fmt: skip
    there = np.isfinite(wanted) & ~(np.zeros(grid.shape, bool) if gone is None else gone[0])
    assert there.mean() > 0.5
    # GDAL leaves the edges to fewer pixels in another way where it interpolates over them.
    inside = there & ~_edge(there, 4)
    # Its kernels are stretched by the sizes of what it reads at once, not by the pixels'.
    steep = {"askew": 300 / 5 * 1e-2, "coarser": 2.0}.get(name, 2e-3)
    if method == "nearest" and name in ("three times as fine, off", "coarser"):
        assert np.mean(found[0][inside] == wanted[inside]) > 0.99  # centres that lie on an edge
    elif method != "average" or name != "askew":
        np.testing.assert_allclose(found[0][inside], wanted[inside], rtol=0, atol=steep)


def _edge(there: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    edge = np.zeros(there.shape, bool)
    edge[:width] = edge[-width:] = True
    edge[:, :width] = edge[:, -width:] = True
    for axis, shift in itertools.product((0, 1), range(-width, width + 1)):
        edge |= ~np.roll(there, shift, axis)
    return edge


def test_whole_ratios_are_exact(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 4000, (40, 44)).astype(np.uint16)
    part = FilePart(str(tif(tmp_path / "a.tif", values)), Handles())
    coarse = GeoBox((20, 22), CORNER @ Affine.scale(2), UTM)
    fine = GeoBox((80, 88), CORNER @ Affine.scale(0.5), UTM)
    every = (slice(0, 20), slice(0, 22))
    blocks = values.reshape(20, 2, 22, 2)
    np.testing.assert_array_equal(Onto(part, coarse, "average").read((0,), every)[0][0], blocks.mean(axis=(1, 3)))
    np.testing.assert_array_equal(Onto(part, coarse, "max").read((0,), every)[0][0], blocks.max(axis=(1, 3)))
    nearest = Onto(part, fine, "nearest").read((0,), (slice(0, 80), slice(0, 88)))[0][0]
    np.testing.assert_array_equal(nearest, values.repeat(2, 0).repeat(2, 1))
    smooth = Onto(part, fine, "bilinear").read((0,), (slice(0, 80), slice(0, 88)))[0][0]
    quarter = 0.75 * values[:-1] + 0.25 * values[1:]
    np.testing.assert_array_equal(smooth[1:-1:2, 0], quarter[:, 0])
    np.testing.assert_array_equal(smooth[0, 0], values[0, 0])


def test_bilinear_is_that_of_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(2).random((30, 33)).astype(np.float32)
    part = FilePart(str(tif(tmp_path / "a.tif", values)), Handles())
    found, _ = Onto(part, GeoBox((60, 66), CORNER @ Affine.scale(0.5), UTM), "bilinear").read(
        (0,), (slice(0, 60), slice(0, 66))
    )
    wanted = torch.nn.functional.interpolate(torch.tensor(values[None, None]), scale_factor=2, mode="bilinear").numpy()
    np.testing.assert_allclose(found[0], wanted[0, 0], rtol=0, atol=1e-6)


def test_what_is_missing_adds_nothing(tmp_path: Path) -> None:
    values = np.full((20, 20), 7, np.int16)
    values[5:9, 5:9] = -9999
    part = FilePart(str(tif(tmp_path / "a.tif", values, nodata=-9999)), Handles())
    for method in METHODS:
        for grid in (
            GeoBox((40, 40), CORNER @ Affine.scale(0.5), UTM),
            GeoBox((10, 10), CORNER @ Affine.scale(2), UTM),
        ):
            found, gone = Onto(part, grid, method).read((0,), (slice(0, grid.shape[0]), slice(0, grid.shape[1])))
            assert gone is not None
            np.testing.assert_allclose(found[~gone], 7, rtol=1e-6)
            if method not in ("average", "max") and grid.shape[0] == 40:
                assert gone.sum() == 64


def test_another_system_is_warped_to_its_place(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:200, :220]
    values = (1000 + 3 * rows + 2 * columns).astype(np.float32)
    part = FilePart(str(tif(tmp_path / "a.tif", values)), Handles())
    grid = part.grid.to_crs("EPSG:4326")
    onto = Onto(part, grid, "bilinear")
    assert onto.along is None
    assert onto.overlaps
    row, column = grid.shape[0] // 2, grid.shape[1] // 2
    found, gone = onto.read((0,), (slice(row, row + 1), slice(column, column + 1)))
    assert gone is None
    lon, lat = grid.affine @ (column + 0.5, row + 0.5)
    [x], [y] = rasterio.warp.transform("EPSG:4326", UTM, [lon], [lat])
    right, down = ~CORNER @ (x, y)
    assert found[0, 0, 0] == pytest.approx(1000 + 3 * (down - 0.5) + 2 * (right - 0.5), abs=0.1)
    far = GeoBox((10, 10), Affine(1, 0, 30, 0, -1, 10), "EPSG:4326")
    assert not Onto(part, far, "bilinear").overlaps


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
def test_blocks_of_another_system_are_warped_alike(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(5).random((300, 320)).astype(np.float32)
    part = FilePart(str(tif(tmp_path / "a.tif", values)), Handles())
    grid = part.grid.to_crs("EPSG:32632")
    every = slice(0, grid.shape[0]), slice(0, grid.shape[1])
    whole, gone = Onto(part, grid, method).read((0,), every)
    monkeypatch.setattr("modelstac.registry.scenes.reading.fitting.resampling.BLOCK", 64)
    blocks, holes = Onto(part, grid, method).read((0,), every)
    assert gone is not None
    assert holes is not None
    both = ~gone & ~holes
    assert both.mean() > 0.5
    assert np.mean(gone != holes) < 1e-3
    # GDAL finds the width of its kernels by the block unless it is told: it then differs by a third.
    np.testing.assert_allclose(blocks[both], whole[both], atol=0.03)
