"""What every radar product gives: a grid, a description of each file, and rain rate in mm/h.

A product is a module with the verbs of `Reader`; `modelstac.training.data.frames.READERS` lists them. Everything
beyond these verbs (time axis, coordinates, CF names, gaps, windows) is written once, for all products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rates = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """A regular grid in a projected reference system, or in longitude and latitude; rows from north to south.

    Parameters
    ----------
    rows, columns
        Number of pixels.
    left, top
        Coordinates of the outer corner of the first pixel, in metres; in degrees where the grid is geographic.
    width, height
        Size of a pixel in the same unit, both positive.
    proj4
        The projection in PROJ's notation, in metres, or ``+proj=longlat`` and its ellipsoid.
    """

    rows: int
    columns: int
    left: float
    top: float
    width: float
    height: float
    proj4: str

    @property
    def geographic(self) -> bool:
        """Whether it is one of longitudes and latitudes."""
        return "+proj=longlat" in self.proj4

    def x(self) -> NDArray[np.float64]:
        """Projected x of the pixel centres in metres, or longitude, ascending."""
        return self.left + self.width * (np.arange(self.columns) + 0.5)

    def y(self) -> NDArray[np.float64]:
        """Projected y of the pixel centres in metres, or latitude, descending."""
        return self.top - self.height * (np.arange(self.rows) + 0.5)

    def __str__(self) -> str:
        if self.geographic:
            size, start = f"{self.width:g} x {self.height:g} degrees", f"({self.left:g}, {self.top:g})"
            return f"{self.rows} x {self.columns} pixels of {size} from {start}, {self.proj4}"
        return (
            f"{self.rows} x {self.columns} pixels of {self.width / 1000:g} x {self.height / 1000:g} km"
            f" from ({self.left / 1000:g}, {self.top / 1000:g}) km, {self.proj4}"
        )


@dataclass(frozen=True)
class Frame:
    """What one file holds, read without its pixels, or one time of a file of several.

    Parameters
    ----------
    path
        The file.
    time
        End of the period that the frame describes, UTC without time zone (as numpy keeps it).
    step_minutes
        Length of that period, and the distance to the next frame; 0 where the file does not say, and the distance to
        its neighbours counts.
    product, institution, licence, credit
        Where the data come from, for the attributes of the dataset and the published item.
    conversion
        How rain rate follows from what was measured at that moment, such as a Z-R relation; empty for accumulations.
    instantaneous
        Whether the rate is that of a moment, and no mean of the period.
    index
        Which of the times of its file it is; None for a file of one time.
    """

    path: Path
    time: datetime
    step_minutes: int
    grid: Grid
    product: str
    institution: str = field(compare=False)
    licence: str = field(compare=False)
    credit: str = field(compare=False)
    conversion: str = ""
    instantaneous: bool = False
    index: int | None = field(default=None, compare=False)


class Reader(Protocol):
    """The verbs of a product module. All raise `DataError` with one line that names the file."""

    SUFFIXES: tuple[str, ...]
    """File name endings by which a folder is searched, in lower case."""

    def recognises(self, path: Path) -> bool:
        """Tell by the content whether the file is of this product."""

    @property
    def describe(self) -> Callable[[Path], Frame | Sequence[Frame]]:
        """Read everything but the pixels: of a file of several times, one frame for each, numbered by ``index``."""

    @property
    def rain_rate(self) -> Callable[..., Rates]:
        """Read the pixels: (rows, columns) float32 in mm/h, NaN where nothing was measured.

        Called with the path, and with the index of the frame where it has one.
        """
