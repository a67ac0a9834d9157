"""MeteoSwiss' accumulations of five minutes as GIF pictures (``AQC*_00005.801.gif``, product ACQUIRE).

One byte a pixel, which stands for dBZ in half steps; a Z-R relation of its own makes it millimetres, as pysteps reads
it. Grid and projection are not in the file: they are those of all composites of MeteoSwiss.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError, StorageError
from modelstac.training.data.readers.product import Frame, Grid, Rates
from modelstac.training.data.readers.zr import Relation

SUFFIXES: tuple[str, ...] = (".gif",)
RELATION = Relation(316.0, 1.5, "MeteoSwiss")
PROJ4 = (
    "+proj=somerc +lon_0=7.43958333333333 +lat_0=46.9524055555556 +k_0=1 +x_0=600000 +y_0=200000 +ellps=bessel"
    " +towgs84=674.374,15.056,405.346,0,0,0,0 +units=m +no_defs"
)
ROWS, COLUMNS, LEFT, TOP, PIXEL = 640, 710, 255_000.0, 480_000.0, 1000.0

_SIGNATURE = b"GIF8"
_DRY, _LOWEST, _OUTSIDE = (0, 1, 251, 252, 253, 254), 71.5, 255
_COMMENT = re.compile(r"PRDT=AQC(\d{9})\b.*?SCALE=mmh2LASSEN8bitmm.*?ACCUm=(\d+)", re.DOTALL)


def recognises(path: Path) -> bool:
    """Tell whether the file is a GIF picture that MeteoSwiss made of an accumulation."""
    try:
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return False
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check the path and its permissions") from error
    return _COMMENT.search(_read(path)[0]) is not None


def describe(path: Path) -> Frame:
    """Read time and period of one file."""
    comment, counts = _read(path)
    found = _COMMENT.search(comment)
    if found is None:
        raise DataError(f"{path} is no accumulation of MeteoSwiss (its comment says none): remove it from the folder")
    try:
        time = datetime.strptime(found[1], "%y%j%H%M")
    except ValueError:
        raise DataError(f"{path}: {found[1]!r} is no time such as 151351545 (year, day, time); remove it") from None
    if counts.shape != (ROWS, COLUMNS) or int(found[2]) < 1:
        raise DataError(f"{path} has {counts.shape} pixels, MeteoSwiss' composite {(ROWS, COLUMNS)}: remove it")
    return Frame(
        path=path,
        time=time,
        step_minutes=int(found[2]),
        grid=Grid(ROWS, COLUMNS, left=LEFT, top=TOP, width=PIXEL, height=PIXEL, proj4=PROJ4),
        product="MeteoSwiss AQC",
        institution="MeteoSwiss",
        licence="other",
        credit="MeteoSwiss; see its terms of use",
    )


def rain_rate(path: Path) -> Rates:
    """Read one frame as mean rain rate of its period: (rows, columns) float32 in mm/h, NaN outside the reach."""
    comment, counts = _read(path)
    found = _COMMENT.search(comment)
    if found is None:
        raise DataError(f"{path} is no accumulation of MeteoSwiss (its comment says none): remove it from the folder")
    millimetres = RELATION.rain_rate((np.arange(256) - _LOWEST) / 2)
    millimetres[list(_DRY)] = 0.0
    millimetres[_OUTSIDE] = np.nan
    return np.asarray((millimetres * np.float32(60 / int(found[2])))[counts], dtype=np.float32)


def _read(path: Path) -> tuple[str, NDArray[np.uint8]]:
    """Return the comment of the picture and its bytes."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("pillow", "data", "reading GIF pictures") from error
    try:
        with path.open("rb") as file, Image.open(file, formats=["GIF"]) as picture:
            comment = picture.info.get("comment", b"")
            counts = np.array(picture, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is cut short or damaged ({error}): fetch it again or remove it") from error
    return (comment.decode("ascii", "replace") if isinstance(comment, bytes) else str(comment)), counts
