"""Names and attributes of the CF conventions, and forecasts as CF NetCDF that GIS programs put at the right place.

CF 1.11: https://cfconventions.org. GDAL (and so QGIS) takes the reference system from ``crs_wkt`` of the grid mapping
and the place from ``x`` and ``y``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import xarray as xr
from numpy.typing import NDArray

from modelstac.catalog.errors import MissingPackageError

CONVENTIONS = "CF-1.11"
RATE: dict[str, str] = {
    "standard_name": "rainfall_rate",
    "long_name": "rain rate",
    "units": "mm h-1",
    "cell_methods": "time: mean",
    "grid_mapping": "crs",
}
TIME: dict[str, str] = {"standard_name": "time", "long_name": "end of the measured period (UTC)"}
Y: dict[str, str] = {"standard_name": "projection_y_coordinate", "units": "m", "axis": "Y"}
X: dict[str, str] = {"standard_name": "projection_x_coordinate", "units": "m", "axis": "X"}

_EPOCH = "seconds since 1970-01-01 00:00:00"


def rate(conversion: str = "") -> dict[str, str]:
    """Return the attributes of rain rate: a mean, or what a conversion makes of a moment's measurement."""
    return {**RATE, "cell_methods": "time: point", "comment": conversion} if conversion else RATE


def grid_mapping(proj4: str) -> tuple[tuple[()], np.int32, dict[str, Any]]:
    """Return the variable ``crs`` for a projection in PROJ's notation.

    Raises
    ------
    pyproj.exceptions.CRSError
        PROJ does not know it.
    """
    return (), np.int32(0), {**pyproj.CRS.from_proj4(proj4).to_cf(), "proj4": proj4}


def forecast(
    rate: NDArray[np.float32],
    time: NDArray[np.datetime64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    proj4: str,
    *,
    attributes: Mapping[str, str | int],
) -> xr.Dataset:
    """Describe a forecast in the terms of CF.

    Parameters
    ----------
    rate
        Rain rate (time, y, x) in mm/h, NaN where there is none.
    time
        End of the period of each frame, equally spaced; the forecast starts one step before the first.
    y, x
        Pixel centres in metres.
    attributes
        Global attributes, such as ``title``, ``source``, ``references`` (CF 2.6.2), beside the conventions.
    """
    step = time[1] - time[0] if len(time) > 1 else np.timedelta64(5, "m")
    start = time[0] - step
    coordinates: dict[str, Any] = {
        "time": ("time", time.astype("datetime64[ns]"), {**TIME, "axis": "T"}),
        "y": ("y", y, Y),
        "x": ("x", x, X),
        "forecast_reference_time": (
            (),
            start.astype("datetime64[ns]"),
            {"standard_name": "forecast_reference_time", "long_name": "end of the last observed period (UTC)"},
        ),
        "forecast_period": (
            "time",
            ((time - start) / np.timedelta64(1, "m")).astype(np.float32),
            {"standard_name": "forecast_period", "long_name": "lead time", "units": "minutes"},
        ),
    }
    # No time bounds: GDAL would offer them as a second raster, and QGIS would ask which one to open.
    return xr.Dataset(
        {"rainfall_rate": (("time", "y", "x"), rate, RATE), "crs": grid_mapping(proj4)},
        coords=coordinates,
        attrs={"Conventions": CONVENTIONS, **attributes},
    )


def write_netcdf(ds: xr.Dataset, path: Path) -> None:
    """Write a dataset of `forecast` as compressed NetCDF-4.

    Raises
    ------
    MissingPackageError
        netCDF4 is not installed.
    OSError
        The file cannot be written.
    """
    try:
        import netCDF4  # noqa: F401 - xarray would name an engine, not the extra to install
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("netCDF4", "data", "writing NetCDF") from error
    times = {"units": _EPOCH, "calendar": "standard", "dtype": "int64", "_FillValue": None}
    chunk = (1, ds.sizes["y"], ds.sizes["x"])
    encoding: dict[str, dict[str, Any]] = {
        "rainfall_rate": {"zlib": True, "complevel": 4, "chunksizes": chunk, "_FillValue": np.float32(np.nan)},
        "time": times,
        "forecast_reference_time": times,
        "forecast_period": {"_FillValue": None},
        "y": {"_FillValue": None},
        "x": {"_FillValue": None},
    }
    ds.to_netcdf(path, engine="netcdf4", format="NETCDF4", encoding=encoding)
