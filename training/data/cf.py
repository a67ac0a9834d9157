"""Names and attributes of the CF conventions, and forecasts as CF NetCDF that GIS programs put at the right place.

CF 1.11: https://cfconventions.org. GDAL (and so QGIS) takes the reference system from ``crs_wkt`` of the grid mapping
and the place from ``x`` and ``y``.
"""

from __future__ import annotations

import math
import warnings
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
MOMENT: dict[str, str] = {"standard_name": "time", "long_name": "time of the measurement (UTC)"}
Y: dict[str, str] = {"standard_name": "projection_y_coordinate", "units": "m", "axis": "Y"}
X: dict[str, str] = {"standard_name": "projection_x_coordinate", "units": "m", "axis": "X"}

LATITUDE: dict[str, str] = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
LONGITUDE: dict[str, str] = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}

_ORIGIN, _NEED_ORIGIN = "latitude_of_projection_origin", ("polar_stereographic", "lambert_conformal_conic")
_EPOCH = "seconds since 1970-01-01 00:00:00"


def rate(conversion: str = "", *, instantaneous: bool = False) -> dict[str, str]:
    """Return the attributes of rain rate: a mean of the period, or that of a moment and how it was measured."""
    moment = {"cell_methods": "time: point"} if instantaneous or conversion else {}
    return {**RATE, **moment, **({"comment": conversion} if conversion else {})}


def grid_mapping(proj4: str) -> tuple[tuple[()], np.int32, dict[str, Any]]:
    """Return the variable ``crs`` for a projection in PROJ's notation.

    Raises
    ------
    pyproj.exceptions.CRSError
        PROJ does not know it.
    """
    crs = pyproj.CRS.from_proj4(proj4)
    with warnings.catch_warnings():
        # Of Switzerland's: its azimuth says the same as the angle that CF has no word for.
        warnings.filterwarnings("ignore", message="angle from rectified to skew grid parameter lost")
        attributes = {name: _listed(value) for name, value in crs.to_cf().items()}
    if attributes.get("grid_mapping_name") in _NEED_ORIGIN and _ORIGIN not in attributes:
        # PROJ takes it from elsewhere and pyproj leaves it out; MetPy and Iris then take the equator, or fail.
        parallel = float(attributes.get("standard_parallel", 90.0))
        polar = attributes["grid_mapping_name"] == "polar_stereographic"
        attributes[_ORIGIN] = math.copysign(90.0, parallel) if polar else parallel
    if "azimuth_of_central_line" in attributes:  # CF's own name; IOOS' compliance-checker 6.1 asks for the short one
        attributes["azimuth"] = attributes["azimuth_of_central_line"]
    return (), np.int32(0), {**attributes, "proj4": proj4}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def pixel_metres(x: NDArray[np.float64], y: NDArray[np.float64], proj4: str) -> tuple[float, float]:
    """Return width and height of a pixel in metres; of longitudes and latitudes those in the middle of the grid."""
    width, height = abs(float(x[1] - x[0])), abs(float(y[1] - y[0]))
    if "+proj=longlat" not in proj4:
        return width, height
    geod = pyproj.CRS.from_proj4(proj4).get_geod()
    assert geod is not None
    middle = float(y[len(y) // 2])
    _, _, distances = geod.inv([0.0, 0.0], [middle] * 2, [width, 0.0], [middle, middle + height])
    return float(distances[0]), float(distances[1])


def forecast(
    rates: NDArray[np.float32],
    time: NDArray[np.datetime64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    proj4: str,
    *,
    attributes: Mapping[str, str | int],
    instantaneous: bool = False,
) -> xr.Dataset:
    """Describe a forecast in the terms of CF.

    Parameters
    ----------
    rates
        Rain rate (time, y, x) in mm/h, NaN where there is none.
    time
        End of the period of each frame, equally spaced; the forecast starts one step before the first.
    y, x
        Pixel centres in metres; latitude and longitude where ``proj4`` is ``+proj=longlat``.
    instantaneous
        Whether rates are those of moments, and no means of the periods.
    attributes
        Global attributes, such as ``title``, ``source``, ``references`` (CF 2.6.2), beside the conventions.
    """
    geographic = "+proj=longlat" in proj4
    step = time[1] - time[0] if len(time) > 1 else np.timedelta64(5, "m")
    start = time[0] - step
    coordinates: dict[str, Any] = {
        "time": ("time", time.astype("datetime64[ns]"), {**(MOMENT if instantaneous else TIME), "axis": "T"}),
        "y": ("y", y, LATITUDE if geographic else Y),
        "x": ("x", x, LONGITUDE if geographic else X),
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
        {"rainfall_rate": (("time", "y", "x"), rates, rate(instantaneous=instantaneous)), "crs": grid_mapping(proj4)},
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
