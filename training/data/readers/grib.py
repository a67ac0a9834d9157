"""Rain in GRIB on regular longitudes and latitudes, one message a file: MRMS, and GRIB2 of weather services.

Read message by message through cfgrib and ecCodes (extra ``grib``), and laid on the grid by the keys of the grid
itself: cfgrib's own datasets sort longitudes that cross Greenwich and leave the values as they are.
"""

from __future__ import annotations

import gzip
import logging
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError, ModelStacError, StorageError
from modelstac.registry.running.labels.systems import import_proj
from modelstac.training.data.readers.product import Frame, Grid, Rates

SUFFIXES: tuple[str, ...] = (".grib2", ".grib", ".grb2", ".grb", ".grib2.gz")
NAME = "GRIB of rain"

_SIGNATURE, _GZIP = b"GRIB", b"\x1f\x8b"
_MRMS = (209, 6, 1)  # discipline, category and number of MRMS' precipitation rate, in mm/h; -3 is no coverage
_RATES, _AMOUNTS = ("prate", "tprate", "crr", "lsrr", "rprate"), ("tp", "rain")
# What makes mm/h of rates, and mm of amounts: ECMWF gives metres, others kg m-2.
_FACTORS = {"kg m**-2 s**-1": 3600.0, "mm s**-1": 3600.0, "m s**-1": 3_600_000.0, "mm h**-1": 1.0}
_FACTORS |= {"kg m**-2": 1.0, "mm": 1.0, "m": 1000.0, "m of water equivalent": 1000.0}
_SHAPES = {0: "+R=6367470", 2: "+a=6378160 +b=6356775", 4: "+ellps=GRS80", 6: "+R=6371229", 8: "+R=6371200"}
_LARGEST = 2**28  # bytes of a file that was compressed


def recognises(path: Path) -> bool:
    """Tell whether the file is GRIB, compressed by gzip or not."""
    if not path.name.lower().endswith(SUFFIXES):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start.startswith(_GZIP):
            with gzip.open(path) as file:
                start = file.read(4)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check the path and its permissions") from error
    return start == _SIGNATURE


def describe(path: Path) -> Frame:
    """Read time, period and grid of the message."""
    with _message(path) as message:
        kind, minutes = _kind(message, path)
        grid, _ = _grid(message, path)
        stamp = f"{message['validityDate']:08d}{message['validityTime']:04d}"
        centre = str(message["centreDescription"])
    mrms = kind == "mrms"
    return Frame(
        path=path,
        time=datetime.strptime(stamp, "%Y%m%d%H%M"),
        step_minutes=minutes,
        grid=grid,
        product="MRMS PrecipRate" if mrms else f"GRIB {kind}",
        institution="NOAA/NSSL Multi-Radar/Multi-Sensor System" if mrms else centre,
        licence="other",
        credit="NOAA MRMS" if mrms else f"{centre}; see its terms of use",
        instantaneous=not minutes,
    )


def rain_rate(path: Path) -> Rates:
    """Read one frame: (rows, columns) float32 in mm/h, NaN where not measured."""
    with _message(path) as message:
        kind, minutes = _kind(message, path)
        _, place = _grid(message, path)
        values: NDArray[np.float64] = np.array(message["values"], dtype=np.float64)
        values[values == float(message["missingValue"])] = np.nan
        factor = 1.0 if kind == "mrms" else _factor(message, path)
    if kind == "mrms":
        values[values < 0] = np.nan
    else:
        values *= factor if kind in _RATES else factor * 60 / minutes
    return np.asarray(place(values), dtype=np.float32)


@contextmanager
def _message(path: Path) -> Iterator[Any]:
    """Open the one message of a file; what fails inside becomes a `DataError` that names the file."""
    try:
        logging.getLogger("gribapi").addHandler(logging.NullHandler())
        import_proj()
        from cfgrib.messages import FileStream
    except (ModuleNotFoundError, RuntimeError) as error:  # cfgrib without the library of ecCodes
        raise MissingPackageError.extra("cfgrib", "grib", "reading GRIB") from error
    try:
        with _uncompressed(path) as plain:
            # The positions of the file's messages are found anew: an index beside it would be trusted and written.
            messages = [message for _, message in FileStream(str(plain), errors="raise").items()]
            yield _only(messages, path)
    except ModelStacError:
        raise
    except EOFError as error:
        raise DataError(f"{path} is cut short or holds no message of GRIB: fetch it again or remove it") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{path} is no {NAME} ({reason}): fetch it again or remove it") from error


def _only(messages: list[Any], path: Path) -> Any:
    if len(messages) != 1:
        raise DataError(f"{path} has {len(messages)} messages; one a file is read: split it (grib_copy)")
    return messages[0]


@contextmanager
def _uncompressed(path: Path) -> Iterator[Path]:
    with path.open("rb") as file:
        if file.read(2) != _GZIP:
            yield path
            return
    with gzip.open(path) as file, tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
        data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise DataError(f"{path} holds more than {_LARGEST:,} bytes: remove it")
        plain = Path(folder) / "one.grib2"
        plain.write_bytes(data)
        yield plain


def _kind(message: Any, path: Path) -> tuple[str, int]:
    """Return what the message holds, and the minutes of its period; 0 for a rate of a moment."""
    keys = tuple(message.get(key, None) for key in ("discipline", "parameterCategory", "parameterNumber"))
    if keys == _MRMS:
        return "mrms", 0
    name = str(message.get("shortName", "unknown"))
    if name in _RATES:
        return name, 0
    if name not in _AMOUNTS:
        raise DataError(f"{path} holds {name} {keys}, no rain of {', '.join((*_RATES, *_AMOUNTS))} or MRMS: remove it")
    units = {"m": 1, "h": 60, "s": 1 / 60}
    unit = str(message.get("stepUnits:str", message.get("stepUnits", "h")))
    steps = [str(message[key]).rstrip("mhs") for key in ("startStep:int", "endStep:int")]
    minutes = (int(steps[1]) - int(steps[0])) * units.get({"0": "m", "1": "h", "13": "s"}.get(unit, unit), 60)
    if minutes < 1 or minutes != int(minutes):
        raise DataError(f"{path} is an amount of {minutes:g} minutes: whole minutes above 0 are understood")
    return name, int(minutes)


def _factor(message: Any, path: Path) -> float:
    unit = str(message.get("units", "unknown"))
    if unit not in _FACTORS:
        raise DataError(f"{path} is in {unit}: {', '.join(_FACTORS)} are read")
    return _FACTORS[unit]


def _step(message: Any, axis: str, found: float) -> float:
    """Return degrees from pixel to pixel: as stated, where the corners, which are rounded, agree with it."""
    stated = message.get(f"{axis}DirectionIncrementInDegrees", None)
    return float(stated) if stated and abs(float(stated) - found) < 1e-3 * found else found


def _grid(message: Any, path: Path) -> tuple[Grid, Any]:
    """Return the grid, and what lays the values on it: rows from north to south, columns from west to east."""
    if (kind := message["gridType"]) != "regular_ll":
        raise DataError(f"{path} has a grid of kind {kind}; regular_ll is read: warp it first (cdo, gdalwarp)")
    rows, columns = int(message["Nj"]), int(message["Ni"])
    west_east, south_north = not message["iScansNegatively"], bool(message["jScansPositively"])
    first, last = (
        (float(message[f"longitudeOf{edge}GridPointInDegrees"]), float(message[f"latitudeOf{edge}GridPointInDegrees"]))
        for edge in ("First", "Last")
    )
    if message["jPointsAreConsecutive"] or message["alternativeRowScanning"] or min(rows, columns) < 2:
        raise DataError(f"{path} has {rows} x {columns} values in columns or to and fro: rewrite it row by row first")
    left, right = (first[0], last[0]) if west_east else (last[0], first[0])
    # Longitudes that cross Greenwich go on beyond 360 here, in the order of the values.
    width = _step(message, "i", ((right - left) % 360 or 360.0) / (columns - 1))
    height = _step(message, "j", abs(last[1] - first[1]) / (rows - 1))
    west = round(left - width / 2, 6)
    shift = 360.0 if west + width * columns / 2 > 180 else 0.0
    grid = Grid(
        rows,
        columns,
        left=round(west - shift, 6),
        top=round(max(first[1], last[1]) + height / 2, 6),
        width=float(f"{width:.9g}"),
        height=float(f"{height:.9g}"),
        proj4=f"+proj=longlat {_SHAPES.get(message['shapeOfTheEarth'], '+ellps=WGS84')} +no_defs",
    )

    def place(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if values.size != rows * columns:
            raise DataError(f"{path} announces {rows} x {columns} values and holds {values.size}: fetch it again")
        laid = values.reshape(rows, columns)
        return laid[:: -1 if south_north else 1, :: 1 if west_east else -1]

    return grid, place
