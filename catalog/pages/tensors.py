"""Inputs and outputs of a model as they are drawn: axes with their sizes and halo, bands, scaling, classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.evidence import sizes_and_halo
from modelstac.catalog.items.mlm import (
    BAND_AXES,
    BANDS_FIELD,
    CLASSES_FIELDS,
    DTYPE_FIELD,
    GAPS_FIELD,
    RANGE_FIELD,
    TENSOR_FIELD,
    colour_digits,
)
from modelstac.catalog.items.sizes import OPEN, Size
from modelstac.catalog.pages.values import (
    NOTHING,
    Document,
    listed,
    mapping,
    mappings,
    number,
    properties,
    short,
    text,
    texts,
    whole,
)

VERTICAL, HORIZONTAL = ("height", "y", "lat", "latitude", "rows"), ("width", "x", "lon", "longitude", "cols", "columns")
MOST_SHEETS = 5
_COLOUR = re.compile(r"#?([0-9A-Fa-f]{6})", re.ASCII)
_ALL = (*BAND_AXES, "variables", "class", "classes")


@dataclass(frozen=True)
class Axis:
    """An axis: its name, which lengths it may have in words and in brief, and how far the model looks along it."""

    name: str
    size: str
    halo: str = ""
    length: int | None = None
    brief: str = ""


@dataclass(frozen=True)
class Band:
    """A band, or variable: its name, unit, and how its values are scaled, in words."""

    name: str
    unit: str = ""
    scaling: str = ""


@dataclass(frozen=True)
class Class:
    """A class of an output: its value, name and colour (six hexadecimal digits, or nothing)."""

    value: str
    name: str
    colour: str


@dataclass(frozen=True)
class Sheets:
    """What is drawn of an image: how many sheets lie over each other, and what stands beside."""

    count: int
    bands: str
    height: str
    width: str
    halo: str


@dataclass(frozen=True)
class Tensor:
    """An input or output.

    Parameters
    ----------
    name, dtype, description
        As its item has them.
    axes, bands, classes
        In their order.
    of
        What a band is called: band, or variable.
    scaling
        Of all values, in words and in the order of the steps; empty where it is said of each band.
    more
        Further facts, as label and text.
    sheets
        A drawing, where it is an image.
    example
        Lengths of an array that fits, None where that is not known.
    """

    name: str
    dtype: str
    description: str
    axes: tuple[Axis, ...]
    bands: tuple[Band, ...]
    scaling: tuple[str, ...]
    of: str
    classes: tuple[Class, ...]
    more: tuple[tuple[str, str], ...]
    sheets: Sheets | None
    example: tuple[int, ...] | None

    @property
    def is_scaled(self) -> bool:
        """Whether its values are scaled from physical ones."""
        return bool(self.scaling) or any(band.scaling for band in self.bands)

    @property
    def is_scene(self) -> bool:
        """Whether a scene fits: named bands of an image, and no other axis but that of the batch."""
        others = {axis.name for axis in self.axes} - {"batch", *BAND_AXES, *VERTICAL, *HORIZONTAL}
        return self.of == "band" and bool(self.bands) and self.sheets is not None and not others


def tensors(item: Document, side: str) -> list[Tensor]:
    """Return the inputs (``input``) or outputs (``output``) of an item; what is none is left out."""
    said = properties(item)
    details = _details(item)
    found = said.get(f"mlm:{side}")
    return [_tensor(one, side, said, details) for one in mappings([found] if isinstance(found, Mapping) else found)]


def _tensor(fields: Mapping[str, Any], side: str, said: Mapping[str, Any], details: Mapping[str, Any]) -> Tensor:
    name = text(fields.get("name"))
    layout = mapping(fields.get("input" if side == "input" else "result"))
    sizes, halo = (mapping(mapping(sizes_and_halo(said).get(part)).get(name)) for part in ("sizes", "halo"))
    axes = tuple(_axes(layout, sizes, halo))
    names = _names(fields)
    steps = _steps(fields.get("value_scaling"))
    each = len(steps) > 1 and len(steps) == len(names)
    bands = tuple(
        Band(band, text(mapping(details.get(band)).get("unit")), steps[i] if each else "")
        for i, band in enumerate(names)
    )
    dtype = text(layout.get(DTYPE_FIELD)) or text(layout.get("data_type"))
    classes = next((found for name in CLASSES_FIELDS if listed(found := fields.get(name))), None)
    return Tensor(
        name=name or side,
        dtype=dtype,
        description=text(fields.get("description")),
        axes=axes,
        bands=bands,
        scaling=() if each else tuple(steps),
        of="band" if listed(fields.get("bands")) or listed(fields.get(BANDS_FIELD)) else "variable",
        classes=tuple(_classes(classes)),
        more=(*_more(fields), *(_batched(said) if side == "input" else ())),
        sheets=_sheets(axes, names, classes=bool(listed(classes))),
        example=_example(layout, sizes),
    )


def _details(item: Document) -> dict[str, Any]:
    """Return what the item says of bands and variables, by their name."""
    found: dict[str, Any] = dict(mapping(properties(item).get("cube:variables")))
    for asset in mapping(item.get("assets")).values():
        for band in (*mappings(mapping(asset).get("raster:bands")), *mappings(mapping(asset).get("bands"))):
            found[text(band.get("name"))] = band
    return found


def _names(fields: Mapping[str, Any]) -> list[str]:
    for key in ("bands", BANDS_FIELD, "variables"):
        names = [text(mapping(one).get("name") if isinstance(one, Mapping) else one) for one in listed(fields.get(key))]
        if any(names):
            return [name or NOTHING for name in names]
    return []


def _axes(layout: Mapping[str, Any], sizes: Mapping[str, Any], halo: Mapping[str, Any]) -> Iterator[Axis]:
    shape, names = listed(layout.get("shape")), texts(layout.get("dim_order"))
    for i, length in enumerate(shape):
        name = names[i] if i < len(names) else f"axis {i + 1}"
        known = whole(length)
        size = _size(sizes.get(name)) if known in {None, OPEN} else None
        words = f"{known:,}" if known is not None and known != OPEN else str(size or "any")
        brief = words if size is None or size.step < 2 else f"{size.at_least}, {size.at_least + size.step}, …"
        yield Axis(name, words, _reach(halo.get(name)), known, brief)


def _size(found: object) -> Size | None:
    """Read lengths that an axis may have; of somebody else's, which say them in no way known here, nothing."""
    try:
        return Size.from_json(found) if found else None
    except (ModelStacError, TypeError):
        return None


def _reach(found: object) -> str:
    if isinstance(found, Mapping):
        grown = [f"{text(pixels)} for each of {text(axis)}" for axis, pixels in mapping(found.get("per")).items()]
        return " and ".join([text(found.get("pixels")), *grown])
    return "all of it" if found == "global" else text(found)


def _steps(steps: object) -> list[str]:
    entries = [steps] if isinstance(steps, Mapping) else listed(steps)
    return [_step(mapping(one)) for one in entries]


def _step(step: Mapping[str, Any]) -> str:
    low, high = _number(step.get("minimum")), _number(step.get("maximum"))
    value = _number(step.get("value"))
    known = {
        "min-max": f"(x − {low}) / ({high} − {low})",
        "z-score": f"(x − {_number(step.get('mean'))}) / {_number(step.get('stddev'))}",
        "clip": f"clip to {low} … {high}",
        "clip-min": f"at least {low}",
        "clip-max": f"at most {high}",
        "offset": f"x − {value}",
        "scale": f"x / {value}",
    }
    kind = text(step.get("type"))
    if kind in known:
        return known[kind]
    expression = step.get("expression")
    return text(expression) or kind or "unchanged"


def _number(value: object) -> str:
    found = number(value)
    return NOTHING if found is None else short(found)


def _classes(found: object) -> Iterator[Class]:
    for one in mappings(found):
        match = _COLOUR.fullmatch(text(colour_digits(one.get("color_hint")) or one.get("color-hint")))
        name = text(one.get("title")) or text(one.get("description")) or text(one.get("name"))
        yield Class(text(one.get("value")), name, match[1] if match else "")


def _batched(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if said.get("interop:batch_difference"):
        yield "samples", "one at a time: the result of one moves with the others of its batch"


def _more(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if (called := text(fields.get(TENSOR_FIELD))) and called != text(fields.get("name")):
        yield "name in the file", called
    ranges = listed(fields.get(RANGE_FIELD))
    pairs = [ranges] if len(ranges) == 2 and all(number(one) is not None for one in ranges) else ranges
    said = [" to ".join(_number(one) for one in listed(pair)) for pair in pairs if len(listed(pair)) == 2]
    if said:
        yield "range it is fed", ", ".join(said)
    if fields.get(GAPS_FIELD) is True:
        yield "where something is missing", "NaN"
    if kind := text(fields.get("resize_type")):
        yield "resized by", kind
    for key, label in (("pre_processing_function", "prepared by"), ("post_processing_function", "processed by")):
        if expression := text(mapping(fields.get(key)).get("expression")):
            yield label, expression
    if tasks := texts(fields.get("tasks")):
        yield "task", ", ".join(tasks)


def _sheets(axes: Sequence[Axis], names: Sequence[str], *, classes: bool) -> Sheets | None:
    by_name = {axis.name: axis for axis in axes}
    height = next((by_name[name] for name in VERTICAL if name in by_name), None)
    width = next((by_name[name] for name in HORIZONTAL if name in by_name), None)
    if height is None or width is None:
        return None
    band = next((by_name[name] for name in _ALL if name in by_name), None)
    count = len(names) or (band.length if band is not None and band.length is not None else 1)
    kind = "variable" if band is not None and band.name == "variables" else "class" if classes and not names else "band"
    many = f"{kind}{'es' if kind == 'class' else 's'}"
    words = f"{count} {kind if count == 1 else many}" if band is not None and count > 0 else ""
    halo = next((axis.halo for axis in (height, width) if axis.halo not in {"", "0"}), "")
    return Sheets(min(max(count, 1), MOST_SHEETS), words, height.brief, width.brief, halo)


def _example(layout: Mapping[str, Any], sizes: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return lengths that fit: the least for an open batch, at least 64 for other open axes."""
    shape, names = listed(layout.get("shape")), texts(layout.get("dim_order"))
    found = []
    for i, given in enumerate(shape):
        length = whole(given)
        if length is None:
            return None
        if length == OPEN:
            name = names[i] if i < len(names) else ""
            size = _size(sizes.get(name)) or Size()
            wanted = 1 if name == "batch" or i == 0 else 64
            length = size.nearest(max(wanted, size.at_least))[-1]
        found.append(length)
    return tuple(found) or None
