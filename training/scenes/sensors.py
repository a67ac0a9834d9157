"""What a satellite sees of the land: reflectance in ten bands on a day of the year, or the echo of a radar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from modelstac.registry.scenes.rasters import Window
from modelstac.training.scenes.landscape import Landscape
from modelstac.training.scenes.noise import Field, fractal, moved
from modelstac.training.scenes.palette import (
    BACKSCATTER,
    BUILT,
    CLASSES,
    CROP,
    LUSH,
    SNOW,
    TEXTURE,
    WATER,
    WINTRY,
)

OPAQUE = 0.5
"""From which opacity on a cloud hides what is below it."""
_CLOUD = (0.72, 0.71, 0.70, 0.70, 0.69, 0.68, 0.68, 0.67, 0.42, 0.30)
_SHADOW = (34, -22)  # of clouds: pixels down and to the right
_LOOKS = 4.4  # equivalent number of looks of Sentinel-1's ground range products


@dataclass(frozen=True)
class Band:
    """A band: its name in the product, its common name, and centre and width in micrometres; pixels of 10 or 20 m."""

    name: str
    common_name: str
    centre: float
    width: float
    metres: int


SENTINEL_2 = (
    Band("B02", "blue", 0.49, 0.098, 10),
    Band("B03", "green", 0.56, 0.045, 10),
    Band("B04", "red", 0.665, 0.038, 10),
    Band("B05", "rededge071", 0.704, 0.019, 20),
    Band("B06", "rededge075", 0.74, 0.018, 20),
    Band("B07", "rededge078", 0.783, 0.028, 20),
    Band("B08", "nir", 0.842, 0.145, 10),
    Band("B8A", "nir08", 0.865, 0.033, 20),
    Band("B11", "swir16", 1.61, 0.143, 20),
    Band("B12", "swir22", 2.19, 0.242, 20),
)
POLARISATIONS = ("vv", "vh")


def cloudiness(seed: int, day: date, window: Window, share: float) -> Field:
    """Return the opacity of the clouds of a day, from 0 to 1; ``share`` of the sky has some."""
    if share <= 0:
        return np.zeros([part.stop - part.start for part in window], np.float32)
    thickness = fractal(seed + 101 + 13 * day.toordinal(), window, 150, 5)
    return ((thickness - NormalDist().inv_cdf(1 - min(share, 0.999))) / 0.4).clip(0, 1).astype(np.float32)


def reflectance(land: Landscape, seed: int, day: date, window: Window, clouds: float) -> tuple[Field, Field]:
    """Return reflectances (band, row, column) in the order of :data:`SENTINEL_2`, and the opacity of the clouds.

    All bands are as sharp as 10 m; what has pixels of 20 m is averaged when it is written.
    """
    random = _random(seed, day, window, 1)
    lush, wintry = (np.array([spectra[k] for k in range(len(CLASSES))], np.float32) for spectra in (LUSH, WINTRY))
    green = _greenness(land, day)
    rough = np.array(TEXTURE, np.float32)[land.cover] * random.standard_normal(land.cover.shape, np.float32)
    bright = land.light * (1 + rough).clip(0.3, 2.0)
    bright *= np.where(land.cover == CROP, 0.9 + 0.2 * land.parcel, 1).astype(np.float32)
    opacity = cloudiness(seed, day, window, clouds)
    dim = 1 - 0.55 * cloudiness(seed, day, moved(window, *(-n for n in _SHADOW)), clouds)
    seen = np.empty((len(SENTINEL_2), *land.cover.shape), np.float32)
    for k, cloud in enumerate(_CLOUD):
        low, high = wintry[:, k][land.cover], lush[:, k][land.cover]
        one = (low + (high - low) * green) * bright * dim
        one += np.float32(0.004) * random.standard_normal(one.shape, np.float32)
        seen[k] = one + (np.float32(cloud) - one) * opacity
    return seen, opacity


def backscatter(land: Landscape, seed: int, day: date, window: Window) -> Field:
    """Return the echo (polarisation, row, column) as linear power, with speckle, in the order of `POLARISATIONS`."""
    random = _random(seed, day, window, 2)
    power = np.array(BACKSCATTER, np.float32)[land.cover].transpose(2, 0, 1).copy()
    # A crop that stands high echoes more; roofs and walls turn some of it back.
    power[:, land.cover == CROP] *= 0.6 + 0.9 * _greenness(land, day)[land.cover == CROP]
    power[:, land.cover == BUILT] *= 0.4 + 1.2 * land.light[land.cover == BUILT]
    power *= np.where(np.isin(land.cover, (SNOW, WATER)), 1, land.light**2)
    return np.asarray(power * random.gamma(_LOOKS, 1 / _LOOKS, power.shape), np.float32)


def _greenness(land: Landscape, day: date) -> NDArray[np.float32]:
    """Return how green the plants are: all of them in summer, and each field at a time of its own."""
    of_year = day.timetuple().tm_yday / 365.25
    summer = 0.5 - 0.5 * math.cos(2 * math.pi * (of_year - 0.04))
    # Winter cereals are ripe when maize is at its best.
    peak = np.where(land.parcel < 0.4, 0.38, 0.58) + 0.1 * (land.parcel - 0.3)
    field = np.exp(-(((of_year - peak) / 0.13) ** 2))
    return np.where(land.cover == CROP, field, summer).astype(np.float32)


def _random(seed: int, day: date, window: Window, of: int) -> np.random.Generator:
    rows, columns = window
    return np.random.default_rng([seed, day.toordinal(), of, rows.start, columns.start])
