"""Rules of inputs and outputs: lists, reserved names of axes, shapes, types, scaling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from modelstac.catalog.items.mlm import (
    BANDS_FIELD,
    CLASSES_FIELD,
    CLASSES_FIELDS,
    RASTER_SCHEMA_URI,
    DataType,
    band_axis,
    colour_digits,
)
from modelstac.registry.checking.fault import MLM, Document, Fault, assets, declare, listed, objects, shown
from modelstac.registry.running.values.scaling import axis_of_bands, obstacle_of, steps_of

_SIDES = (("mlm:input", "input"), ("mlm:output", "result"))
_AXIS = re.compile(r"[a-z_-]+")
_ODD = re.compile(r"[^a-z_-]+")
_TYPES = {
    **dict.fromkeys(("float", "f4", "fp32", "single", "tf.float32", "torch.float32"), "float32"),
    **dict.fromkeys(("double", "f8", "fp64", "torch.float64"), "float64"),
    **dict.fromkeys(("half", "f2", "fp16", "torch.float16"), "float16"),
    **dict.fromkeys(("int", "long", "torch.int64"), "int64"),
    **dict.fromkeys(("byte", "uchar", "torch.uint8"), "uint8"),
}


def lists(document: Document) -> Iterator[Fault]:
    """Inputs and outputs stand in lists of objects, each with a name."""
    properties = document["properties"]
    for name, _ in _SIDES:
        found = properties.get(name)
        if isinstance(found, dict):
            yield Fault("list", f"properties.{name}", "is one object, and a list of them is meant", MLM, "a list of it")
            properties[name] = [found]
        elif not isinstance(found, list) or not found:
            text = f"is {shown(found)}: nobody can tell what the model {'takes' if name == 'mlm:input' else 'gives'}"
            yield Fault("list", f"properties.{name}", text, MLM)
        for place, entry in objects(document, name):
            if not isinstance(entry.get("name"), str) or not entry["name"]:
                made = f"{name.removeprefix('mlm:')}_{place.rpartition('[')[2].rstrip(']')}"
                yield Fault("name", f"{place}.name", f"is {shown(entry.get('name'))}, no name", MLM, made)
                entry["name"] = made


def layouts(document: Document) -> Iterator[Fault]:
    """A shape has as many lengths as there are names of axes; both, and the type, are as MLM writes them."""
    for name, inner in _SIDES:
        for place, entry in objects(document, name):
            layout = entry.get(inner)
            if not isinstance(layout, dict):
                yield Fault("layout", f"{place}.{inner}", f"is {shown(layout)}: shape and dim_order are needed", MLM)
                continue
            yield from _layout(layout, f"{place}.{inner}")


def _layout(layout: dict[str, Any], place: str) -> Iterator[Fault]:
    shape, order = layout.get("shape"), layout.get("dim_order")
    if isinstance(shape, list) and (odd := [n for n in shape if not isinstance(n, int) or n < -1]):
        made = [n if isinstance(n, int) and n >= -1 else -1 for n in shape]
        yield Fault("shape", f"{place}.shape", f"has {shown(odd[0])}: an open length is written -1", MLM, shown(made))
        layout["shape"] = made
    if isinstance(order, list) and (odd := [axis for axis in order if not _AXIS.fullmatch(str(axis))]):
        named = [_ODD.sub("-", str(axis).casefold()).strip("-") or "axis" for axis in order]
        text = f"has {shown(odd[0])}: names of axes have small letters, '_' and '-'"
        yield Fault("dim-order", f"{place}.dim_order", text, MLM, shown(named))
        layout["dim_order"] = named
    if isinstance(shape, list) and isinstance(order, list) and len(shape) != len(order):
        text = f"names {len(order)} axes ({', '.join(map(str, order))}), and shape has {len(shape)} lengths"
        yield Fault("dim-order", f"{place}.dim_order", text, MLM)
    kind = layout.get("data_type")
    if kind not in get_args(DataType):
        known = _TYPES.get(str(kind).casefold())
        yield Fault("data-type", f"{place}.data_type", f"is {shown(kind)}, none that MLM has", MLM, known)
        if known is not None:
            layout["data_type"] = known


def axes(document: Document) -> Iterator[Fault]:
    """The axes ``bands`` and ``variables`` and the lists of these names need each other, and are of one length."""
    for name, inner in _SIDES:
        for place, entry in objects(document, name):
            layout = entry.get(inner)
            if isinstance(layout, dict) and isinstance(layout.get("dim_order"), list):
                yield from _bands(entry, layout, place, inner)
                yield from _variables(entry, layout, place, inner)


def _bands(entry: dict[str, Any], layout: dict[str, Any], place: str, inner: str) -> Iterator[Fault]:
    order, bands = layout["dim_order"], entry.get("bands")
    shape = listed(layout.get("shape"))
    at = f"{place}.{inner}.dim_order"
    if bands and "bands" not in order:
        found = axis_of_bands(order, shape, len(bands))
        axis = band_axis(order) if found is None else order[found]
        text = f"names {', '.join(map(str, order))}, and the list of bands belongs to an axis called 'bands'"
        lengths = [n for a, n in zip(order, shape, strict=False) if a == axis]
        if axis is not None and lengths in ([-1], [len(bands)]):
            made = ["bands" if one == axis else one for one in order]
            yield Fault("bands-axis", at, text, MLM, shown(made))
            layout["dim_order"] = made
        else:
            yield Fault("bands-axis", at, f"{text}; no axis is one of them", MLM, "no list")
            entry |= {"bands": [], BANDS_FIELD: bands}
    elif not bands and "bands" in order:
        made = ["channel" if one == "bands" else one for one in order]
        yield Fault("bands-axis", at, "has an axis 'bands', and the bands are not named", MLM, shown(made))
        layout["dim_order"] = made
    elif bands and len(shape) == len(order) and shape[order.index("bands")] not in {-1, len(bands)}:
        text = f"names {len(bands)} bands, and its axis has {shape[order.index('bands')]}"
        yield Fault("bands", f"{place}.bands", text, MLM)
    if "bands" not in entry:
        entry["bands"] = []  # readers of earlier versions need it


def _variables(entry: dict[str, Any], layout: dict[str, Any], place: str, inner: str) -> Iterator[Fault]:
    order = layout["dim_order"]
    if "variables" in order and not entry.get("variables"):
        made = ["variable" if one == "variables" else one for one in order]
        text = "has an axis 'variables', and the variables are not named"
        yield Fault("variables-axis", f"{place}.{inner}.dim_order", text, MLM, shown(made))
        layout["dim_order"] = made


def scaling(document: Document) -> Iterator[Fault]:
    """What is done to values can be computed, and stands in ``value_scaling`` as a list."""
    for place, entry in objects(document, "mlm:input"):
        steps = steps_of(entry)
        if steps is not None and "norm_type" in entry:
            text = "stands in norm_type and statistics, as before MLM 1.4"
            yield Fault("scaling", f"{place}.norm_type", text, MLM, "value_scaling")
            for old in ("norm_type", "norm_clip", "norm_by_channel", "norm_with_clip_values", "statistics"):
                entry.pop(old, None)
            entry["value_scaling"] = steps
        elif "value_scaling" in entry and isinstance(steps, dict):
            yield Fault("scaling", f"{place}.value_scaling", "is one object, no list", MLM, "a list of it")
            entry["value_scaling"] = steps = [steps]
        if isinstance(steps, list) and (odd := [i for i, step in enumerate(steps) if _is_nothing(step)]):
            yield Fault(
                "scaling",
                f"{place}.value_scaling[{odd[0]}]",
                "has the type null: that band stays as it is",
                MLM,
                "x / 1",
            )
            for number in odd:
                steps[number] = {"type": "scale", "value": 1}
        if (reason := obstacle_of(entry)) is not None:
            yield Fault("scaling", f"{place}.value_scaling", reason, MLM)


def classes(document: Document) -> Iterator[Fault]:
    """A class has a value and a description, and a colour of six hexadecimal digits."""
    for place, entry in objects(document, "mlm:output"):
        for other in CLASSES_FIELDS[1:]:
            if CLASSES_FIELD not in entry and all(isinstance(one, dict) for one in listed(entry.get(other)) or [None]):
                entry[CLASSES_FIELD] = entry.pop(other)
                yield Fault("classes", f"{place}.{other}", "is the list of classes", MLM, CLASSES_FIELD)
        found = entry.get(CLASSES_FIELD)
        for number, one in enumerate(found if isinstance(found, list) else ()):
            if not isinstance(one, dict):
                continue
            at = f"{place}.{CLASSES_FIELD}[{number}]"
            name = one.get("name") or one.get("title")
            if "description" not in one:
                made = None if name is None else str(name)
                yield Fault("classes", at, "has no description", "classification extension 1.1.0", made)
                if made is not None:
                    one["description"] = made
            colour = one.get("color_hint")
            made = colour[1:] if isinstance(colour, str) and colour.startswith("#") else colour_digits(colour)
            if made != colour:
                text = f"has the colour {shown(colour)}, and six digits are meant"
                yield Fault("classes", at, text, "classification extension 1.1.0", made)
                one["color_hint"] = made
            elif made is None and "color_hint" in one:
                yield Fault("classes", at, "has a colour that is null", "classification extension 1.1.0", "no colour")
                del one["color_hint"]


def _is_nothing(step: Any) -> bool:
    return step is None or (isinstance(step, dict) and step.get("type", "") is None)


def described_bands(document: Document) -> Iterator[Fault]:
    """Bands that inputs and outputs name are described on the asset of the model."""
    named = [
        str(band.get("name") if isinstance(band, dict) else band)
        for name, _ in _SIDES
        for _, entry in objects(document, name)
        for band in listed(entry.get("bands"))
        if not isinstance(band, dict) or band.get("expression") is None  # one that is computed lies nowhere
    ]
    missing = list(dict.fromkeys(named))
    if not missing:
        return
    holders = [document["properties"], *(asset for _, asset in assets(document))]
    known = {
        str(band.get("name"))
        for holder in holders
        for key in ("bands", "raster:bands", "eo:bands")
        for band in listed(holder.get(key))
        if isinstance(band, dict)
    }
    missing = [name for name in missing if name not in known]
    models = [(key, asset) for key, asset in assets(document) if "mlm:model" in (asset.get("roles") or ())]
    if not missing or not models:
        return
    text = f"describes {', '.join(missing)} nowhere, which inputs or outputs name"
    for key, asset in models:
        yield Fault("bands-on-asset", f"assets.{key}", text, MLM, "raster:bands")
        asset["raster:bands"] = [*asset.get("raster:bands", []), *({"name": name} for name in missing)]
    declare(document, RASTER_SCHEMA_URI)
