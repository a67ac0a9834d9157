"""Places of labelled data against what an item says of its grid."""

from __future__ import annotations

import warnings
from dataclasses import replace

import xarray as xr

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.grids import METRES_A_DEGREE, Axis, read_axis, system_of
from modelstac.registry.running.labels.stated import Pixel, Stated
from modelstac.registry.running.labels.systems import is_geographic, parsed_crs
from modelstac.registry.running.labels.units import factor


def turned(array: xr.DataArray, name: str, axis: str, said: Stated, *, of: str) -> bool:
    """Check rows or columns against the item, and tell whether they run the other way than it reads them.

    Parameters
    ----------
    array
        The data.
    name, axis
        Name of the dimension, and whether it is that of rows (``y``) or of columns (``x``).
    said
        What the item says.
    of
        Which input it is, for messages.

    Raises
    ------
    DataError
        If pixels are of another size than the item's, or have no order.
    """
    found = read_axis(array, name, axis, of=of)
    if found is None:
        return False
    if (pixel := said.pixels.get(axis)) is not None and not found.rough:
        _check_pixel(found, name, axis, pixel, of)
    upward = found.step > 0
    return upward != said.upward if axis == "y" else not upward


def _check_pixel(found: Axis, name: str, axis: str, wanted: Pixel, of: str) -> None:
    found = _with_known_unit(found, name, wanted, of) if found.unit else found
    step = abs(found.step)
    degrees = wanted.degrees if found.degrees is None else found.degrees
    if degrees != wanted.degrees:
        if axis == "x":  # the length of a degree of longitude is not one number
            return
        step = step / METRES_A_DEGREE if wanted.degrees else step * METRES_A_DEGREE
    if not wanted.fits(step):
        unit = "°" if degrees else " m"
        raise DataError(
            f"input {of!r}: pixels along {name!r} are {abs(found.step):g}{unit} and the item says {wanted} "
            f"({wanted.source}): resample the data"
        )


def _with_known_unit(found: Axis, name: str, wanted: Pixel, of: str) -> Axis:
    """Bring a step to metres: feet, centimetres; an angle of view is refused."""
    metres = factor(found.unit, "m")
    if metres is None:
        raise DataError(
            f"input {of!r}: pixels along {name!r} are {abs(found.step):g} {found.unit} and the item says {wanted} "
            f"({wanted.source}): give coordinates in metres or degrees"
        )
    return replace(found, step=found.step * metres, degrees=False, unit="")


def check_system(array: xr.DataArray, said: Stated, *, of: str) -> None:
    """Refuse degrees where the item has metres, or the other way round; warn of another projection.

    A network sees pixels and no places: another zone of the same projection is no other input.

    Raises
    ------
    DataError
        If one is geographic and the other projected.
    """
    system = system_of(array)
    if system is None or said.crs is None:
        return
    here, there = parsed_crs(system), parsed_crs(said.crs)
    if here is None or there is None:
        return
    if is_geographic(system) != is_geographic(said.crs):
        raise DataError(
            f"input {of!r}: the data are in {here.name!r} and the item says {there.name!r}, one in degrees and one in "
            "a projection: reproject the data"
        )
    if not here.equals(there, ignore_axis_order=True):
        warnings.warn(
            f"input {of!r}: the data are in {here.name!r}, the model was made in {there.name!r}: shapes may differ",
            stacklevel=2,
        )
