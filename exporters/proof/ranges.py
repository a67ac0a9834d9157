"""Which values an input of a model is fed, as far as its item says: what a proof judges a conversion on.

They are those that the model itself reads, after scaling. The first of these that says something counts: declared
classes, a declared range, statistics of bands (scaled as the item says), the scaling alone, and the published example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.mlm import BAND_AXES, GAPS_FIELD, MODEL_ROLE, RANGE_FIELD
from modelstac.registry.running.values.scaling import scale

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.mlm import ModelInput
    from modelstac.registry.running.signature import Arrays

Array = NDArray[np.float64]
SPREAD = 3.0
"""Standard deviations around a mean that are taken for all values, where nobody says how far they go."""
UNIT = (0.0, 1.0)
STANDARD = (-SPREAD, SPREAD)
SLACK = 1e-6
"""By which share of its width values may lie outside a range: what rounding does."""
_POINTS = 33
_AXES = (*BAND_AXES, "variables")


@dataclass(frozen=True, eq=False)
class Range:
    """Values that an input is fed.

    Parameters
    ----------
    lowest, highest
        Of all values, or of each band: their shape goes with that of the input.
    whence
        Who says so, in words.
    classes
        The only values, where they are classes.
    gaps
        Whether NaN is among them.
    stated
        Whether anybody said so.
    blanks
        Whether zeros may be among them wherever it lies: an example is cut where there are measurements, and what is
        padded or was not measured is zero.
    """

    lowest: Array
    highest: Array
    whence: str
    classes: tuple[int, ...] = ()
    gaps: bool = False
    stated: bool = True
    blanks: bool = False

    def holds(self, array: NDArray[Any]) -> bool:
        """Tell whether all values of an input that are numbers lie in it."""
        if self.classes:
            return bool(np.isin(array, self.classes).all())
        slack = SLACK * (self.highest - self.lowest)
        with np.errstate(invalid="ignore"):
            outside = (array < self.lowest - slack) | (array > self.highest + slack)
        return not outside.any()

    def draw(self, shape: Sequence[int], dtype: np.dtype[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Give random values of it, evenly spread; whole numbers where the input is of them."""
        if self.classes:
            return rng.choice(np.asarray(self.classes), tuple(shape)).astype(dtype)
        if dtype.kind in "iub":
            return rng.integers(
                np.broadcast_to(np.ceil(self.lowest), shape).astype(np.int64),
                np.broadcast_to(np.floor(self.highest), shape).astype(np.int64),
                tuple(shape),
                endpoint=True,
            ).astype(dtype)
        values = self.lowest + (self.highest - self.lowest) * rng.random(tuple(shape), np.float32)
        return np.asarray(values, dtype)

    def clipped(self, array: NDArray[Any]) -> NDArray[Any]:
        """Move values that lie outside to its border, but for zeros that may be among them."""
        found = np.clip(array, self.lowest, self.highest).astype(array.dtype)
        return np.where(array == 0, array, found) if self.blanks else found

    def __str__(self) -> str:
        if self.classes:
            shown = ", ".join(map(str, self.classes[:5]))
            return f"{shown}{', …' if len(self.classes) > 5 else ''} ({self.whence})"
        zeros = " and 0" if self.blanks and not self.lowest.min() <= 0 <= self.highest.max() else ""
        return f"{float(self.lowest.min()):.5g} to {float(self.highest.max()):.5g}{zeros} ({self.whence})"

    def to_json(self) -> list[Any]:
        """Give it as ``interop:range`` has it: lowest and highest value, or those of each band."""
        pairs = np.stack([np.ravel(self.lowest), np.ravel(self.highest)], 1).tolist()
        return list(pairs[0]) if len(pairs) == 1 else pairs


Ranges = Mapping[str, Range]
"""By the name of an input; of what is not named, nothing is known."""
NOTHING_KNOWN: Ranges = MappingProxyType({})


def known_ranges(item: pystac.Item, inputs: Sequence[ModelInput], example: Arrays | None = None) -> dict[str, Range]:
    """Say of each input of a model which values it is fed; one of which nobody says anything is left out.

    Parameters
    ----------
    item
        Of the model; statistics of its bands may stand on its asset, or on itself.
    inputs
        Those of the model.
    example
        Arrays that were published as an example, by the name of their input.
    """
    found = {}
    for one in inputs:
        array = None if example is None else example.get(one.name)
        for say in (_classes, _declared, partial(_of_statistics, item), _of_scaling, partial(_of_example, array)):
            try:
                known = say(one)
            except (KeyError, TypeError, ValueError, ZeroDivisionError, ModelStacError):
                continue  # what somebody else wrote makes no sense: it says nothing
            if known is not None:
                fed = replace(known, gaps=known.gaps or (one.model_extra or {}).get(GAPS_FIELD) is True)
                found[one.name] = _fitted(fed, np.dtype(one.input.dtype))
                break
    return found


def indices(dim_order: Sequence[str]) -> Range:
    """Give the range of whole numbers that may be indices of anything: 0 and 1."""
    lowest, highest = (np.full([1] * len(dim_order), value) for value in UNIT)
    return Range(lowest, highest, "whole numbers that may be indices", stated=False)


def _made(one: ModelInput, pairs: Sequence[tuple[float, float]], whence: str, *, gaps: bool = False) -> Range | None:
    """Make a range of one pair, or of one for each band; None where it is none."""
    limits = np.asarray(pairs, np.float64).reshape(len(pairs), 2)
    if not np.isfinite(limits).all() or (limits[:, 0] > limits[:, 1]).any() or not (limits[:, 0] < limits[:, 1]).any():
        return None
    shape = [1] * len(one.input.dim_order)
    if len(pairs) > 1:
        axis = _axis(one, len(pairs))
        if axis is None:
            limits = np.array([[limits[:, 0].min(), limits[:, 1].max()]])
        else:
            shape[axis] = len(pairs)
    return Range(limits[:, 0].reshape(shape), limits[:, 1].reshape(shape), whence, gaps=gaps)


def _axis(one: ModelInput, bands: int) -> int | None:
    """Give the axis along which there are so many bands; none where it may have any length."""
    axes = enumerate(zip(one.input.dim_order, one.input.shape, strict=True))
    return next((i for i, (name, length) in axes if name in _AXES and length == bands), None)


def _fitted(found: Range, dtype: np.dtype[Any]) -> Range:
    """Keep a range within what the type of the input holds."""
    if dtype.kind not in "iu":
        return found
    limits = np.iinfo(dtype)
    lowest, highest = (np.clip(side, float(limits.min), float(limits.max)) for side in (found.lowest, found.highest))
    return replace(found, lowest=lowest, highest=highest)


def _classes(one: ModelInput) -> Range | None:
    listed = (one.model_extra or {}).get("classification:classes") or ()
    values = tuple(sorted({int(entry["value"]) for entry in listed}))
    known = _made(one, [(min(values), max(values))], "classes that the item declares") if len(values) > 1 else None
    return None if known is None else Range(known.lowest, known.highest, known.whence, values)


def _declared(one: ModelInput) -> Range | None:
    given = (one.model_extra or {}).get(RANGE_FIELD)
    if not given:
        return None
    pairs = given if isinstance(given[0], list | tuple) else [given]
    return _made(one, [(float(low), float(high)) for low, high in pairs], "the range that the item declares")


def _of_scaling(one: ModelInput) -> Range | None:
    """Take what comes out of a scaling: 0 to 1 of min-max and scale, three standard deviations of z-score, a clip."""
    steps = [step.model_dump() for step in one.value_scaling or ()]
    if not steps:
        return None
    bands = _axis(one, len(steps))
    each = bands is not None and len(steps) > 1
    pairs = [_through([step]) for step in steps] if each else [_through(steps)]
    return _made(one, [p for p in pairs if p is not None], "its scaling") if None not in pairs else None


def _through(steps: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    known: tuple[float, float] | None = None
    centred = False
    for step in steps:
        kind = step["type"]
        if kind == "clip":
            low, high = float(step["minimum"]), float(step["maximum"])
            known = (low, high) if known is None else (min(max(known[0], low), high), max(min(known[1], high), low))
        elif kind in {"clip-min", "clip-max"} and known is not None:
            least, most = (float(step.get(name, sign)) for name, sign in (("minimum", -np.inf), ("maximum", np.inf)))
            known = (min(max(known[0], least), most), min(max(known[1], least), most))
        elif kind in {"min-max", "z-score", "offset", "scale"}:
            if known is not None:
                ends = np.asarray(scale(np.array(known), [step], ("value",), of="a range"))
                known = (float(ends.min()), float(ends.max()))
            elif kind == "offset":
                centred = True
            else:
                known = STANDARD if kind == "z-score" or centred else UNIT
        elif kind not in {"clip-min", "clip-max"}:
            return None
    return known


def _of_example(array: NDArray[Any] | None, one: ModelInput) -> Range | None:
    """Take what the bands of an example span; nothing of whole numbers that may be indices of anything."""
    if array is None or array.ndim != len(one.input.dim_order) or array.dtype.kind not in "fiu":
        return None
    bands = next((i for i, name in enumerate(one.input.dim_order) if name in _AXES), None)
    parts = [array] if bands is None else np.split(array, array.shape[bands], bands)
    numbers = [part[np.isfinite(part)].astype(np.float64) for part in parts]
    if any(not part.size for part in numbers):
        return None
    pairs = [(float(part.min()), float(part.max())) for part in numbers]
    gaps = any(part.size < whole.size for part, whole in zip(numbers, parts, strict=True))
    found = _made(one, pairs, "the published example", gaps=gaps)
    return None if found is None else replace(found, blanks=True)


def _of_statistics(item: pystac.Item, one: ModelInput) -> Range | None:
    """Take the statistics of bands, which are of raw values, through the scaling of the input."""
    statistics = _statistics(item, one)
    spans = [_span(entry) for entry in statistics]
    if not spans or None in spans:
        return None
    points = np.stack([np.linspace(low, high, _POINTS) for low, high in filter(None, spans)])
    steps = [step.model_dump(exclude_none=True) for step in one.value_scaling or ()]
    if len(steps) > 1 and len(steps) != len(spans):
        for step in steps:  # one after the other
            points = scale(points, [step], ("band", "value"), of="a range")
    else:
        points = scale(points, steps, ("band", "value"), of="a range")
    pairs = [(float(row.min()), float(row.max())) for row in points]
    return _made(one, pairs, "statistics of its bands", gaps=any(_is_gap(entry) for entry in statistics))


def _is_gap(entry: Mapping[str, Any] | None) -> bool:
    return entry is not None and str(entry.get("nodata")).lower() == "nan"


def _span(entry: Mapping[str, Any] | None) -> tuple[float, float] | None:
    if entry is None:
        return None
    found = {**entry, **(entry.get("statistics") or {})}
    if found.get("minimum") is not None and found.get("maximum") is not None:
        return float(found["minimum"]), float(found["maximum"])
    if found.get("mean") is not None and found.get("stddev") is not None:
        mean, width = float(found["mean"]), SPREAD * float(found["stddev"])
        unsigned = str(found.get("data_type", "")).startswith("uint")
        return (max(0.0, mean - width) if unsigned else mean - width), mean + width
    return (0.0, 255.0) if found.get("data_type") == "uint8" else None


def _statistics(item: pystac.Item, one: ModelInput) -> list[Mapping[str, Any] | None]:
    """Give the statistics of each band of an input, by its name; of the input itself where older MLM has them there."""
    own = (one.model_extra or {}).get("statistics")
    if own:
        return list(own) if isinstance(own, list | tuple) else [own]
    by_name: dict[str, Mapping[str, Any]] = {}
    for entry in _bands(item):
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
            by_name[entry["name"]] = {**by_name.get(entry["name"], {}), **entry}
    names = [band if isinstance(band, str) else band.name for band in one.bands]
    return [by_name.get(name) for name in names]


def _bands(item: pystac.Item) -> Iterator[Any]:
    places = [item.properties, *(a.extra_fields for a in item.assets.values() if MODEL_ROLE in (a.roles or ()))]
    for place in places:
        for field in ("bands", "raster:bands"):
            yield from place.get(field) or ()
