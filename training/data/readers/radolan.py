"""DWD's RADOLAN composites (RW, RY, SF, RX …; ``raa01-rw_10000-*-dwd---bin``), read by wradlib (extra ``radolan``).

A header of text with product, time and interval, then bytes on a grid of 1 km; polar stereographic on a sphere of
6370.04 km (DWD, RADOLAN/RADVOR composite formats 2.5). Newer composites on an ellipsoid (DE1200) are refused: their
grid is another.
"""

from __future__ import annotations

import bz2
import gzip
import re
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError, ModelStacError, StorageError
from modelstac.training.data.readers.product import Frame, Grid, Rates
from modelstac.training.data.readers.zr import Relation

SUFFIXES: tuple[str, ...] = tuple(f"---bin{packed}" for packed in ("", ".gz", ".bz2"))
NAME = "RADOLAN composite"
RELATION = Relation(256.0, 1.42, "DWD's RADOLAN")
PROJ4 = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +x_0=0 +y_0=0 +a=6370040 +b=6370040 +units=m +no_defs"
REFLECTIVITIES = ("RX", "EX", "WX")
SHAPES = ((900, 900), (1100, 900), (1500, 1400))
"""Rows and columns of the composites on the sphere."""

_HEADER = re.compile(rb"[A-Z][A-Z0-9]\d{6}10000\d{4}BY")
_MISSING, _NO_ECHO, _LARGEST = -9999.0, -32.0, 2**26
_ELLIPSOID = 5  # format version from which a composite may lie on another grid


def recognises(path: Path) -> bool:
    """Tell by the name and the header whether the file is a composite of RADOLAN."""
    return path.name.lower().endswith(SUFFIXES) and _HEADER.match(_bytes(path)[:19]) is not None


def describe(path: Path) -> Frame:
    """Read time, period and grid of one file."""
    from wradlib import georef

    header, values = _read(path)
    if (shape := values.shape) not in SHAPES or int(header.get("formatversion", 3)) >= _ELLIPSOID:
        raise DataError(
            f"{path} has {shape[0]} x {shape[1]} pixels, format {header.get('formatversion')}: composites on the sphere"
            f" are read, {', '.join(f'{rows} x {columns}' for rows, columns in SHAPES)}; warp it first"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, about how wradlib calls pyproj
        left, bottom = (round(1000 * float(edge), 3) for edge in georef.get_radolan_grid(*shape)[0, 0])
    reflectivity = header["producttype"] in REFLECTIVITIES
    return Frame(
        path=path,
        time=header["datetime"],
        step_minutes=0 if reflectivity else _minutes(header, path),
        grid=Grid(
            shape[0], shape[1], left=left, top=bottom + 1000 * shape[0], width=1000.0, height=1000.0, proj4=PROJ4
        ),
        product=f"RADOLAN {header['producttype']}",
        institution="Deutscher Wetterdienst (DWD)",
        licence="CC-BY-4.0",
        credit="Deutscher Wetterdienst, open data",
        conversion=str(RELATION) if reflectivity else "",
        instantaneous=reflectivity,
    )


def rain_rate(path: Path) -> Rates:
    """Read one frame: (rows, columns) float32 in mm/h, rows from north to south, NaN where not measured."""
    header, values = _read(path)
    rows = np.array(values[::-1], dtype=np.float64)  # the file begins in the south
    rows[rows == _MISSING] = np.nan
    if header["producttype"] in REFLECTIVITIES:
        return np.where(rows <= _NO_ECHO, np.float32(0), RELATION.rain_rate(rows))
    return (rows * (60 / _minutes(header, path))).astype(np.float32)


def _minutes(header: dict[str, Any], path: Path) -> int:
    seconds = header.get("intervalseconds", 0)
    if seconds < 60 or seconds % 60:
        raise DataError(
            f"{path} is {header['producttype']} of {seconds} s: an amount of whole minutes, or reflectivity"
        )
    return int(seconds // 60)


def _read(path: Path) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Return the header, and the pixels (rows, columns) from south to north."""
    try:
        from wradlib.io import read_radolan_composite
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("wradlib", "radolan", "reading RADOLAN") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, header = read_radolan_composite(BytesIO(_bytes(path)), missing=int(_MISSING))
    except ModelStacError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{path} is cut short or no {NAME} ({reason}): fetch it again or remove it") from error
    return header, np.asarray(values)


def _bytes(path: Path) -> bytes:
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
    try:
        with openers.get(path.suffix.lower(), open)(path, "rb") as file:
            data: bytes = file.read(_LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or damaged ({error}): fetch it again or remove it") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check the path and its permissions") from error
    if len(data) > _LARGEST:
        raise DataError(f"{path} holds more than {_LARGEST:,} bytes, more than a {NAME}: remove it")
    return data
