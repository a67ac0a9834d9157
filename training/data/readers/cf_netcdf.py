"""Rain in CF NetCDF of any service, and our own forecasts: one time or several a file, on a regular grid.

CF conventions 1.11: the variable is found by its standard name, its grid by ``grid_mapping`` or by longitudes and
latitudes, its period by the bounds of its time. Needs netCDF4 (extra ``data``).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import xarray as xr
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError, ModelStacError
from modelstac.registry.running.labels.packing import unpacked
from modelstac.registry.running.labels.systems import import_proj
from modelstac.registry.running.labels.units import converted, said
from modelstac.training.data.readers.hdf5 import is_hdf5, opened
from modelstac.training.data.readers.product import Frame, Grid, Rates
from modelstac.training.data.readers.zr import MARSHALL_PALMER

SUFFIXES: tuple[str, ...] = (".nc", ".nc4", ".cdf")
NAME = "CF NetCDF"
RATES = ("rainfall_rate", "lwe_precipitation_rate", "rainfall_flux", "precipitation_flux")
AMOUNTS = (
    "precipitation_amount",
    "rainfall_amount",
    "lwe_thickness_of_precipitation_amount",
    "thickness_of_rainfall_amount",
)
REFLECTIVITY = "equivalent_reflectivity_factor"
"""Standard names that are read, the most direct first."""

_RATE_UNITS, _AMOUNT_UNITS = ("mm h-1", "kg m-2 h-1"), ("mm", "kg m-2")
_CLASSIC = b"CDF"
_STARTS = ("start_time", "time_start")  # of services that write the period beside the time, not as its bounds
_EVEN = 1e-3  # of a pixel


@dataclass(frozen=True)
class _Rain:
    """The variable of rain in a file, and what its axes are."""

    variable: xr.DataArray
    kind: str
    time: str | None
    y: str
    x: str


def recognises(path: Path) -> bool:
    """Tell whether the file is NetCDF by its name and its first bytes."""
    if not path.name.lower().endswith(SUFFIXES):
        return False
    with path.open("rb") as file:
        return file.read(len(_CLASSIC)) == _CLASSIC or is_hdf5(path)


def describe(path: Path) -> list[Frame]:
    """Read times, grid and origin of one file."""
    with _dataset(path) as ds:
        rain = _rain(ds, path)
        grid = _grid(ds, rain, path)
        ends, minutes = _times(ds, rain, path)
        attrs = ds.attrs
        service = said(attrs.get("institution")) or "an unknown producer"
        credit = said(attrs.get("comment")) if attrs.get("source", "").startswith("modelstac ") else None
        conversion = said(rain.variable.attrs.get("comment"))
        conversion = str(MARSHALL_PALMER) if rain.kind == "reflectivity" else conversion or ""
        moment = rain.kind != "amount" and "mean" not in str(rain.variable.attrs.get("cell_methods", "time: point"))
        return [
            Frame(
                path=path,
                time=end,
                step_minutes=minutes,
                grid=grid,
                product=f"CF {rain.variable.attrs['standard_name']}",
                institution=service,
                licence=said(attrs.get("license") or attrs.get("licence")) or "other",
                credit=credit or f"{service}; see its terms of use",
                conversion=conversion if moment else "",
                instantaneous=moment,
                index=index,
            )
            for index, end in enumerate(ends)
        ]


def rain_rate(path: Path, index: int) -> Rates:
    """Read one frame: (rows, columns) float32 in mm/h, NaN where not measured."""
    with _dataset(path) as ds:
        rain = _rain(ds, path)
        values = rain.variable if rain.time is None else rain.variable.isel({rain.time: index})
        values = unpacked(values.transpose(rain.y, rain.x).load(), of=str(values.name)).astype(np.float64)
        if float(ds[rain.y][1] - ds[rain.y][0]) > 0:
            values = values[::-1]
        if float(ds[rain.x][1] - ds[rain.x][0]) < 0:
            values = values[:, ::-1]
        unit = said(values.attrs.get("units"))
        if rain.kind == "reflectivity":
            if (unit or "").casefold() != "dbz":
                raise DataError(f"{path}: {values.name!r} is in {unit or 'no unit'!r:.40}; reflectivity is read in dBZ")
            return MARSHALL_PALMER.rain_rate(values.values)
        rates = _in_units(values, unit, _RATE_UNITS if rain.kind == "rate" else _AMOUNT_UNITS, path)
        if rain.kind == "amount":
            rates = rates * (60 / _times(ds, rain, path)[1])
        return rates.astype(np.float32)


@contextmanager
def _dataset(path: Path) -> Iterator[xr.Dataset]:
    try:
        import netCDF4  # noqa: F401 - xarray would name an engine, not the extra to install
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("netCDF4", "data", "reading NetCDF") from error
    import_proj()
    try:
        if is_hdf5(path):
            with opened(path, NAME):
                pass  # nothing in it lies in other files
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of times and packing that others write
            with xr.open_dataset(path, engine="netcdf4", decode_timedelta=False, cache=False) as ds:
                yield ds
    except ModelStacError:
        raise
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} is cut short or damaged ({error}): fetch it again or remove it") from error
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is no {NAME} of rain that is understood ({reason}): remove it") from error


def _rain(ds: xr.Dataset, path: Path) -> _Rain:
    found = {str(one.attrs.get("standard_name", "")): one for one in reversed(list(ds.data_vars.values()))}
    for names, kind in ((RATES, "rate"), (AMOUNTS, "amount"), ((REFLECTIVITY,), "reflectivity")):
        for name in names:
            if name in found:
                return _axes(ds, found[name], kind, path)
    there = ", ".join(name for name in found if name not in {"", "time"}) or "nothing that has a standard name"
    wanted = ", ".join((*RATES, *AMOUNTS, REFLECTIVITY))
    raise DataError(f"{path} holds {there}, none of {wanted}: remove it, or set the standard_name of its rain")


def _axes(ds: xr.Dataset, variable: xr.DataArray, kind: str, path: Path) -> _Rain:
    variable = variable.squeeze([dim for dim in variable.dims if variable.sizes[dim] == 1 and dim not in ds.indexes])
    roles: dict[str, str] = {}
    for dim in map(str, variable.dims):
        attrs = ds[dim].attrs if dim in ds.coords else {}
        name, unit = str(attrs.get("standard_name", "")), str(attrs.get("units", ""))
        if dim in ds.coords and ds[dim].dtype.kind == "M":
            roles["time"] = dim
        elif name in {"projection_y_coordinate", "latitude"} or unit.startswith("degrees_n"):
            roles["y"] = dim
        elif name in {"projection_x_coordinate", "longitude"} or unit.startswith("degrees_e"):
            roles["x"] = dim
        else:
            raise DataError(
                f"{path}: the dimension {dim!r} of {variable.name!r} is neither time nor an axis of a regular grid:"
                " choose one value of it, or warp it to a projected grid first"
            )
    if not {"x", "y"} <= set(roles) or variable.ndim != len(roles):
        raise DataError(f"{path}: {variable.name!r} has the dimensions {variable.dims}; (time,) y and x are needed")
    if min(variable.sizes[roles[axis]] for axis in "yx") < 2:
        raise DataError(f"{path}: {variable.name!r} has {dict(variable.sizes)}: two rows and columns at least")
    return _Rain(variable, kind, roles.get("time"), roles["y"], roles["x"])


def _grid(ds: xr.Dataset, rain: _Rain, path: Path) -> Grid:
    geographic = ds[rain.x].attrs.get("standard_name") == "longitude" or "degrees" in str(ds[rain.x].attrs.get("units"))
    proj4 = _proj4(ds, rain, path, geographic=geographic)
    (left, width), (top, height) = (_axis(ds[axis], path, geographic=geographic) for axis in (rain.x, rain.y))
    columns, rows = ds.sizes[rain.x], ds.sizes[rain.y]
    if width < 0:
        left, width = left + columns * width, -width
    if height > 0:
        top, height = top + rows * height, -height
    return Grid(rows, columns, left=left, top=top, width=width, height=-height, proj4=proj4)


def _axis(axis: xr.DataArray, path: Path, *, geographic: bool) -> tuple[float, float]:
    """Return the outer edge of the first pixel and the way to the next, in metres or degrees."""
    centres: NDArray[np.float64] = axis.values.astype(np.float64)
    if not geographic:
        unit = said(axis.attrs.get("units"))
        if unit is None:
            raise DataError(f"{path}: the axis {axis.name!r} has no unit, such as m or km: set it")
        centres = np.asarray(converted(axis.astype(np.float64), unit, "m", of=f"the axis {axis.name!r}").values)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    if not step or np.abs(np.diff(centres) / step - 1).max() > _EVEN + np.abs(centres).max() * 2e-7 / abs(step):
        raise DataError(f"{path}: the pixels along {axis.name!r} are not evenly apart: warp it to a regular grid first")
    step = float(f"{step:.7g}")
    return float(f"{centres[0] - step / 2:.9g}"), step


def _proj4(ds: xr.Dataset, rain: _Rain, path: Path, *, geographic: bool) -> str:
    name = rain.variable.encoding.get("grid_mapping") or rain.variable.attrs.get("grid_mapping")
    attrs: dict[str, Any] = dict(ds[name].attrs) if name in ds.variables else {}
    if "proj4" in attrs:
        return str(attrs["proj4"])
    if not attrs:
        if geographic:
            return "+proj=longlat +ellps=WGS84 +no_defs"
        raise DataError(f"{path}: no variable says the projection of {rain.variable.name!r} (grid_mapping): set it")
    try:
        crs = pyproj.CRS.from_cf(attrs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that names of datums are lost: the ellipsoid stays
            return str(crs.to_proj4()).replace(" +type=crs", "")
    except (pyproj.exceptions.CRSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: the projection of {name!r} is not understood ({reason}); warp it first") from error


def _times(ds: xr.Dataset, rain: _Rain, path: Path) -> tuple[list[datetime], int]:
    """Return the end of the period of each frame, and its minutes; 0 where its neighbours tell."""
    names = [rain.time] if rain.time else [n for n in ds.variables if ds[n].attrs.get("standard_name") == "time"]
    scalars = [str(name) for name in names if ds[name].dtype.kind == "M"]
    if not scalars:
        raise DataError(f"{path}: no variable says the time of {rain.variable.name!r} (standard_name time): set it")
    time = ds[scalars[0]]
    ends = np.atleast_1d(time.values).astype("datetime64[s]")
    bounds = time.attrs.get("bounds") or time.encoding.get("bounds")
    if bounds in ds.variables and ds[bounds].dtype.kind == "M":
        edges = ds[bounds].values.astype("datetime64[s]").reshape(-1, 2)
        starts, ends = edges[:, 0], edges[:, 1]
    else:
        beside = next((name for name in _STARTS if name in ds.variables and ds[name].dtype.kind == "M"), None)
        starts = ends if beside is None else np.atleast_1d(ds[beside].values).astype("datetime64[s]")
    seconds = np.unique((ends - starts) / np.timedelta64(1, "s"))
    if len(seconds) != 1 or seconds[0] % 60 or seconds[0] < 0:
        raise DataError(
            f"{path}: periods of {', '.join(f'{one:g}' for one in seconds[:3])} s: equal whole minutes only"
        )
    if not seconds[0] and rain.kind == "amount":
        raise DataError(f"{path}: {rain.variable.name!r} is an amount, and its time has no bounds: add them")
    return [end.item() for end in ends], int(seconds[0] // 60)


def _in_units(values: xr.DataArray, unit: str | None, wanted: tuple[str, ...], path: Path) -> NDArray[np.float64]:
    if unit is None:
        raise DataError(f"{path}: {values.name!r} has no unit, such as {wanted[0]}: set it")
    for one in wanted:
        try:
            return np.asarray(converted(values, unit, one, of=f"{values.name!r}").values)
        except DataError:
            continue
    raise DataError(f"{path}: {values.name!r} is in {unit!r:.40}, which is neither {' nor '.join(wanted)}: convert it")
