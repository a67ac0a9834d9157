"""A country in miniature: hills, forests, fields, a river, roads and towns, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.registry.scenes.rasters import Window
from modelstac.training.scenes.noise import Field, fractal, hashed, padded, smooth
from modelstac.training.scenes.palette import BARE, BUILT, CROP, GRASS, SHRUB, SNOW, TREE, WATER, WETLAND

_FIELD_DEEP, _FIELD_WIDE = 22, 41  # pixels of 10 m
_RIVER, _BANK, _ROAD = 5.0, 26.0, 1.1  # half widths in pixels


@dataclass(frozen=True, eq=False)
class Landscape:
    """What does not change with the season, in a window.

    Parameters
    ----------
    cover
        Class of each pixel, its place in :data:`~modelstac.training.scenes.palette.CLASSES`.
    parcel
        From 0 to 1, the same within a field: what is grown there.
    light
        How much sun the slope gets, 1 where it is flat.
    """

    cover: NDArray[np.uint8]
    parcel: Field
    light: Field


def landscape(seed: int, window: Window) -> Landscape:
    """Return the land in a window of pixels of 10 m; neighbouring windows fit together."""
    around = padded(window, 1)
    height = fractal(seed + 1, around, 190, 5)
    downhill, inside = np.gradient(height)[1][1:-1, 1:-1], height[1:-1, 1:-1]
    moist = fractal(seed + 2, window, 130, 4)
    parcel = _parcels(seed + 3, window)
    cover = np.where(parcel < 0.68, CROP, GRASS).astype(np.uint8)
    cover[fractal(seed + 4, window, 70, 4) + 0.35 * inside > 0.75] = TREE
    cover[(inside > 0.95) & (cover != TREE)] = SHRUB
    river = _distance(seed + 5, window, 520)
    cover[((river < _BANK) & (moist > 0.2)) | ((inside < -0.9) & (moist > 0.75))] = WETLAND
    cover[inside > 1.35] = BARE
    cover[inside + 0.25 * moist > 1.95] = SNOW
    cover[(inside < -1.5) | (river < _RIVER * (1.4 + 0.4 * moist))] = WATER
    low = inside < 1.0
    cover[(fractal(seed + 6, window, 95, 4) > 1.3) & low & (cover != WATER)] = BUILT
    cover[(_distance(seed + 7, window, 330) < _ROAD) & low] = BUILT
    return Landscape(cover, parcel, np.asarray(1 + 3.0 * downhill, np.float32).clip(0.6, 1.4))


def _parcels(seed: int, window: Window) -> Field:
    """Return a number for each field; they lie in strips that bend a little."""
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float32) for part in window)
    bend = 18 * smooth(seed, window, 300)
    along = columns[None, :] * np.float32(0.94) + rows[:, None] * np.float32(0.34) + bend
    across = rows[:, None] * np.float32(0.94) - columns[None, :] * np.float32(0.34) + bend
    strip = np.floor(across / _FIELD_DEEP).astype(np.int64)
    place = np.floor(along / _FIELD_WIDE + 3 * hashed(seed + 1, strip)).astype(np.int64)
    return hashed(seed + 2, strip, place)


def _distance(seed: int, window: Window, cell: float) -> NDArray[Any]:
    """Return about how many pixels it is to a winding line: where a smooth field is zero."""
    field = smooth(seed, padded(window, 1), cell) + 0.12 * smooth(seed + 1, padded(window, 1), cell / 5)
    slope = np.hypot(*np.gradient(field))
    return np.asarray((np.abs(field) / np.maximum(slope, 1e-4))[1:-1, 1:-1])
