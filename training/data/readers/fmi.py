"""FMI's reflectivity composites as PGM pictures (``*_fmi.radar.composite.lowest_FIN_SUOMI1.pgm``, also gzipped).

One byte a pixel, dBZ = (PV - 64) / 2; the largest value is outside the radars' reach, 0 is no echo. Comments in the
header give time, projection and corners; the sphere and the false origin of the projection are not among them and are
those that pysteps gives for these files.
"""

from __future__ import annotations

import gzip
import re
import zlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, StorageError
from modelstac.training.data.readers.product import Frame, Grid, Rates
from modelstac.training.data.readers.zr import FINLAND

SUFFIXES: tuple[str, ...] = (".pgm", ".pgm.gz")

_SPHERE = "+a=6371288 +b=6371288 +x_0=380886.310 +y_0=3395677.920 +units=m +no_defs"
_GZIP = b"\x1f\x8b"


def recognises(path: Path) -> bool:
    """Tell whether the file is a PGM picture with the comments of FMI."""
    if not path.name.lower().endswith(SUFFIXES):
        return False
    data = _bytes(path)
    return data.startswith(b"P5") and b"# obstime" in data[:4096]


def describe(path: Path) -> Frame:
    """Read time, grid and origin of one file."""
    header, counts = _read(path)
    stamp = _words(header, "obstime", path)[0]
    try:
        time = datetime.strptime(stamp, "%Y%m%d%H%M")
    except ValueError:
        raise DataError(f"{path}: {stamp!r} is no time such as 201609281600; remove the file") from None
    return Frame(
        path=path,
        time=time,
        step_minutes=0,
        grid=_grid(header, counts.shape, path),
        product=f"FMI {_words(header, 'productname', path)[0]}",
        institution="Finnish Meteorological Institute (FMI)",
        licence="CC-BY-4.0",
        credit="Finnish Meteorological Institute, open data",
        conversion=str(FINLAND),
        instantaneous=True,
    )


def rain_rate(path: Path) -> Rates:
    """Read one frame: (rows, columns) float32 in mm/h, NaN outside the reach of the radars, 0 without echo."""
    header, counts = _read(path)
    parameter = _words(header, "param", path)[0]
    if "Reflectivity" not in parameter:
        raise DataError(f"{path} holds {parameter}, no reflectivity: remove it from the folder")
    rate = FINLAND.rain_rate((counts.astype(np.float64) - 64) / 2)
    rate[counts == 0] = 0.0
    rate[counts == 255] = np.nan
    return rate


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or damaged ({error}): fetch it again or remove it") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check the path and its permissions") from error


def _read(path: Path) -> tuple[str, NDArray[np.uint8]]:
    """Return the comments of the header and the pixels (rows, columns)."""
    data = _bytes(path)
    # PGM: a magic number, then width, height and largest value, with comment lines anywhere between.
    gap = rb"(?:\s|#[^\n]*\n)+"
    match = re.match(rb"P5" + gap + rb"(\d+)" + gap + rb"(\d+)" + gap + rb"(\d+)\s", data)
    if match is None or int(match[3]) != 255:
        raise DataError(f"{path} is no PGM picture of bytes: fetch it again or remove it")
    columns, rows = int(match[1]), int(match[2])
    pixels = data[match.end() :]
    if len(pixels) != rows * columns:
        raise DataError(
            f"{path} announces {rows} x {columns} pixels and holds {len(pixels)}: fetch it again or remove it"
        )
    return data[: match.end()].decode("ascii", "replace"), np.frombuffer(pixels, np.uint8).reshape(rows, columns)


def _words(header: str, key: str, path: Path) -> list[str]:
    match = re.search(rf"^#\s*{key}[ \t]+(.+)$", header, re.MULTILINE)
    if match is None:
        raise DataError(f"{path} is no composite of FMI (its header has no {key}): remove it from the folder")
    return match[1].split()


def _grid(header: str, shape: tuple[int, ...], path: Path) -> Grid:
    if (kind := _words(header, "type", path)[0]) != "stereographic":
        raise DataError(f"{path}: the projection {kind} is not understood, only stereographic; remove the file")
    longitude, latitude, true = (
        float(_words(header, key, path)[0]) for key in ("centrallongitude", "centrallatitude", "truelatitude")
    )
    proj4 = f"+proj=stere +lon_0={longitude:g} +lat_0={latitude:g} +lat_ts={true:g} {_SPHERE}"
    to_grid = pyproj.Proj(proj4)
    left, bottom = to_grid(*(float(part) for part in _words(header, "bottomleft", path)[:2]))
    right, top = to_grid(*(float(part) for part in _words(header, "topright", path)[:2]))
    rows, columns = shape
    return Grid(
        rows=rows,
        columns=columns,
        left=round(left, 3),
        top=round(top, 3),
        width=round((right - left) / columns, 6),
        height=round((top - bottom) / rows, 6),
        proj4=proj4,
    )
