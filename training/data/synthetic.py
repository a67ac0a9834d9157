"""Generated rain in KNMI's file format, for tests and for a demonstration without network.

Cells are born, move with a common wind and a little of their own, grow and decay over half an hour to two hours, inside
wide rain areas of low intensity; a correlated noise that moves along and changes slowly gives them texture. No
observation went into it, and the files say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, StorageError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.training.data.readers.knmi import COLUMNS, ROWS, file_name, write_knmi

START = datetime(2010, 8, 26)
STEP_MINUTES = 5
_SPIN_UP = (
    24  # steps before the first frame during which cells are born, so that the first frame is as rainy as the last
)
_TEXTURE = 0.9  # standard deviation of the logarithm of rain within a cell
_TEXTURE_PERIOD = 90  # steps in which the texture turns once through its two fields


@dataclass(frozen=True)
class _Cell:
    born: float  # step
    lifetime: float  # steps
    y: float  # centre at birth, in pixels
    x: float
    drift: tuple[float, float]  # own motion beside the wind, in pixels per step
    peak: float  # mm/h
    length: float  # standard deviation along and across its axis, in pixels
    width: float
    angle: float


def generate(
    folder: str | Path,
    frames: int = 92,
    *,
    seed: int = 0,
    shape: tuple[int, int] = (ROWS, COLUMNS),
    start: datetime = START,
    report: Report = ignore,
) -> list[Path]:
    """Write frames of generated rain into ``folder``; the same arguments give the same bytes.

    Parameters
    ----------
    frames
        Number of five-minute frames.
    shape
        Rows and columns. The national grid has a mask of the KNMI composite's kind, with rows 300-556 and columns
        240-496 inside; a smaller grid lies in its middle and is measured everywhere.
    start
        Time of the first frame, UTC.

    Returns
    -------
    list of Path
        The files, named as KNMI names them.
    """
    if frames < 1 or min(shape) < 8 or shape[0] > ROWS or shape[1] > COLUMNS:
        raise DataError(
            f"{frames} frames of {shape} pixels: ask for a frame or more, 8 x 8 to {ROWS} x {COLUMNS} pixels"
        )
    folder = Path(folder)
    paths: list[Path] = []
    offset = (ROWS - shape[0]) // 2, (COLUMNS - shape[1]) // 2
    report(Started("generate rain", frames))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, rate in enumerate(_Rain(frames, shape, seed)):
            time = start + timedelta(minutes=STEP_MINUTES * index)
            paths.append(folder / file_name(time))
            write_knmi(paths[-1], rate, time, row_offset=offset[0], column_offset=offset[1])
            report(Advanced("generate rain"))
    except OSError as error:
        raise StorageError.doing(f"write {folder}", error, advice="free some space or choose another folder") from error
    report(Finished("generate rain"))
    return paths


def valid_region(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where rain is measured: the circle of the composite of 2010 on the national grid, all of a smaller one."""
    if shape != (ROWS, COLUMNS):
        return np.ones(shape, dtype=bool)
    rows, columns = np.ogrid[:ROWS, :COLUMNS]
    return np.asarray((rows - 428) ** 2 + (columns - 369) ** 2 < 209**2)


class _Rain:
    """Frames of rain rate, in order of time; iterating twice gives the same frames."""

    def __init__(self, frames: int, shape: tuple[int, int], seed: int) -> None:
        self.frames = frames
        self.valid = valid_region(shape)
        rows, columns = (np.flatnonzero(self.valid.any(axis=axis)) for axis in (1, 0))
        # Three quarters of the national grid are never measured: rain is made only around the rest.
        self.place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        shape = len(rows), len(columns)
        random = np.random.default_rng(seed)
        speed, direction = random.uniform(1.5, 3.5), math.radians(random.uniform(-50, 30))
        self.wind = (speed * math.sin(direction), speed * math.cos(direction))  # rows down, columns right, per step
        self.texture = (_texture(random, shape), _texture(random, shape))
        self.cells = _cells(random, shape, frames, self.wind)

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        for step in range(self.frames):
            rain = np.zeros(self.texture[0].shape)
            for cell in self.cells:
                _add(rain, cell, step, self.wind)
            shift = (round(self.wind[0] * step), round(self.wind[1] * step))
            turn = 2 * math.pi * step / _TEXTURE_PERIOD
            # The two fields are independent, so the mixture keeps its variance while it turns.
            noise = math.cos(turn) * self.texture[0] + math.sin(turn) * self.texture[1]
            rain *= np.roll(np.exp(_TEXTURE * noise - _TEXTURE**2 / 2), shift, axis=(0, 1))
            rain[rain < 0.1] = 0.0
            frame = np.full(self.valid.shape, np.nan)
            frame[self.place] = np.minimum(rain, 60.0)
            frame[~self.valid] = np.nan
            yield frame


def _cells(random: np.random.Generator, shape: tuple[int, int], frames: int, wind: tuple[float, float]) -> list[_Cell]:
    """Draw the cells of the whole event: showers, and wide areas of light rain, over the grid and upwind of it."""
    cells = []
    for wide in (True, False):
        per_step = shape[0] * shape[1] * (4e-6 if wide else 2e-5)
        # A small grid gets cells, too: about four wide areas and eight showers at any time.
        per_step = max(per_step, 0.12 if wide else 0.5)
        for _ in range(random.poisson(per_step * (frames + _SPIN_UP))):
            lifetime = random.uniform(18, 48) if wide else random.uniform(6, 24)
            half = lifetime / 2
            size = random.uniform(15, 60) if wide else random.lognormal(1.7, 0.4)
            cells.append(
                _Cell(
                    born=random.uniform(-_SPIN_UP, frames),
                    lifetime=lifetime,
                    # Half-way through its life a cell is above the grid.
                    y=random.uniform(-10, shape[0] + 10) - wind[0] * half,
                    x=random.uniform(-10, shape[1] + 10) - wind[1] * half,
                    drift=(random.normal(0, 0.2), random.normal(0, 0.2)),
                    peak=random.lognormal(0.0, 0.6) if wide else random.lognormal(0.8, 0.7),
                    length=size,
                    width=size * random.uniform(0.4, 1.0),
                    angle=random.uniform(0, math.pi),
                )
            )
    return cells


def _add(rain: NDArray[np.float64], cell: _Cell, step: int, wind: tuple[float, float]) -> None:
    """Add one cell at one step, in the box where it is not negligible."""
    age = step - cell.born
    if not 0 < age < cell.lifetime:
        return
    strength = math.sin(math.pi * age / cell.lifetime) ** 2
    y, x = cell.y + (wind[0] + cell.drift[0]) * age, cell.x + (wind[1] + cell.drift[1]) * age
    reach = 3 * cell.length
    top, bottom = max(0, math.floor(y - reach)), min(rain.shape[0], math.ceil(y + reach))
    left, right = max(0, math.floor(x - reach)), min(rain.shape[1], math.ceil(x + reach))
    if top >= bottom or left >= right:
        return
    down, across = np.arange(top, bottom)[:, None] - y, np.arange(left, right)[None, :] - x
    along = (across * math.cos(cell.angle) + down * math.sin(cell.angle)) / cell.length
    aside = (down * math.cos(cell.angle) - across * math.sin(cell.angle)) / cell.width
    # A cell grows in size as it grows in strength.
    spread = 0.6 + 0.4 * strength
    rain[top:bottom, left:right] += cell.peak * strength * np.exp(-(along**2 + aside**2) / (2 * spread**2))


def _texture(random: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Draw a periodic Gaussian field of unit variance whose spectrum falls as rain's does."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    wavenumber = np.hypot(rows, columns)
    wavenumber[0, 0] = 1.0
    amplitude = np.where(wavenumber > 1 / 64, wavenumber, 1 / 64) ** -1.8
    field = np.fft.irfft2(np.fft.rfft2(random.standard_normal(shape)) * amplitude, s=shape)
    return np.asarray((field - field.mean()) / field.std())
