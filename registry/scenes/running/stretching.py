"""Percentiles of a whole scene stretched to the grey values of a picture, once the scene is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from modelstac.registry.scenes.rasters import Window
    from modelstac.registry.scenes.running.store import Stored

    Values = np.ndarray[Any, Any]

SAMPLE = 1 << 20
"""Pixels of each band of which percentiles are taken, spread over the scene evenly."""


class Stretched:
    """A layer whose values are stretched from percentiles to 1 to 255; 0 is where there is nothing.

    Parameters
    ----------
    stored
        The layer of fractions.
    percentiles
        The lower and the upper one.
    """

    def __init__(self, stored: Stored, percentiles: tuple[float, ...]) -> None:
        self._stored = stored
        self.layer = replace(stored.layer, dtype="uint8", nodata=0, unit=None)
        self._ends = _ends(stored, percentiles)

    def read(self, window: Window) -> Values:
        """Give the pixels of a window: band, row, column."""
        values = self._stored.read(window)
        low, high = (end[:, None, None] for end in self._ends)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = (values - low) / np.where(high > low, high - low, 1)
            made = np.rint(np.clip(shares, 0, 1) * 254) + 1
        return np.where(np.isfinite(values), made, 0).astype(np.uint8)


def _ends(stored: Stored, percentiles: tuple[float, ...]) -> tuple[Values, Values]:
    height, width = stored.layer.grid.shape
    every = max(1, round((height * width / SAMPLE) ** 0.5))
    lines = [stored.read((slice(row, row + 1), slice(0, width)))[:, 0, ::every] for row in range(0, height, every)]
    sample = np.concatenate(lines, 1)
    low, high = np.zeros(len(sample)), np.ones(len(sample))
    for band, values in enumerate(sample):
        if (there := values[np.isfinite(values)]).size:
            low[band], high[band] = np.percentile(there, percentiles)
    return low, high
