"""What KNMI's radar products in HDF5 have in common: grid, times and calibration (KNMI HDF5 data format 3.5)."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import h5py

from modelstac.catalog.errors import DataError
from modelstac.training.data.readers.hdf5 import number, text
from modelstac.training.data.readers.product import Grid

INSTITUTION = "Royal Netherlands Meteorological Institute (KNMI)"
CREDIT = "KNMI (Royal Netherlands Meteorological Institute)"
LICENCE = "CC-BY-4.0"

# strptime's %b follows the user's locale; the files are always English.
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def parameter(file: h5py.File) -> str:
    """Return what the image holds, such as ``ACCUMULATED_PRECIPITATION_[MM]``; empty where it holds none."""
    return text(file["image1"].attrs.get("image_geo_parameter", "")) if "image1" in file else ""


def require_parameter(file: h5py.File, path: Path, expected: str) -> None:
    """Refuse an image of anything else."""
    found = text(file["image1"].attrs.get("image_geo_parameter", "nothing"))
    if found != expected:
        raise DataError(f"{path} holds {found}, not {expected}: keep one product in a folder")


def grid(file: h5py.File, path: Path) -> Grid:
    """Read the grid; pixels must be in kilometres, rows from north to south."""
    geographic = file["geographic"].attrs
    rows, columns = (int(number(geographic[f"geo_number_{axis}"])) for axis in ("rows", "columns"))
    shape = file["image1/image_data"].shape
    if shape != (rows, columns):
        raise DataError(f"{path} announces {rows} x {columns} pixels and holds {shape}: fetch it again or remove it")
    width, height = number(geographic["geo_pixel_size_x"]), -number(geographic["geo_pixel_size_y"])
    if not (width > 0 and height > 0) or text(geographic["geo_dim_pixel"]) != "KM,KM":
        raise DataError(
            f"{path}: pixels of {width:g} x {-height:g} {text(geographic['geo_dim_pixel'])} are not understood"
        )
    return Grid(
        rows=rows,
        columns=columns,
        left=1000 * width * number(geographic["geo_column_offset"]),
        top=-1000 * height * number(geographic["geo_row_offset"]),
        width=1000 * width,
        height=1000 * height,
        proj4=_metres(text(file["geographic/map_projection"].attrs["projection_proj4_params"])),
    )


def _metres(proj4: str) -> str:
    """Turn the projection in kilometres, as KNMI writes it, into the same one in metres."""

    def scaled(match: re.Match[str]) -> str:
        return f"{match[1]}{float(match[2]) * 1000:.12g}"

    return re.sub(r"(\+(?:a|b|x_0|y_0)=)(-?[\d.]+)", scaled, proj4) + " +units=m"


def calibration(file: h5py.File, path: Path) -> tuple[float, float]:
    """Read the calibration, such as ``GEO=0.01*PV+0.0``, as (factor, offset)."""
    formula = text(file["image1/calibration"].attrs["calibration_formulas"])
    match = re.fullmatch(r"GEO\s*=\s*([-\d.eE]+)\s*\*\s*PV\s*\+?\s*([-\d.eE]+)", formula.strip())
    if match is None:
        raise DataError(f"{path}: the calibration {formula!r} is not of the form GEO=a*PV+b; remove the file")
    return float(match[1]), float(match[2])


def moment(value: object, path: Path) -> datetime:
    """Read a time such as ``26-AUG-2010;03:20:00.000``."""
    stamp = text(value)
    match = re.fullmatch(r"(\d{2})-([A-Z]{3})-(\d{4});(\d{2}):(\d{2}):(\d{2})(?:\.\d+)?", stamp.strip().upper())
    try:
        day, month, year, hour, minute, second = match.groups() if match else ()
        return datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))
    except ValueError:  # not this form, or no such month, day or hour
        raise DataError(f"{path}: {stamp!r} is no time such as 26-AUG-2010;03:20:00.000; remove the file") from None


def stamp(time: datetime) -> str:
    """Write a time as `moment` reads it."""
    return f"{time.day:02d}-{_MONTHS[time.month - 1]}-{time:%Y;%H:%M:%S}.000"
