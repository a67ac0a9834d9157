"""Layers that lie in memory or are computed, for tests of what is written of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from modelstac.registry.scenes.rasters import Class, Layer, Window

NAMES = ("water", "trees", "grass", "flooded vegetation", "crops", "shrub & scrub", "built area", "bare ground", "snow")
CLASSES = tuple(Class(i, name) for i, name in enumerate(NAMES))
UTM = GeoBox((600, 700), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")


@dataclass
class InMemory:
    """A raster of an array, or of what a function gives for rows and columns."""

    layer: Layer
    values: np.ndarray[Any, Any] | Callable[[Any, Any], Any]

    def read(self, window: Window) -> np.ndarray[Any, Any]:
        if callable(self.values):
            rows, columns = (np.arange(part.start, part.stop) for part in window)
            found = np.asarray(self.values(rows[:, None], columns[None, :]), self.layer.dtype)
            return found if found.ndim == 3 else found[None]
        return self.values[(slice(None), *window)]


def class_map(grid: GeoBox = UTM, *, classes: tuple[Class, ...] = CLASSES, patch: int = 40, seed: int = 0) -> InMemory:
    """Make a map of rectangular patches with a border of nodata at its top left."""
    height, width = grid.shape
    drawn = np.random.default_rng(seed).integers(0, len(classes), (height // patch + 1, width // patch + 1))
    numbers = np.array([found.value for found in classes], "uint8")[drawn]
    values = np.kron(numbers, np.ones((patch, patch), "uint8"))[:height, :width].astype("uint8")
    values[np.add.outer(np.arange(height), np.arange(width)) < min(height, width) // 3] = 255
    layer = Layer("cover", grid, "uint8", ("cover",), nodata=255, classes=classes)
    return InMemory(layer, values[None])


def scores(grid: GeoBox = UTM, *, bands: tuple[str, ...] = NAMES, unit: str | None = None, seed: int = 0) -> InMemory:
    """Make smooth scores of several bands, with holes of NaN."""
    height, width = grid.shape
    rows, columns = np.mgrid[:height, :width].astype("float32")
    values = np.stack([np.sin(rows / (20 + i)) * np.cos(columns / (30 - i)) for i in range(len(bands))])
    values[:, np.random.default_rng(seed).random((height, width)) < 0.01] = np.nan
    return InMemory(Layer("scores", grid, "float32", bands, nodata=float("nan"), unit=unit), values.astype("float32"))
