"""pysteps' extrapolation as a baseline: rain moves on as it moved last, and does not change (extra ``pysteps``).

Pulkkinen et al. (2019), Geoscientific Model Development 12, 4185-4219; motion by Proesmans et al. (1994), which needs
nothing beside pysteps, from the last two frames.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError

SMALLEST = 32
"""Rows and columns in which motion is looked for at least."""

_LEVELS = 6  # of the pyramid of the motion field, pysteps' own choice

_DRY, _DRY_DB = 0.1, -15.0  # mm/h below which it is dry, and what stands for it in dB, as in pysteps' examples


def available(shape: tuple[int, int]) -> bool:
    """Tell whether pysteps is installed and the frames are large enough for it."""
    return importlib.util.find_spec("pysteps") is not None and min(shape) >= SMALLEST


def extrapolation(inputs: NDArray[np.float32], frames_out: int) -> NDArray[np.float32]:
    """Forecast that rain moves on as it does between the last two frames.

    Parameters
    ----------
    inputs
        Rain rates (time, y, x) in mm/h, NaN where nothing was measured, at least two frames.
    frames_out
        Number of frames to forecast.

    Returns
    -------
    numpy.ndarray
        (time, y, x) in mm/h. What moves in from beyond the frames is not known; the last frame stays there.

    Raises
    ------
    MissingPackageError
        pysteps is not installed.
    DataError
        There are too few or too small frames.
    """
    if len(inputs) < 2 or min(inputs.shape[1:]) < SMALLEST:
        raise DataError(
            f"frames {inputs.shape} are too few or too small to see motion: give 2 of {SMALLEST} x {SMALLEST} pixels"
        )
    motion, nowcasts = _pysteps()
    last = np.nan_to_num(inputs[-1], nan=0.0).astype(np.float64)
    # The coarsest level needs 2 x 2 pixels: pysteps reads beyond the memory of a level of one row (1.21).
    levels = min(_LEVELS, int(np.log2(min(last.shape))))
    velocity = motion.get_method("proesmans")(_decibel(inputs[-2:]), num_levels=levels)
    moved = nowcasts.get_method("extrapolation")(last, velocity, frames_out)
    return np.where(np.isfinite(moved), moved, last).astype(np.float32)


def _pysteps() -> tuple[Any, Any]:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it says on stdout where its configuration is
            from pysteps import motion, nowcasts
    except ModuleNotFoundError as error:
        if error.name != "pysteps":
            raise
        raise MissingPackageError.extra("pysteps", "pysteps", "the baseline of moving rain") from error
    return motion, nowcasts


def _decibel(rate: NDArray[np.float32]) -> NDArray[np.float64]:
    """Turn rain rates into dB, in which motion shows in light rain, too."""
    wet = np.nan_to_num(rate, nan=0.0) >= _DRY
    return np.where(wet, 10 * np.log10(np.where(wet, rate, 1.0), dtype=np.float64), _DRY_DB)
