"""A window of a scene in the numbers of its product, with the true land cover, as it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np

from modelstac.registry.scenes.rasters import Window
from modelstac.training.scenes.items import OFFSET, SCALE
from modelstac.training.scenes.landscape import Landscape, landscape
from modelstac.training.scenes.palette import CLASSES, NOTHING
from modelstac.training.scenes.sensors import OPAQUE, POLARISATIONS, SENTINEL_2, backscatter, reflectance

Sensor = Literal["sentinel-2", "sentinel-1"]
LABELS = "labels"
NO_POWER = -32768.0
"""Nodata of radar."""
BORDER, SLANT = 0.16, 0.22
"""Share of the width that is missing at the top, and how fast it narrows downwards."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Observation:
    """What is seen: which country, on which day, by what, through how many clouds, and how large the scene is."""

    seed: int
    day: date
    sensor: Sensor = "sentinel-2"
    clouds: float = 0.05
    size: int = 0
    border: bool = False


def observe(what: Observation, window: Window) -> dict[str, Array]:
    """Return the bands of a window by name, and ``labels``: codes of the classes, 0 where nothing or a cloud is seen.

    Bands of 20 m have half as many rows and columns; those of the window are even.
    """
    land = landscape(what.seed, window)
    seen, hidden = (_numbers if what.sensor == "sentinel-2" else _echoes)(land, what, window)
    rows, columns = (np.arange(part.start, part.stop) // 2 * 2 for part in window)
    outside = np.zeros(hidden.shape, bool)
    if what.border:
        outside = columns[None, :] < BORDER * what.size - SLANT * rows[:, None]
    codes = np.array([one.value for one in CLASSES], np.uint8)[land.cover]
    found = {LABELS: np.where(outside | hidden, NOTHING, codes).astype(np.uint8)}
    for name, pixels in seen.items():
        edge = outside if pixels.shape == outside.shape else outside[::2, ::2]
        found[name] = np.where(edge, NO_POWER if pixels.dtype.kind == "f" else 0, pixels).astype(pixels.dtype)
    return found


def _echoes(land: Landscape, what: Observation, window: Window) -> tuple[Mapping[str, Array], Array]:
    power = backscatter(land, what.seed, what.day, window)
    return dict(zip(POLARISATIONS, power, strict=True)), np.zeros(land.cover.shape, bool)


def _numbers(land: Landscape, what: Observation, window: Window) -> tuple[Mapping[str, Array], Array]:
    """Return the numbers of each band, and what clouds hide."""
    seen, opacity = reflectance(land, what.seed, what.day, window, what.clouds)
    numbers = {}
    for band, pixels in zip(SENTINEL_2, seen, strict=True):
        values = pixels if band.metres == 10 else _halved(pixels)
        numbers[band.name] = np.rint((values - OFFSET) / SCALE).clip(1, 65535).astype(np.uint16)
    return numbers, opacity > OPAQUE


def _halved(pixels: Array) -> Array:
    rows, columns = pixels.shape
    return np.asarray(pixels.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3)))
