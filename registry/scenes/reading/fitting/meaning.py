"""What the numbers of a scene are to be for a model: physical values, or stored ones as it was trained on.

Physical values are what a scale and an offset of the data make. Many models read stored numbers, and say so by their
``value_scaling``: one that divides by 10,000, or takes off a mean of 1354, was never meant for reflectances of 0.1.
What both sides say is held against each other; where it does not decide, it is asked for and never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.mlm import RANGE_FIELD
from modelstac.registry.running.bands import band_entries, has_classes
from modelstac.registry.running.labels.stated import Stated
from modelstac.registry.running.labels.units import converted, is_count, is_number, is_same, said
from modelstac.registry.scenes.reading.finding.parts import Numbers
from modelstac.registry.scenes.reading.finding.sentinel import is_reflectance, is_sentinel

if TYPE_CHECKING:
    import pystac

    from modelstac.registry.running.signature import TensorSignature

_PLAIN = frozenset({"1", "-", "reflectance", "ratio", "fraction", "unitless", "dimensionless"})
"""What an item may call reflectances of which it scales stored numbers all the same."""
_SHARE = 1.5
"""Largest number that a model of shares scales."""
_LEAST = 50.0
"""Least mean, and least divisor, of a model that reads numbers of a sensor, unless they are physical ones as large."""
_BYTE = 255.0
_TALLEST = 65_535.0
_UNTOLD = (
    "nothing says scale or offset, so stored numbers are taken as they are; if they are Sentinel-2's of processing "
    "baseline 04.00 or later as they were delivered, say offset=-1000"
)
_PROBE = np.array([0.0, 1.0, 2.0, 3.0])


@dataclass(frozen=True)
class Wish:
    """What an input reads.

    Parameters
    ----------
    kind
        ``physical`` or ``stored``, as its unit or its bands say; ``open`` where these say nothing.
    size
        About how large the numbers are that it scales; None where nothing tells.
    shares
        Whether what it scales are shares, such as reflectances of 0.1.
    whole
        Whether it takes whole numbers.
    unsigned
        Whether it takes none below zero.
    units
        Unit of each band, by name.
    packed
        Scale and offset of the numbers that it reads, by band, where its bands say such.
    sentinel
        Whether it is a model for Sentinel-2.
    counted
        Bands of which it reads numbers as a sensor stores them, as their unit says.
    classes
        Bands that are names or bits, as it says.
    """

    kind: str
    size: float | None
    shares: bool
    whole: bool
    unsigned: bool
    units: Mapping[str, str]
    packed: Mapping[str, tuple[float, float]]
    sentinel: bool = False
    counted: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Meaning:
    """What is done to stored numbers, ``number * scale + offset`` and then ``unit``, and what to say of it.

    ``decibels`` are those that the model reads, where the data say no unit: they may be powers.
    """

    scale: float = 1.0
    offset: float = 0.0
    units: tuple[str, str] | None = None
    note: str = ""
    decibels: bool = False

    @property
    def changes(self) -> bool:
        """Whether numbers become others."""
        return (self.scale, self.offset) != (1.0, 0.0)


def wish_of(
    layout: TensorSignature, names: Sequence[str], item: pystac.Item, stated: Stated, extra: Mapping[str, Any]
) -> Wish:
    """Read from an item what an input of it reads; ``extra`` are fields of the input that MLM does not know."""
    packed, classes = {}, set()
    for entry in band_entries(item):
        classes |= {str(entry.get("name"))} if has_classes(entry) else set()
        scale, offset = (_number(entry, f"raster:{key}", key) for key in ("scale", "offset"))
        if entry.get("name") in names and (scale, offset) != (None, None):
            packed[str(entry["name"])] = (1.0 if scale is None else scale, offset or 0.0)
    packed = {name: pair for name, pair in packed.items() if pair != (1.0, 0.0)}
    units = {name: unit for name in names if (unit := stated.units.get(name)) is not None}
    sizes = [size for step in layout.scaling or () if (size := _size(step)) is not None]
    if not layout.scaling and (largest := _largest(extra.get(RANGE_FIELD))) is not None:
        sizes = [largest]
    kind = "open"
    counted = frozenset(name for name, unit in units.items() if is_count(unit))
    if packed or counted:
        kind = "stored"
    elif units and not (max(sizes, default=0.0) >= _LEAST and {unit.casefold() for unit in units.values()} <= _PLAIN):
        kind = "physical"
    dtype = np.dtype(layout.dtype) if layout.dtype != "other" else np.dtype(np.float32)
    return Wish(
        kind, max(sizes, default=None), bool(sizes) and 0 < max(sizes) <= _SHARE, dtype.kind in "iu", dtype.kind == "u",
        {name: unit for name, unit in units.items() if name not in counted}, packed,
        is_sentinel(item.properties), counted, frozenset(classes),
    )  # fmt: skip


def meaning_of(
    numbers: Numbers,
    dtype: str,
    wish: Wish,
    name: str,
    *,
    label: str,
    of: str,
    physical: bool | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> Meaning:
    """Say what is done to the stored numbers of a band.

    Parameters
    ----------
    numbers
        What the data say of them.
    dtype
        Their type.
    wish
        What the model reads.
    name
        Band of the model.
    label, of
        The band of the data and the input, for messages.
    physical
        What the user says: physical values, or stored ones as they are.
    scale, offset
        What the user says of the data, which is the last word.

    Raises
    ------
    DataError
        If both sides contradict each other, or nobody can tell which numbers are meant.
    """
    if scale is not None or offset is not None:
        found = Meaning(1.0 if scale is None else scale, 0.0 if offset is None else offset)
        return Meaning(found.scale, found.offset, None, _said(found, "as you said") if found.changes else "")
    if numbers.classes or physical is False:
        return Meaning()
    unit = said(numbers.unit)
    numbers = replace(numbers, unit=None if unit is not None and is_count(unit) else unit)
    kind = np.dtype(dtype).kind
    if kind == "f" and numbers.counts:  # somebody made fractions of a product of whole numbers
        numbers = Numbers(nodata=numbers.nodata, unit=numbers.unit)
    if not numbers.is_packed:
        if physical is None and kind in "iuf" and _is_other(unit, kind, wish, name):
            reads = wish.units.get(name, "numbers as a sensor stores them")
            raise DataError(
                f"input {of!r}: {label} is in {unit!r} and says no scale, and the model reads {reads}: say by what "
                "they become such (--scale, --offset), or physical=True (--physical) if the numbers are right as they "
                "are"
            )
        return _unpacked(numbers, kind, wish, name=name, label=label, of=of, physical=physical)
    if kind == "f" and physical is None:
        raise DataError(
            f"input {of!r}: {label} has fractions ({dtype}) and {numbers.source} says {_factors(numbers)}, and nobody "
            "can tell whether it is applied: say physical=False (--stored) if it is, physical=True if it is not"
        )
    if physical or wish.kind == "physical" or not _reads_stored(numbers, dtype, wish, label=label, of=of):
        found = Meaning(numbers.scale or 1.0, numbers.offset or 0.0)
        return _in_unit(found, numbers, wish, name=name, of=of, note=_said(found, f"{numbers.source} says so"))
    return _stored(numbers, wish, name=name, label=label, of=of)


def _is_other(unit: str | None, kind: str, wish: Wish, name: str) -> bool:
    """Tell whether one side has counts and the other a quantity; whole numbers that have no unit may be either."""
    if unit is None:
        return False
    if name in wish.counted:
        return not is_count(unit) and (kind == "f" or unit.casefold() not in _PLAIN)
    wanted = wish.units.get(name)
    return is_count(unit) and wanted is not None and (wish.kind == "physical" or wanted.casefold() not in _PLAIN)


def _unpacked(
    numbers: Numbers, kind: str, wish: Wish, *, name: str, label: str, of: str, physical: bool | None
) -> Meaning:
    """Take numbers as they are, unless they cannot be what is wanted."""
    if numbers.counts and numbers.scale is None and kind in "iu" and physical is None:
        raise DataError(
            f"input {of!r}: {label} is of Sentinel-2 and says no processing baseline, which since 04.00 adds 1000: say "
            "offset=-1000 if it is later and the model reads stored numbers, scale=0.0001 and offset=-0.1 if it reads "
            "reflectances, or physical=False (--stored) if the numbers are right as they are"
        )
    quantity = wish.kind == "physical" or wish.shares
    if (
        physical is None
        and quantity
        and wish.shares
        and kind in "iu"
        and numbers.unit is None
        and numbers.scale is None
    ):
        raise DataError(
            f"input {of!r}: {label} has whole numbers and says no scale, and the item scales shares of about "
            f"{wish.size:g}: say its scale, such as 0.0001 for reflectances or 0.00392157 (1/255) for images of 8 "
            "bits, or physical=True if the numbers are right as they are"
        )
    if (
        physical is None
        and kind in "iu"
        and numbers.unit is None
        and numbers.scale is None
        and wish.units.get(name, "").casefold() == "db"
    ):
        raise DataError(
            f"input {of!r}: {label} has whole numbers and says neither unit nor scale, and the model reads decibels: "
            "calibrate the radar first, if these are the amplitudes of a product; say a scale (--scale) if they are "
            "decibels times a number, or physical=True (--physical) if they are decibels as they are"
        )
    if wish.packed.get(name) and wish.kind == "stored" and numbers.unit and physical is None and kind == "f":
        scale, offset = wish.packed[name]
        found = Meaning(1 / scale, -offset / scale)
        return Meaning(found.scale, found.offset, None, _said(found, "the item says how the model has them stored"))
    note = ""
    if wish.sentinel and kind in "iu" and (wish.size or 0.0) >= _LEAST and is_reflectance(name) and physical is None:
        # A thousand more or less, of which nothing here tells.
        note = "" if numbers.counts or numbers.scale is not None else _UNTOLD
    decibels = physical is None and numbers.unit is None and wish.units.get(name, "").casefold() == "db"
    return replace(_in_unit(Meaning(), numbers, wish, name=name, of=of, note=note), decibels=decibels)


def _reads_stored(numbers: Numbers, dtype: str, wish: Wish, *, label: str, of: str) -> bool:
    """Tell whether the model reads stored numbers, by what it scales."""
    if wish.kind == "stored":
        return True
    if wish.shares:
        return False
    if wish.size is None:
        return wish.whole
    scale, offset = numbers.scale or 1.0, numbers.offset or 0.0
    if wish.size < _LEAST:
        return False
    info = np.iinfo(np.dtype(dtype)) if np.dtype(dtype).kind in "iu" else None
    largest = abs(min(info.max if info else _TALLEST, _TALLEST) * scale + offset)
    if largest >= wish.size or (wish.size == _BYTE and np.dtype(dtype).itemsize > 1):
        raise DataError(
            f"input {of!r}: the item scales numbers of about {wish.size:g}, and {numbers.source} says of {label} "
            f"({dtype}) {_factors(numbers)}, so that both stored and physical values may be meant: say physical=True, "
            "or physical=False (--stored)"
        )
    return True


def _stored(numbers: Numbers, wish: Wish, *, name: str, label: str, of: str) -> Meaning:
    scale, offset = numbers.scale or 1.0, numbers.offset or 0.0
    if (own := wish.packed.get(name)) is not None:
        factor, shift = scale / own[0], (offset - own[1]) / own[0]
        found = Meaning(_round(factor), _round(shift))
        return Meaning(
            found.scale,
            found.offset,
            None,
            _said(found, f"{numbers.source} and the item say so") if found.changes else "",
        )
    if not offset:
        return Meaning()
    if not numbers.counts:
        raise DataError(
            f"input {of!r}: the item scales stored numbers, and {numbers.source} says of {label} {_factors(numbers)}: "
            "say physical=False (--stored) if the model was trained on these with their offset, physical=True if not"
        )
    found = Meaning(1.0, _round(offset / scale))
    return Meaning(
        1.0, found.offset, None, _said(found, f"{numbers.source} says so, and the model reads stored numbers")
    )


def _in_unit(found: Meaning, numbers: Numbers, wish: Wish, *, name: str, of: str, note: str) -> Meaning:
    """Bring physical values into the unit of the item: by scale and offset, or later where it is no straight line."""
    here, there = numbers.unit, wish.units.get(name)
    if here is None and found.changes and is_number(there):
        raise DataError(
            f"input {of!r}: {numbers.source} says {_factors(numbers)} of {name!r} and no unit, and the model reads "
            f"it in {there!r}: say by what its stored numbers become such, with scale and offset"
        )
    if here is None or there is None or is_same(here, there):
        return Meaning(found.scale, found.offset, None, note)
    import xarray as xr

    probe = converted(xr.DataArray(_PROBE, dims=("x",)), here, there, of=of).values
    offset, slope = float(probe[0]), float(probe[1] - probe[0])
    with np.errstate(invalid="ignore"):  # of a logarithm the zero is infinite
        line = np.allclose(probe, offset + slope * _PROBE, rtol=1e-12, atol=0)
    if not line:
        return Meaning(found.scale, found.offset, (here, there), note or f"brought from {here} to {there}")
    if (slope, offset) == (1.0, 0.0):
        return Meaning(found.scale, found.offset, None, note)
    return Meaning(
        found.scale * slope, found.offset * slope + offset, None,
        f"{note}, and brought from {here} to {there}" if note else f"brought from {here} to {there}",
    )  # fmt: skip


def _said(found: Meaning, why: str) -> str:
    parts = [f"times {found.scale:g}"] if found.scale != 1.0 else []
    if found.offset:
        parts.append(f"{'plus' if found.offset > 0 else 'minus'} {abs(found.offset):g}")
    return f"stored numbers {' '.join(parts)}: {why}"


def _factors(numbers: Numbers) -> str:
    offset = f", offset {numbers.offset:g}" if numbers.offset else ""
    return f"scale {1.0 if numbers.scale is None else numbers.scale:g}{offset}"


def _round(number: float) -> float:
    """Take for whole what is off by rounding."""
    near = round(number)
    return float(near) if abs(number - near) <= 1e-6 * max(1.0, abs(number)) else number


def _size(step: Mapping[str, Any]) -> float | None:
    """Tell how large the numbers are that a step scales."""
    kind = step.get("type")
    if kind == "z-score" and isinstance(step.get("mean"), int | float):
        return max(abs(float(step["mean"])), abs(float(step.get("stddev") or 0.0))) if step["mean"] else None
    if kind in ("min-max", "clip"):
        return max(abs(float(step.get(key) or 0.0)) for key in ("minimum", "maximum")) or None
    if kind == "scale" and isinstance(step.get("value"), int | float) and abs(step["value"]) >= _LEAST:
        return abs(float(step["value"]))
    return None


def _largest(found: Any) -> float | None:
    try:
        values = np.asarray(found, np.float64)
    except (TypeError, ValueError):
        return None
    return float(np.abs(values).max()) or None if values.size and np.isfinite(values).all() else None


def _number(entry: Mapping[str, Any], *keys: str) -> float | None:
    found = next((entry[key] for key in keys if isinstance(entry.get(key), int | float)), None)
    return None if found is None or isinstance(found, bool) else float(found)
