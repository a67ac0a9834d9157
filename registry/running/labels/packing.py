"""Numbers that data store, as the numbers that they mean: missing ones found, scale and offset applied.

Source: CF conventions 1.11, sections 2.5.1 (missing data) and 8.1 (packed data); names that GDAL's readers and
odc-stac give the same. What xarray itself decoded has nothing of it left among its attributes, but for a valid range,
which is in the units of what was stored; what it keeps as ``encoding`` says how values were stored, not what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from modelstac.catalog.errors import DataError

FILLS = frozenset({"fillvalue", "missingvalue", "nodata", "nodatavals", "nodatavalue", "nodatavalues"})
"""Without underscores and capitals: ``_FillValue``, ``NoData``, ``no_data_value``."""
SCALES = ("scale_factor", "scales")
OFFSETS = ("add_offset", "offsets")
RANGES = ("valid_min", "valid_max", "valid_range")
FLAGS = ("flag_values", "flag_masks", "flag_meanings")
_OF_FLAGS = "nodata_values"
_PER_BAND = ("nodatavals", "scales", "offsets")
_UNWRITTEN = 9.969209968386869e36
"""What NetCDF holds where nothing was written, ``NC_FILL_FLOAT`` and ``NC_FILL_DOUBLE``, without saying so."""
KINDS = "fiub"
"""NumPy's letters for numbers, and for true and false."""


def unpacked(array: xr.DataArray, *, of: str, axis: str | None = None) -> xr.DataArray:
    """Return what stored values mean: NaN where they are missing, scale and offset applied.

    Parameters
    ----------
    array
        As it was given; attributes that are used are left out of the result.
    of
        Which input it is, for messages.
    axis
        Dimension of the bands, along which attributes may be lists.

    Raises
    ------
    DataError
        If the values are no numbers; or they are fractions with a scale beside them, and nobody can tell whether it is
        applied.
    """
    if array.dtype.kind not in KINDS:
        raise DataError(f"input {of!r}: the data are {array.dtype}, no numbers: convert them, .astype('float32')")
    array = signed(array)
    scale, offset = (_numbers(array, names, axis, of) for names in (SCALES, OFFSETS))
    packed = not (_is_all(scale, 1.0) and _is_all(offset, 0.0))
    if packed and array.dtype.kind == "f":
        shown = ", ".join(f"{name} {array.attrs[name]}" for name in (*SCALES, *OFFSETS) if name in array.attrs)
        raise DataError(
            f"input {of!r}: the values are {array.dtype} and the data say {shown}, and nobody can tell whether it is "
            "applied: apply it if it is not, and drop the attribute (.drop_attrs())"
        )
    array = _masked(array, axis)
    if packed:
        attrs, array = array.attrs, _wide(array)
        array = array if scale is None else array * scale
        array = array if offset is None else array + offset
        array.attrs = attrs
    used = {*fills(array), *SCALES, *OFFSETS, *RANGES, "_Unsigned"}
    return _with_attrs(array, used)


def packing_of(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the attributes by which stored values become others; none where these leave them what they are."""
    found = {name: attrs[name] for name in (*SCALES, *OFFSETS) if attrs.get(name) is not None}
    plain = all(set(_codes(value, np.dtype(float))) <= {float(name in SCALES)} for name, value in found.items())
    return {} if plain else found


def has_names(array: xr.DataArray) -> bool:
    """Tell whether values are names or bits; flags of what is packed are codes beside its numbers."""
    return any(name in array.attrs for name in FLAGS) and not packing_of(array.attrs)


def without_flags(array: xr.DataArray) -> xr.DataArray:
    """Take flags among packed numbers for missing ones, as NDVI of Copernicus has them.

    But for one that stands for a physical zero, such as no rain. Numbers may be those that xarray unpacked.
    """
    is_unpacked = array.dtype.kind == "f" and not packing_of(array.attrs)
    packing = packing_of(array.encoding if is_unpacked else array.attrs)
    codes = _codes(array.attrs.get(FLAGS[0]), np.dtype(float)) if packing else []
    scales, offsets = (
        _codes(next((packing[name] for name in names if name in packing), neutral), np.dtype(float))
        for names, neutral in ((SCALES, 1.0), (OFFSETS, 0.0))
    )
    if not codes or len(scales) != 1 or len(offsets) != 1:
        return array
    near = abs(scales[0]) / 2
    values = {code: code * scales[0] + offsets[0] for code in codes}
    values = {code: value for code, value in values.items() if abs(value) > near}
    if is_unpacked:
        for value in values.values():
            array = _where(array, abs(array - value) < near)
        return array
    array = array.copy(deep=False)
    array.attrs = array.attrs | {_OF_FLAGS: np.array([*values])}
    return array


def fills(array: xr.DataArray) -> list[str]:
    """Name the attributes that say which values stand for missing ones."""
    return [name for name in map(str, array.attrs) if name.replace("_", "").casefold() in FILLS]


def missing_codes(array: xr.DataArray) -> str:
    """Name what the data's attributes take for missing; empty where they say nothing."""
    return ", ".join(f"{name} {array.attrs[name]}" for name in (*fills(array), *RANGES) if name in array.attrs)


def without(array: xr.DataArray, codes: list[float | None], axis: str | None) -> xr.DataArray:
    """Put NaN where the item itself says that a value stands for a missing one: one code for all, or one a band."""
    known = [code for code in codes if code is not None and np.isfinite(code)]
    if not known:
        return array
    if axis is None or len(codes) != array.sizes.get(axis):
        return _where(array, array == known[0]) if len(set(known)) == 1 and len(known) == len(codes) else array
    wanted = xr.DataArray([np.nan if code is None else code for code in codes], dims=(axis,))
    return _where(array, array == wanted)


def _with_attrs(array: xr.DataArray, used: set[str]) -> xr.DataArray:
    array = array.copy(deep=False)
    array.attrs = {name: value for name, value in array.attrs.items() if name not in used}
    return array


def _wide(array: xr.DataArray) -> xr.DataArray:
    """Whole numbers of 16 bits and fewer fit into 32 bits with a fraction, others need 64."""
    if array.dtype.kind == "f":
        return array
    return array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)


def signed_dtype(array: xr.DataArray) -> np.dtype[Any]:
    """Give the type that values have with the sign that ``_Unsigned`` says, without reading them."""
    wanted = {"true": "u", "false": "i"}.get(str(array.attrs.get("_Unsigned", "")).casefold())
    if wanted is None or array.dtype.kind not in "iu":
        return array.dtype
    return np.dtype(f"{wanted}{array.dtype.itemsize}")


def signed(array: xr.DataArray) -> xr.DataArray:
    """Read bytes with the sign that ``_Unsigned`` says: NetCDF 3 has signed ones only, OPeNDAP unsigned ones."""
    if (dtype := signed_dtype(array)) == array.dtype:
        return array
    attrs = {
        name: np.asarray(value).astype(array.dtype).astype(dtype)
        if name in (*fills(array), *RANGES) and np.asarray(value).dtype.kind in "iu"
        else value
        for name, value in array.attrs.items()
    }
    found = array.astype(dtype)
    found.attrs = attrs
    return found


def _numbers(array: xr.DataArray, names: tuple[str, ...], axis: str | None, of: str) -> Any:
    """Read a factor or offset: a number, or one for each band."""
    name = next((name for name in names if array.attrs.get(name) is not None), None)
    if name is None:
        return None
    try:
        values = np.asarray(array.attrs[name], np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise DataError(f"input {of!r}: the data say {name} {array.attrs[name]!r}, which is no number") from error
    if not np.isfinite(values).all() or not values.size or (name in SCALES and not values.all()):
        raise DataError(f"input {of!r}: the data say {name} {array.attrs[name]}, which is no such number: correct it")
    if (values == values[0]).all():
        return float(values[0])
    if axis is not None and values.size == array.sizes.get(axis):
        return xr.DataArray(values.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64), dims=(axis,))
    raise DataError(
        f"input {of!r}: the data say {values.size} values of {name}, as many as none of its dimensions that is made of "
        "bands: apply them, and drop the attribute"
    )


def _is_all(found: Any, neutral: float) -> bool:
    return found is None or (isinstance(found, float) and found == neutral)


def _masked(array: xr.DataArray, axis: str | None) -> xr.DataArray:
    """Put NaN where a value is one that stands for a missing one, or lies out of the valid range."""
    for name in fills(array):
        codes = _codes(array.attrs.get(name), array.dtype)
        if name in _PER_BAND and axis is not None and len(codes) == array.sizes.get(axis):
            array = _where(array, array == xr.DataArray(codes, dims=(axis,)))
        else:
            for code in codes:
                if np.isfinite(code):
                    array = _where(array, array == code)
    if array.dtype.kind == "f" and array.dtype.itemsize > 2:
        array = _where(array, array == array.dtype.type(_UNWRITTEN))
    low, high = (_codes(array.attrs.get(name), array.dtype) for name in ("valid_min", "valid_max"))
    both = _codes(array.attrs.get("valid_range"), array.dtype)
    if len(both) == 2:
        low, high = low or both[:1], high or both[1:]
    low, high = (_decoded(bound, name, array) for bound, name in ((low, "valid_min"), (high, "valid_max")))
    if low:
        array = _where(array, array < low[0])
    return _where(array, array > high[0]) if high else array


def _decoded(bound: list[float], name: str, array: xr.DataArray) -> list[float]:
    """Bring the bound of a valid range from stored to decoded values, where xarray did so with the values."""
    given = array.attrs.get(name, array.attrs.get("valid_range"))
    if not bound or array.dtype.kind != "f" or np.asarray(given).dtype.kind not in "iu":
        return bound
    scale, offset = (array.encoding.get(key) for key in ("scale_factor", "add_offset"))
    return [bound[0] * (1 if scale is None else float(scale)) + (0 if offset is None else float(offset))]


def _codes(found: Any, dtype: np.dtype[Any]) -> list[float]:
    """Read what an attribute lists, rounded as the values are; what is no number says nothing.

    GDAL gives the lists of HDF as one text, "-100, 16000".
    """
    if found is None or isinstance(found, bool):
        return []
    found = found.strip("[](){} ").replace(",", " ").split() if isinstance(found, str) else found
    codes = []
    for value in np.asarray(found, object).reshape(-1):
        try:
            number = np.float64(value)
        except (TypeError, ValueError):
            continue
        with np.errstate(over="ignore"):
            codes.append(float(number.astype(dtype)) if dtype.kind == "f" else float(number))
    return codes


def _where(array: xr.DataArray, missing: xr.DataArray) -> xr.DataArray:
    """Put NaN; whole numbers stay such where none is missing, as far as that can be told without computing blocks."""
    if array.chunks is None and not bool(missing.any()):
        return array
    return array.where(~missing)  # which keeps attributes
