"""Units of data brought to those that an item states.

Source: CF conventions 1.11, section 3.1 (UDUNITS), as cf-xarray defines them for pint.
"""

from __future__ import annotations

import re
import tokenize
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    import xarray as xr

UNITS = ("units", "unit", "GRIB_UNIT")
"""What attributes and tags that say a unit are called."""
_UNSAID = frozenset({"", "none", "unknown", "n/a", "na", "nan"})
COUNTS = frozenset({"dn", "count", "counts", "digital number", "digital numbers", "digital_number", "raw"})
"""What numbers are called that are as a sensor or a file stores them, and no quantity."""
# Reflectances and masks: what UDUNITS writes as 1.
_PLAIN = frozenset(
    {"1", "-", "unitless", "dimensionless", "reflectance", "ratio", "fraction", "no unit", "no units", "(0 - 1)"}
)
_CELSIUS = re.compile(r"^(?:deg(?:rees?)?|°)[ _.]?(?:C|[Cc]elsius)$")
_KELVIN = re.compile(r"^(?:deg(?:rees?)?[ _.]?)?[Kk]elvin$")
_SCALED = re.compile(
    r"^(?:(10)\s*(?:\^|\*\*)?\s*([-+]\d{1,2})|(\d+(?:\.\d+)?(?:[eE][-+]?\d{1,2})?))\s*(?:[*. ]?\s*(?=[A-Za-zµ°%])|$)"
)
_FACTOR = r"[^\W\d]+(?:(?:\^|\*\*)?[-+]?\d)?"
_GROUP = re.compile(rf"/\s*\(\s*({_FACTOR}(?:[ .*·-]+{_FACTOR})*)\s*\)(?!\s*[\^*\d])")
"""What is divided by together: W/(m2 sr um)."""
_NAMES = MappingProxyType(
    {"US survey foot": "survey_foot", "us-ft": "survey_foot", "mb": "millibar", "m of water equivalent": "m"}
    | {"ppmv": "1e-6", "ppb": "1e-9", "ppbv": "1e-9"}
)
"""What vertical reference systems (PROJ), reanalyses (ECMWF, NCEP) and UDUNITS say, and pint does not or of others."""
_WORD = re.compile(r"\b[A-Z][A-Za-z]{3,}\b")
"""A word and no symbol, so that its capitals say nothing: Percent, METERS."""
_SALINITY = "practical_salinity_unit"
"""For pint a plain number, of which one in a thousand is another: salinities are 35 in any unit."""
# A tower of powers is no unit, and would be computed for years. "kg m**-2 s**-1" (ECMWF) is none.
_TOWER = re.compile(r"(?:\^|\*\*)\s*[-+]?\s*[\w.]+\s*(?:\^|\*\*)|(?:\^|\*\*)\s*[-+]?\d{3}|\d\s*(?:\^|\*\*)|[()]")
_LONGEST = 80
_PROBE = np.array([0.0, 1.0, 2.0, 3.0])


def said(unit: Any) -> str | None:
    """Return a unit as it is written, without needless spaces and brackets; None where nothing is said."""
    text = " ".join(str(unit).split()) if unit is not None else ""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].removesuffix("-")  # "[-]" is what GDAL says of the fields of GRIB that it does not know
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
    if found is None or wanted is None or is_same(found, wanted):
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


def is_same(one: str, other: str) -> bool:
    """Tell whether two units are one as they are written: capitals tell apart only what has a meaning here."""
    if _plain(one) == _plain(other) or (is_count(one) and is_count(other)):
        return True
    return one.casefold() == other.casefold() and _read(one) is None and _read(other) is None


def are_apart(one: str, other: str) -> bool:
    """Tell whether both are units that are known here, and not one."""
    if is_same(one, other) or _read(one) is None or _read(other) is None:
        return False
    try:
        return not np.allclose(_convert(one, other, _PROBE, ""), _PROBE, rtol=1e-12, atol=0)
    except DataError:
        return True


def is_count(unit: str) -> bool:
    """Tell whether it is what stored numbers are called."""
    return unit.casefold() in COUNTS


def factor(unit: str, of: str) -> float | None:
    """Return how many of another unit a unit is, such as metres; None of what is none such, or nobody knows.

    Raises
    ------
    MissingPackageError
        If what knows of units is not installed.
    """
    try:
        found = _convert(unit, of, _PROBE, "")
    except DataError:
        return None
    return float(found[1]) if _is_line(found, 0.0, float(found[1])) else None


def _is_line(found: np.ndarray[Any, Any], offset: float, slope: float) -> bool:
    """Tell whether the probe became a straight line: of a logarithm its zero is infinite."""
    with np.errstate(invalid="ignore"):
        return bool(np.allclose(found, offset + slope * _PROBE, rtol=1e-12, atol=0))


def is_number(unit: str | None) -> bool:
    """Tell whether a unit is a number other than one, as ``%`` is: physical values without a unit are none such."""
    return unit is not None and factor(unit, "1") not in (1.0, None)


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
    """Return factor and unit of pint."""
    if (read := _read(unit)) is None:
        raise DataError(
            f"input {of!r}: the data are in {found!r} and the item says {wanted!r}, and {unit!r} is no unit known "
            "here: convert the values, and name their unit as the item does"
        )
    return read


def _read(unit: str) -> tuple[float, Any] | None:
    """Read factor and unit of pint, UDUNITS has such as ``1e-3 m``; None of what is no unit known here."""
    text = _KELVIN.sub("K", _CELSIUS.sub("degC", _NAMES.get(unit, _plain(unit))))
    factor = 1.0
    if scaled := _SCALED.match(text):
        factor = 10.0 ** int(scaled[2]) if scaled[1] else float(scaled[3])
        text = text[scaled.end() :] or "1"  # the unit of a salinity is 1e-3
    if not factor or len(text) > _LONGEST:
        return None
    text = _GROUP.sub(lambda found: "/" + "/".join(re.findall(_FACTOR, found[1])), text)
    parsed = _of_pint(text)
    if parsed is None and _WORD.search(text):
        parsed = _of_pint(_WORD.sub(lambda found: found[0].lower(), text))
    return None if parsed is None else (factor, parsed)


def _of_pint(text: str) -> Any:
    if _TOWER.search(text):
        return None
    try:
        parsed = _registry().Unit(text)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, SyntaxError, TypeError, ValueError,
            tokenize.TokenError):  # fmt: skip
        return None
    names = parsed._units.keys()
    # "degrees K" is an angle times a temperature, which becomes a temperature without an error.
    angle = {"degree", "degrees", "deg"} & set(names) and "[temperature]" in parsed.dimensionality
    return None if angle or _SALINITY in names else parsed


@cache
def _registry() -> Any:
    try:
        from cf_xarray.units import units
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "data", "data in another unit than the item's") from error
    return units
