"""Units of data brought to those that an item states.

Source: CF conventions 1.11, section 3.1 (UDUNITS), as cf-xarray defines them for pint.
"""

from __future__ import annotations

import re
import tokenize
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    import xarray as xr

_UNSAID = frozenset({"", "none", "unknown", "n/a", "na", "nan"})
# Reflectances and masks: what UDUNITS writes as 1.
_PLAIN = frozenset({"1", "-", "unitless", "dimensionless", "reflectance", "ratio", "fraction", "no unit", "no units"})
_CELSIUS = re.compile(r"^(?:deg(?:rees?)?|°)[ _.]?(?:C|[Cc]elsius)$")
_KELVIN = re.compile(r"^(?:deg(?:rees?)?[ _.]?)?[Kk]elvin$")
_SCALED = re.compile(
    r"^(?:(10)\s*(?:\^|\*\*)?\s*([-+]\d{1,2})|(\d+(?:\.\d+)?(?:[eE][-+]?\d{1,2})?))\s*(?:[*. ]?\s*(?=[A-Za-zµ°%])|$)"
)
# A tower of powers is no unit, and would be computed for years. "kg m**-2 s**-1" (ECMWF) is none.
_TOWER = re.compile(r"(?:\^|\*\*)\s*[-+]?\s*[\w.]+\s*(?:\^|\*\*)|(?:\^|\*\*)\s*[-+]?\d{3}|\d\s*(?:\^|\*\*)|[()]")
_LONGEST = 80
_PROBE = np.array([0.0, 1.0, 2.0, 3.0])


def said(unit: Any) -> str | None:
    """Return a unit as it is written, without needless spaces; None where nothing is said."""
    text = " ".join(str(unit).split()) if unit is not None else ""
    return None if text.casefold() in _UNSAID else text


def converted(array: xr.DataArray, found: str | None, wanted: str | None, *, of: str) -> xr.DataArray:
    """Bring values to the unit of the item.

    Parameters
    ----------
    array
        Values, of Dask or not.
    found, wanted
        Units of the data and of the item; where one says nothing there is nothing to do.
    of
        Which input it is, for messages.

    Raises
    ------
    DataError
        If one cannot become the other, or is no unit that anybody knows.
    MissingPackageError
        If they are written differently and what knows of units is not installed.
    """
    if found is None or wanted is None or _plain(found) == _plain(wanted):
        return array
    before = [_convert(found, wanted, _PROBE, of)]
    offset, slope = float(before[0][0]), float(before[0][1] - before[0][0])
    if _is_line(before[0], offset, slope):
        if (slope, offset) == (1.0, 0.0):
            return array
        # Plain numbers of Python leave 32 bits what they are.
        moved: xr.DataArray = array * slope + offset if offset else array * slope
        return moved
    import xarray as xr

    result: xr.DataArray = xr.apply_ufunc(  # decibels
        lambda values: _convert(found, wanted, values, of).astype(np.result_type(values.dtype, np.float32)),
        array,
        dask="parallelized",
        output_dtypes=[np.result_type(array.dtype, np.float32)],
        keep_attrs=True,
    )
    return result


def in_metres(unit: str) -> float | None:
    """Return how many metres a unit of length is; None of what is none, or nobody knows.

    Raises
    ------
    MissingPackageError
        If what knows of units is not installed.
    """
    try:
        return float(_convert(unit, "m", 1.0, ""))
    except DataError:
        return None


def _is_line(found: np.ndarray[Any, Any], offset: float, slope: float) -> bool:
    """Tell whether the probe became a straight line: of a logarithm its zero is infinite."""
    with np.errstate(invalid="ignore"):
        return bool(np.allclose(found, offset + slope * _PROBE, rtol=1e-12, atol=0))


def settles(unit: str | None) -> bool:
    """Tell whether a unit says what numbers are: 1 may be counts and shares."""
    return unit is not None and _plain(unit) != "1"


def _plain(unit: str) -> str:
    return "1" if unit.casefold() in _PLAIN else unit


def _convert(found: str, wanted: str, values: Any, of: str) -> np.ndarray[Any, Any]:
    here, there = _parsed(found, found, wanted, of), _parsed(wanted, found, wanted, of)
    try:
        quantity = _registry().Quantity(np.asarray(values, np.float64) * here[0], here[1])
        with np.errstate(divide="ignore", invalid="ignore"):  # no logarithm of zero: the values say so
            return np.asarray(quantity.to(there[1]).magnitude / there[0])
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:  # pint's own are of these kinds
        raise DataError(
            f"input {of!r}: the data are in {found!r} and the item says {wanted!r}, which it cannot become: convert "
            "the values, or give another variable"
        ) from error


def _parsed(unit: str, found: str, wanted: str, of: str) -> tuple[float, Any]:
    """Return factor and unit of pint; UDUNITS has such as ``1e-3 m``."""
    parsed: Any = None
    text = _KELVIN.sub("K", _CELSIUS.sub("degC", _plain(unit)))
    factor = 1.0
    if scaled := _SCALED.match(text):
        factor = 10.0 ** int(scaled[2]) if scaled[1] else float(scaled[3])
        text = text[scaled.end() :] or "1"  # the unit of a salinity is 1e-3
    try:
        if factor and len(text) <= _LONGEST and not _TOWER.search(text):
            parsed = _registry().Unit(text)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, SyntaxError, TypeError, ValueError,
            tokenize.TokenError):  # fmt: skip
        parsed = None
    # "degrees K" is an angle times a temperature, which becomes a temperature without an error.
    angle = (
        parsed is not None
        and {"degree", "degrees", "deg"} & dict(parsed._units).keys()
        and "[temperature]" in parsed.dimensionality
    )
    if parsed is None or angle:
        raise DataError(
            f"input {of!r}: the data are in {found!r} and the item says {wanted!r}, and {unit!r} is no unit known "
            "here: convert the values, and name their unit as the item does"
        )
    return factor, parsed


@cache
def _registry() -> Any:
    try:
        from cf_xarray.units import units
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "data", "data in another unit than the item's") from error
    return units
