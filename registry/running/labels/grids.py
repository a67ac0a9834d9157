"""Where the pixels of labelled data lie: which way rows and columns run, how large pixels are, in which system.

Source: CF conventions 1.11, sections 4.1, 4.2 and 5.6; GDAL's ``GeoTransform``, as rioxarray and odc-geo keep it at a
grid mapping.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.systems import is_geographic, parsed_crs
from modelstac.registry.running.labels.units import factor, said

if TYPE_CHECKING:
    import xarray as xr

VERTICAL = frozenset({"height", "y", "lat", "latitude", "row", "rows", "northing"})
HORIZONTAL = frozenset({"width", "x", "lon", "longitude", "col", "cols", "column", "columns", "easting"})
"""Names of the axes of an image, of models and of data."""
_IN_DEGREES = frozenset({"lat", "latitude", "lon", "longitude"})
_STANDARD: MappingProxyType[str, str] = MappingProxyType(
    dict.fromkeys(("latitude", "grid_latitude", "projection_y_coordinate", "projection_y_angular_coordinate"), "y")
    | dict.fromkeys(("longitude", "grid_longitude", "projection_x_coordinate", "projection_x_angular_coordinate"), "x")
)
"""What CF calls coordinates of the axes of an image."""
TRANSFORM = "GeoTransform"
METRES_A_DEGREE = 111_195.0
"""Of latitude, on a sphere of 6371 km."""
_MAPPING = frozenset({TRANSFORM, "crs_wkt", "spatial_ref", "grid_mapping_name", "proj4"})
_FEET = 1e-5
"""Share by which units may differ that are taken for one: feet are written for those of surveys."""
_METRES = {"m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0} | dict.fromkeys(
    ("km", "kilometre", "kilometer", "kilometres", "kilometers"), 1000.0
)
CRS = "crs"
_WESTWARDS = "azimuth angle encoded as column"
"""What MTG calls its columns (FCI and LI product user guides), which it counts from the west all the same."""
SYSTEM = "proj:code"
SYSTEMS = ("epsg", "proj:epsg", SYSTEM, "proj:wkt2", "proj:projjson")
"""What coordinates and attributes are called that say a reference system, in the words of STAC."""
SPATIAL = "spatial:"
"""What fields of the spatial convention of Zarr begin with."""
TURN = 360.0
"""Degrees after which longitudes are the same places."""
_GAP = 0.5
"""Share of a pixel by which the distance of two may differ: what lies further apart has lost one between them."""


@dataclass(frozen=True)
class Axis:
    """Rows or columns of data.

    Parameters
    ----------
    step
        From one pixel to the next, in metres or degrees, or as the data have it where nobody says.
    degrees
        Whether it is one of latitude or longitude; None where nobody says.
    rough
        Whether the sign alone is known of a step: latitudes that differ from column to column.
    unit
        What the data call the unit of the step, where it is neither of these and may be a length.
    """

    step: float
    degrees: bool | None = None
    rough: bool = False
    unit: str = ""


def image_axis(dim: str) -> str | None:
    """Return ``y`` or ``x`` of a dimension's name, None of others."""
    name = dim.casefold()  # GDAL calls them Y and X
    return "y" if name in VERTICAL else "x" if name in HORIZONTAL else None


def image_axis_of(array: xr.DataArray, dim: str) -> str | None:
    """Return ``y`` or ``x`` of a dimension: by its name, else by what its coordinate says (CF 1.11, sections 4 and 5).

    MODIS calls them ydim and xdim, regional climate models rlat and rlon.
    """
    if (named := image_axis(dim)) is not None or dim not in array.coords or array[dim].ndim != 1:
        return named
    attrs = array[dim].attrs
    standard, axis = str(attrs.get("standard_name", "")), str(attrs.get("axis", "")).casefold()
    return _STANDARD.get(standard, axis if axis in ("y", "x") else None)


def is_mapping(coordinate: xr.DataArray) -> bool:
    """Tell whether a coordinate says in which system others lie."""
    return coordinate.ndim == 0 and bool(_MAPPING & coordinate.attrs.keys())


def grid_mapping(array: xr.DataArray) -> str | None:
    """Name the coordinate that says in which system an array lies."""
    for place in (array.attrs, array.encoding):
        name = str(place.get("grid_mapping", "")).split(":")[0].strip()
        if name and name in array.coords and array[name].ndim == 0:
            return name
    return next((str(key) for key, coordinate in array.coords.items() if is_mapping(coordinate)), None)


def system_of(array: xr.DataArray) -> Any:
    """Return what the data say of their reference system, as PROJ may read it; None where they say nothing."""
    if (name := grid_mapping(array)) is not None:
        attrs = array[name].attrs
        for key in ("crs_wkt", "spatial_ref", "proj4"):
            if isinstance(attrs.get(key), str) and attrs[key]:
                return attrs[key]
        if "grid_mapping_name" in attrs:
            return dict(attrs)
    for name in (*SYSTEMS, CRS):  # the last one is of Satpy, an object of PROJ
        if name in array.coords and array[name].ndim == 0 and array[name].item() not in (0, None):
            return array[name].item()
        if array.attrs.get(name) is not None:  # of the products of EOPF
            return array.attrs[name]
    written = array.attrs.get("_CRS")  # GDAL's of Zarr
    if isinstance(written, Mapping) and (
        known := [written[key] for key in ("wkt", "projjson", "url") if key in written]
    ):
        return known[0]
    return array.attrs.get(CRS)


def geotransform(array: xr.DataArray) -> tuple[float, ...] | None:
    """Return GDAL's six numbers (x of a corner, a, b, y of it, d, e) that a grid mapping holds."""
    name = grid_mapping(array)
    return None if name is None else _numbers(array[name].attrs.get(TRANSFORM))


def _numbers(found: Any) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(n) for n in (found.split() if isinstance(found, str) else found or ()))
    except (TypeError, ValueError):
        return None
    usable = len(numbers) == 6 and all(map(math.isfinite, numbers)) and numbers != (0, 1, 0, 0, 0, 1)
    return numbers if usable else None


def written_transform(array: xr.DataArray) -> tuple[float, ...] | None:
    """Return GDAL's six numbers of an affine transform (a, b, x, d, e, y) among the attributes (stackstac)."""
    found = array.attrs.get("transform")
    try:  # a transform of affine is no tuple
        numbers = None if found is None or isinstance(found, str) else _numbers(tuple(found)[:6])
    except TypeError:
        return None
    if numbers is None:
        return None
    a, b, x, d, e, y = numbers
    return x, a, b, y, d, e


def read_axis(array: xr.DataArray, name: str, axis: str, *, of: str) -> Axis | None:
    """Read how rows or columns run; None where nobody says.

    Parameters
    ----------
    array
        The data.
    name
        Name of the dimension.
    axis
        ``y`` or ``x``.
    of
        Which input it is, for messages.

    Raises
    ------
    DataError
        If they are in no order, or one is missing between two others.
    """
    positions = positions_of(array, name)
    degrees, factor, unit = _unit_of(array, name)
    if positions is None:
        numbers = geotransform(array) or written_transform(array)
        if numbers is None:
            return _of_places(array, name, axis)
        along, across = (numbers[5], numbers[2]) if axis == "y" else (numbers[1], numbers[4])
        if abs(across) > abs(along):  # turned by about a right angle
            return None
        counted = name in array.coords and counts_pixels(array[name]) and array[name].size > 1
        backwards = -1 if counted and array[name].values[-1] < array[name].values[0] else 1
        return Axis(backwards * math.copysign(math.hypot(along, across), along) * factor, degrees)
    steps = np.diff(positions)
    if degrees and axis == "x":  # over the antimeridian, or over Greenwich where longitudes are 0 to 360
        steps = steps - TURN * np.round(steps / TURN)
    step = float(np.median(steps))
    if not step or (np.sign(steps) != np.sign(step)).any():
        raise DataError(f"input {of!r}: the pixels along {name!r} are in no order: sort them, .sortby({name!r})")
    if (np.abs(steps - step) > _GAP * abs(step)).any():
        apart = np.abs(steps)
        raise DataError(
            f"input {of!r}: the pixels along {name!r} are between {apart.min():g} and {apart.max():g} apart, so that "
            "some are left out: give them all, with what they hold, or bring them onto an even grid"
        )
    return Axis(step * factor, degrees, unit=unit)


def _of_places(array: xr.DataArray, name: str, axis: str) -> Axis | None:
    """Tell from latitudes or longitudes of each pixel (of a swath, of WRF) how rows or columns run."""
    standard, unit = ("latitude", "degrees_north") if axis == "y" else ("longitude", "degrees_east")
    for key, places in array.coords.items():
        told = str(places.attrs.get("standard_name")) == standard or str(places.attrs.get("units")) == unit
        if places.ndim != 2 or name not in places.dims or not (told or key in (standard, standard[:3])):
            continue
        steps = np.diff(np.asarray(places, np.float64), axis=places.get_axis_num(name))
        steps = steps[np.isfinite(steps)]
        steps = steps - TURN * np.round(steps / TURN)  # over the antimeridian
        if steps.size and ((steps > 0).all() or (steps < 0).all()):
            return Axis(float(np.median(steps)), degrees=True, rough=True)
    return None


def counts_pixels(coordinate: xr.DataArray) -> bool:
    """Tell whether positions are numbers of pixels, as odc-geo gives them where a grid is rotated."""
    return str(coordinate.attrs.get("units", "")).casefold() in ("pixel", "pixels", "px")


def positions_of(array: xr.DataArray, name: str) -> np.ndarray[Any, Any] | None:
    """Return the coordinates of pixels along a dimension; None where there are none, or they are numbers of pixels."""
    if name not in array.coords or array[name].dims != (name,) or array[name].size < 2:
        return None
    coordinate = array[name]
    if coordinate.dtype.kind not in "fiu" or counts_pixels(coordinate):
        return None
    values = places_of(coordinate)
    if not np.isfinite(values).all():
        return None
    attrs = coordinate.attrs  # rows of a swath are numbered, too, and called the axis Y
    told = str(attrs.get("units", "1")) != "1" or "standard_name" in attrs or name.casefold() in _IN_DEGREES
    counted = np.array_equal(values, values[0] + np.arange(values.size)) and values[0] in (0.0, 0.5, 1.0)
    return None if counted and not told and not _in_units_of_one(array) else values


def places_of(coordinate: xr.DataArray) -> np.ndarray[Any, Any]:
    """Return the places that a coordinate means, which may be packed as values are: those of GOES are."""
    from modelstac.registry.running.labels.packing import OFFSETS, SCALES, signed  # xarray's, which files do without

    values = np.asarray(signed(coordinate).values, np.float64)
    for names, apply in ((SCALES, np.multiply), (OFFSETS, np.add)):
        found = next((coordinate.attrs[name] for name in names if name in coordinate.attrs), None)
        if found is None:
            continue
        try:
            values = apply(values, float(np.asarray(found).item()))
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the coordinate {coordinate.name!r} says {names[0]} {found!r:.40}, which is no number: correct it"
            ) from error
    return -values if coordinate.attrs.get("long_name") == _WESTWARDS else values


def in_unit_of(system: Any, unit: str) -> float | None:
    """Return how many of the unit of a reference system one of a unit of coordinates is; None where it is none such.

    An angle in a geostationary projection is one of view, and as long as it is times the height of the satellite (CF
    1.11, appendix F). What is no unit known here, or in a system that nobody knows, is taken for its own.
    """
    crs = parsed_crs(system)
    if crs is None or not crs.axis_info:
        return 1.0
    metres, angle = _METRES.get(unit.casefold()), _angle(unit)
    metres = factor(unit, "m") if metres is None and angle is None else metres
    if metres is None and angle is None:
        return 1.0
    found = angle if crs.is_geographic else metres if angle is None else _seen_from(crs, angle)
    own = float(crs.axis_info[0].unit_conversion_factor or 1.0)
    return None if found is None else 1.0 if math.isclose(found, own, rel_tol=_FEET) else found / own


def _angle(unit: str) -> float | None:
    """Return how many radians a unit is; plain numbers are none."""
    text = unit.casefold()
    if text.startswith("degree"):
        return math.radians(1.0)
    return factor(unit, "rad") if "rad" in text or text.startswith("arc") else None


def _seen_from(crs: Any, angle: float) -> float | None:
    """Return how many metres an angle is below the satellite of a geostationary projection; None of another one."""
    operation = None if crs is None else crs.coordinate_operation
    heights = [one for one in operation.params if one.name.casefold() == "satellite height"] if operation else []
    return angle * float(heights[0].value) * float(heights[0].unit_conversion_factor) if heights else None


def _in_units_of_one(array: xr.DataArray) -> bool:
    """Tell whether the pixels of a reference system may be of length 1: 0, 1, 2 are numbers of pixels else."""
    numbers = geotransform(array)
    return system_of(array) is not None if numbers is None else {abs(numbers[1]), abs(numbers[5])} == {1.0}


def _unit_of(array: xr.DataArray, name: str) -> tuple[bool | None, float, str]:
    """Tell whether positions are degrees, what makes metres of them, and their unit where it is another one."""
    attrs: Mapping[Any, Any] = array[name].attrs if name in array.coords else {}
    written = said(attrs.get("units")) or ""
    unit = written.casefold()
    if unit in _METRES:
        return False, _METRES[unit], ""
    if unit.startswith("degree") or _IN_DEGREES & {name.casefold(), str(attrs.get("standard_name"))}:
        return True, 1.0, ""
    system = system_of(array)
    crs = None if system is None else parsed_crs(system)
    if unit and not counts_pixels(array[name]) and unit != "1":
        angle = _angle(written)
        long = None if angle is None else _seen_from(crs, angle)
        return (None, 1.0, written) if long is None else (False, long, "")
    if unit or system is None:
        return None, 1.0, ""
    if crs is not None and not crs.is_geographic and crs.axis_info:
        return False, float(crs.axis_info[0].unit_conversion_factor or 1.0), ""
    return is_geographic(system), 1.0, ""
