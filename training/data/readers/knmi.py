"""KNMI's five-minute accumulations in HDF5 (``RAD_NL25_RAP_5min_*.h5``, product ``RAD_NL25_RAU_5mi``).

The format is the KNMI HDF5 data format specification 3.5: ``image1/image_data`` holds counts, the attribute
``calibration_formulas`` of ``image1/calibration`` turns them into millimetres, ``geographic`` describes the grid in
kilometres and ``overview`` the period. `write_knmi` writes the same format for generated frames.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelstac.catalog.errors import DataError
from modelstac.training.data.readers import knmi_format
from modelstac.training.data.readers.hdf5 import is_hdf5, number, opened, text
from modelstac.training.data.readers.product import Frame, Rates

SUFFIXES: tuple[str, ...] = (".h5", ".hdf5")
NAME = "KNMI accumulation"
PROJ4_KM = "+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378.137 +b=6356.752 +x_0=0 +y_0=0"
ROWS, COLUMNS, ROW_OFFSET = 765, 700, 3650
MISSING = 65535
SYNTHETIC = "SYNTHETIC_RAU_5mi"
"""Product name of generated files, so that nobody takes them, or a model trained on them, for KNMI's."""

_PARAMETER = "ACCUMULATED_PRECIPITATION_[MM]"


def recognises(path: Path) -> bool:
    """Tell whether the file holds a KNMI accumulation."""
    if not is_hdf5(path):
        return False
    with opened(path, NAME) as file:
        return knmi_format.parameter(file) == _PARAMETER


def describe(path: Path) -> Frame:
    """Read time, grid and origin of one file."""
    with opened(path, NAME) as file:
        knmi_format.require_parameter(file, path, _PARAMETER)
        start = knmi_format.moment(file["overview"].attrs["product_datetime_start"], path)
        end = knmi_format.moment(file["overview"].attrs["product_datetime_end"], path)
        grid = knmi_format.grid(file, path)
        product = text(file["overview"].attrs["product_group_name"])
    minutes = (end - start) / timedelta(minutes=1)
    if minutes <= 0 or minutes != int(minutes):
        raise DataError(f"{path} covers {start} to {end}: not a whole number of minutes; remove it from the folder")
    synthetic = product == SYNTHETIC
    return Frame(
        path=path,
        time=end,
        step_minutes=int(minutes),
        grid=grid,
        product=product,
        institution="modelstac" if synthetic else knmi_format.INSTITUTION,
        licence="MIT" if synthetic else knmi_format.LICENCE,
        credit="generated rain cells, no observation" if synthetic else knmi_format.CREDIT,
    )


def rain_rate(path: Path) -> Rates:
    """Read one frame as mean rain rate of its period: (rows, columns) float32 in mm/h, NaN where masked."""
    with opened(path, NAME) as file:
        knmi_format.require_parameter(file, path, _PARAMETER)
        calibration = file["image1/calibration"].attrs
        factor, offset = knmi_format.calibration(file, path)
        start, end = (
            knmi_format.moment(file["overview"].attrs[f"product_datetime_{edge}"], path) for edge in ("start", "end")
        )
        counts: NDArray[np.uint16] = file["image1/image_data"][...]
        masked = counts == number(calibration["calibration_missing_data"])
        masked |= counts == number(calibration["calibration_out_of_image"])
    per_hour = timedelta(hours=1) / (end - start)
    rate = counts.astype(np.float32)
    rate *= np.float32(factor * per_hour)
    if offset:
        rate += np.float32(offset * per_hour)
    rate[masked] = np.nan
    return rate


def write_knmi(
    path: Path,
    rate: ArrayLike,
    time: datetime,
    *,
    step_minutes: int = 5,
    row_offset: int = 0,
    column_offset: int = 0,
    product: str = SYNTHETIC,
) -> None:
    """Write one frame in KNMI's format; the same input gives the same bytes.

    Parameters
    ----------
    path
        The file to write.
    rate
        Rain rate (rows, columns) in mm/h, NaN where masked; kept to 0.01 mm per step.
    time
        End of the accumulation, UTC.
    row_offset, column_offset
        Place of the first pixel on the national 765 x 700 grid, for smaller grids.
    """
    rate = np.asarray(rate, dtype=np.float64)
    masked = np.isnan(rate)
    counts = np.rint(np.where(masked, 0.0, rate) * step_minutes / 60 / 0.01)
    if counts.min() < 0 or counts.max() >= MISSING:
        raise DataError(f"{path}: rain rates must lie between 0 and {MISSING * 0.01 * 60 / step_minutes:.0f} mm/h")
    counts[masked] = MISSING
    with h5py.File(path, "w") as file:
        overview = file.create_group("overview").attrs
        overview["product_group_name"] = np.bytes_(product)
        overview["product_datetime_start"] = np.bytes_(knmi_format.stamp(time - timedelta(minutes=step_minutes)))
        overview["product_datetime_end"] = np.bytes_(knmi_format.stamp(time))
        overview["hdftag_version_number"] = np.bytes_("3.5")
        geographic = file.create_group("geographic")
        geographic.attrs["geo_number_rows"] = np.array([rate.shape[0]], dtype=np.int32)
        geographic.attrs["geo_number_columns"] = np.array([rate.shape[1]], dtype=np.int32)
        geographic.attrs["geo_row_offset"] = np.array([ROW_OFFSET + row_offset], dtype=np.float32)
        geographic.attrs["geo_column_offset"] = np.array([column_offset], dtype=np.float32)
        geographic.attrs["geo_pixel_size_x"] = np.array([1.0], dtype=np.float32)
        geographic.attrs["geo_pixel_size_y"] = np.array([-1.0], dtype=np.float32)
        geographic.attrs["geo_dim_pixel"] = np.bytes_("KM,KM")
        geographic.create_group("map_projection").attrs["projection_proj4_params"] = np.bytes_(PROJ4_KM)
        image = file.create_group("image1")
        image.attrs["image_geo_parameter"] = np.bytes_(_PARAMETER)
        image.create_dataset("image_data", data=counts.astype("<u2"), compression="gzip", compression_opts=6)
        calibration = image.create_group("calibration").attrs
        calibration["calibration_formulas"] = np.bytes_("GEO=0.01*PV+0.0")
        calibration["calibration_missing_data"] = np.array([MISSING], dtype=np.int32)
        calibration["calibration_out_of_image"] = np.array([MISSING], dtype=np.int32)


def file_name(time: datetime) -> str:
    """Return the name that KNMI gives the file of the five minutes that end at ``time``."""
    return f"RAD_NL25_RAP_5min_{time:%Y%m%d%H%M}.h5"
