"""Scenes of rasters in several reference systems, and on both sides of the antimeridian, on one grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer
from tests.registry.scenes.reading_models import model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.opening import open_source

SIDE = 100
Square = tuple[int, float, float, float, int]
"""Reference system, west, north, length of a pixel, and the value of all of them."""
ZONES: tuple[Square, Square] = (32632, 780_000, 5_600_000, 100, 10), (32633, 220_000, 5_600_000, 100, 20)
FIJI: tuple[Square, Square] = (32760, 790_000, 8_200_000, 100, 7), (32701, 180_000, 8_200_000, 100, 9)
DEGREES: tuple[Square, Square] = (4326, 179, -16, 0.01, 7), (4326, -180, -16, 0.01, 9)
OVER = (179.75, -17, -179.95, -16)


def items(folder: Path, squares: tuple[Square, ...]) -> list[dict[str, Any]]:
    made = []
    for number, (crs, west, north, pixel, value) in enumerate(squares):
        path = tif(
            folder / f"{number}.tif",
            np.full((SIDE, SIDE), value, np.uint16),
            crs=crs,
            transform=Affine(pixel, 0, west, 0, -pixel, north),
            nodata=0,
        )
        made.append(scene_item(folder, {"B04": {"href": str(path)}}, id=f"item-{number}"))
    return made


def expected(grid: Any, squares: tuple[Square, ...]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Say by PROJ which square the middle of each pixel lies in (0 is none), and which are not next to an edge."""
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    places = grid.affine @ (columns, rows)
    found, clear = np.zeros(grid.shape), np.ones(grid.shape, bool)
    for crs, west, north, pixel, value in squares:
        x, y = Transformer.from_crs(grid.crs.to_epsg(), crs, always_xy=True).transform(*places)
        x = west + (x - west + 180) % 360 - 180 if crs == 4326 else x
        right, down = (x - west) / pixel, (north - y) / pixel
        found[(right >= 0) & (right < SIDE) & (down >= 0) & (down < SIDE)] = value
        clear &= np.min([np.abs(right), np.abs(right - SIDE), np.abs(down), np.abs(down - SIDE)], axis=0) > 0.1
    return found, clear


@pytest.mark.parametrize(
    ("squares", "options"),
    [
        (ZONES, {"grid": "EPSG:32632"}),
        (ZONES, {"grid": "EPSG:3035"}),
        (ZONES, {"grid": "EPSG:4326"}),
        (FIJI, {"grid": "EPSG:32760"}),
        (FIJI, {"grid": "EPSG:32701"}),
        (FIJI, {"grid": "EPSG:3832"}),
        (FIJI, {"grid": "EPSG:4326"}),
        (FIJI, {"grid": "EPSG:3832", "bbox": OVER}),
        (FIJI, {"grid": "EPSG:4326", "bbox": OVER}),
        (DEGREES, {}),
        (DEGREES, {"bbox": OVER}),
        (DEGREES, {"grid": "EPSG:32760"}),
        (DEGREES, {"grid": 0.02}),
        (((4326, 200, -16, 0.01, 5),), {"grid": "EPSG:32704"}),  # longitudes from 0 to 360
    ],
)
def test_all_rasters_are_there_and_at_their_place(
    tmp_path: Path, squares: tuple[Square, ...], options: dict[str, Any]
) -> None:
    source = open_source(items(tmp_path, squares), model(tensor(["B04"])), resampling="nearest", **options)
    tile, grid = whole(source), source.grids["image"]
    values = np.asarray(tile.values)[0].copy()
    if tile.missing is not None:
        values[np.asarray(tile.missing).reshape(values.shape)] = 0
    wanted, clear = expected(grid, squares)
    assert set(np.unique(wanted[clear])) - {0} == {square[-1] for square in squares}
    np.testing.assert_array_equal(values[clear], wanted[clear])
    assert grid.width < 2000  # and not the rest of the world


def test_several_systems_without_a_word_of_which_grid(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="say onto which grid, --grid, such as the reference system of one of them"):
        open_source(items(tmp_path, ZONES), model(tensor(["B04"])))
