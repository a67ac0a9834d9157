"""Other people's items (MLM 1.0 to 1.5) as descriptions that a runtime can use.

Only what running needs is read: inputs, outputs, entry point and hyperparameters. Fields that later versions of MLM
renamed are read under their old names; what the item leaves open stays open. Nothing is written back.

Source: https://github.com/stac-extensions/mlm/blob/main/CHANGELOG.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import pystac

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.links import local_path
from modelstac.catalog.items.mlm import (
    BAND_AXES,
    BANDS_FIELD,
    CLASSES_FIELD,
    CLASSES_FIELDS,
    ModelInput,
    ModelOutput,
    ResizeType,
    band_axis,
    colour_digits,
)
from modelstac.catalog.items.reading import read_sizes
from modelstac.catalog.items.versions import semver
from modelstac.registry.choosing.model_assets import ModelAsset, sides
from modelstac.registry.running.values.scaling import NUMBERS, axis_of_bands, obstacle_of, steps_of, unmet

NO_VERSION = "0.0.0"
"""What stands for a version that an item does not say."""
_EVERYWHERE = {"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]}
_AXIS = re.compile(r"[^a-z_-]+")
_RESERVED = ("bands", "variables")


def describe(
    item: pystac.Item, asset: ModelAsset, *, entrypoint: str | None = None
) -> tuple[ModelDescription, list[str]]:
    """Describe one model file of a foreign item.

    Parameters
    ----------
    item, asset
        The item, and which of its files.
    entrypoint
        ``package.module:function`` that builds the architecture, where the item names none.

    Returns
    -------
    description, remarks
        What the item leaves open has a neutral value; each remark says in half a line what is missing or wrong.

    Raises
    ------
    InvalidItemError
        If inputs or outputs are missing or make no sense.
    """
    get = item.properties.get
    form = FORMATS.of_artifact_type(asset.artifact_type) or FORMATS["torch"]  # else a pickle that the caller trusts
    remarks = list(asset.remarks)
    fields = item.assets[asset.key].extra_fields
    version = _semver(get("mlm:framework_version"))
    start, end = item.common_metadata.start_datetime, item.common_metadata.end_datetime
    moment = item.datetime or datetime.now(UTC)
    href = item.assets[asset.key].get_absolute_href() or item.assets[asset.key].href
    hyperparameters = get("mlm:hyperparameters")
    taken, given = sides(item)
    beside = (item.assets[asset.key].extra_fields, item.properties) if len(given) == 1 else ()
    given = [_with_classes(found, beside) for found in given]
    inputs = tuple(_tensor(ModelInput, "input", found, item, remarks) for found in _all_named(taken, "input"))
    outputs = tuple(_tensor(ModelOutput, "result", found, item, remarks) for found in _all_named(given, "output"))
    variables = {v if isinstance(v, str) else v.name for tensor in (*inputs, *outputs) for v in tensor.variables}
    description = ModelDescription(
        name=_slug(str(get("mlm:name") or item.id)),
        version=_semver(get("version")) or "0.0.0",
        variant=form.name,
        title=str(get("title") or item.id),
        description=str(get("description") or item.id),
        license=str(get("license") or "other"),
        geometry=item.geometry or _EVERYWHERE,
        start=start or end or moment,
        end=end or start or moment,
        format=form.name,
        framework_version=version or NO_VERSION,
        architecture=str(get("mlm:architecture") or "unknown"),
        tasks=("regression",),  # the loader does not care, and MLM's list of tasks has grown
        inputs=inputs,
        outputs=outputs,
        sizes=read_sizes(item.id, get("interop:sizes")),
        halo=get("interop:halo"),
        batch_difference=get("interop:batch_difference"),
        cube_variables={name: {"type": "data", "dimensions": []} for name in variables},
        hyperparameters=_named(hyperparameters) if isinstance(hyperparameters, dict) else {},
        parameters=_count(get("mlm:total_parameters")),
        entrypoint=(entrypoint or fields.get("mlm:entrypoint") or _entrypoint(item)) if form.name == "torch" else None,
        artifact=local_path(href) or href,
    )
    return description, remarks


def _all_named(tensors: Sequence[Mapping[str, Any]], kind: str) -> Iterator[Mapping[str, Any]]:
    """Give a name to each that has none: that of its kind, and of several the number that it is."""
    names = [str(found.get("name") or "") for found in tensors]
    for number, (found, name) in enumerate(zip(tensors, names, strict=True)):
        made = kind if len(tensors) == 1 else f"{kind}_{number}"
        while not name and made in names:
            made = f"{made}_"
        yield {**found, "name": name or made}


def _tensor(kind: type[Any], inner: str, found: Mapping[str, Any], item: pystac.Item, remarks: list[str]) -> Any:
    """Read one input or output; axes that no list of names belongs to lose their reserved meaning."""
    name = str(found["name"])
    layout = found.get(inner)
    if not isinstance(layout, dict):
        raise InvalidItemError(
            f"item {item.id!r}: {name!r} has no {inner!r} with shape and dim_order: ask its publisher"
        )
    shape = [_length(size) for size in layout.get("shape") or ()]
    order = [_AXIS.sub("-", str(axis).casefold()).strip("-") or "axis" for axis in layout.get("dim_order") or ()]
    names = {axis: _names(found.get(axis)) for axis in _RESERVED}
    steps = steps_of(found) if kind is ModelInput else None
    count = len(names["bands"]) or (len(steps) if isinstance(steps, list) else 0)
    if (place := axis_of_bands(order, shape, count)) is not None:
        called = "bands" if names["bands"] else "channel"
        remarks.append(f"the axis {order[place]!r} of {name!r} is that of its {count} bands: {called!r} here")
        order[place] = called
    for listed, axis in (("bands", band_axis(order)), ("variables", "variables")):
        fits = axis in order and len(order) == len(shape) and shape[order.index(axis)] in {-1, len(names[listed])}
        if not fits and names[listed]:  # nobody can tell which is which
            remarks.append(f"the {listed} that {name!r} lists belong to none of its axes, so labels are not compared")
        if not fits or not names[listed]:  # an axis that MLM reserves for a list, and has none: common, and harmless
            free = next(one for one in (*BAND_AXES, f"{listed}-axis") if one != "bands" and one not in order)
            order = [free if part == listed else part for part in order]
            names[listed] = []
    fields: dict[str, Any] = {key: value for key, value in found.items() if ":" in key and key != BANDS_FIELD} | {
        "name": name,
        "bands": names["bands"],
        "variables": names["variables"],
        "description": found.get("description"),
        inner: {"shape": shape, "dim_order": order, "data_type": str(layout.get("data_type") or "float32").lower()},
    }
    if kind is ModelInput:
        fields["value_scaling"] = _scaling(found)
        if (resized := found.get("resize_type")) is not None:
            fields |= {"resize_type": resized} if resized in get_args(ResizeType) else {}
        fields["pre_processing_function"] = found.get("pre_processing_function")
        remarks += [f"input {name!r} wants {text}" for side in unmet(found) for text in side]
    else:
        fields["tasks"] = ()
        fields["post_processing_function"] = found.get("post_processing_function")
    try:
        return kind(**fields)
    except InvalidItemError as error:
        raise InvalidItemError(f"item {item.id!r}: {name!r} makes no sense: {error}") from error


def _length(size: Any) -> int:
    """Read the length of an axis as people write it: 3, 3.0 or "3"; no axis has none, so that 0 is open as -1 is."""
    try:
        number = float(size)
    except (TypeError, ValueError):
        return -1
    return int(number) or -1 if number.is_integer() else -1


def _with_classes(found: Mapping[str, Any], beside: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give an output its classes, also those under another name; the only one those of its model, or of the item."""
    places = (*(found.get(name) for name in CLASSES_FIELDS), *(fields.get(CLASSES_FIELD) for fields in beside))
    listed = next((place for place in places if isinstance(place, list) and place), None)
    if listed is None:
        return dict(found)
    entries = [{"value": n, "name": one} if isinstance(one, str) else one for n, one in enumerate(listed)]
    return {**found, CLASSES_FIELD: [_coloured(one) if isinstance(one, dict) else one for one in entries]}


def _coloured(entry: Mapping[str, Any]) -> dict[str, Any]:
    colour = colour_digits(entry.get("color_hint"))
    return {key: value for key, value in {**entry, "color_hint": colour}.items() if key != "color_hint" or value}


def _scaling(found: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    steps = steps_of(found)
    if not steps or obstacle_of(found) is not None:
        return None  # why it is none is among the remarks
    return [_step(step) for step in ([steps] if isinstance(steps, Mapping) else steps)]


def _step(step: Mapping[str, Any] | None) -> dict[str, Any]:
    kind = None if step is None else step["type"]
    if step is None or kind is None:  # this band is left as it is
        return {"type": "scale", "value": 1}
    return {"type": kind} | {key: step[key] for key in NUMBERS.get(kind, ("format", "expression"))}


def _names(found: Any) -> list[str | dict[str, Any]]:
    """Read names of bands; one that is computed of others keeps how."""
    return [_name(part) for part in found] if isinstance(found, list) else []


def _name(part: Any) -> str | dict[str, Any]:
    if not isinstance(part, dict):
        return str(part)
    made = part.get("format") is not None and part.get("expression") is not None
    name = str(part.get("name"))
    return {"name": name, "format": str(part["format"]), "expression": part["expression"]} if made else name


def _entrypoint(item: pystac.Item) -> str | None:
    """Return the entry point that another asset, that of the source code, names (MLM 1.4)."""
    found = {asset.extra_fields.get("mlm:entrypoint") for asset in item.assets.values()} - {None}
    return str(found.pop()) if len(found) == 1 else None


def _named(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub(r"[^0-9a-zA-Z_.-]+", "_", str(key)) or "_": value for key, value in hyperparameters.items()}


def _count(found: Any) -> int:
    return found if isinstance(found, int) and found >= 0 else 0


def _semver(found: Any) -> str | None:
    try:
        return semver(str(found)) if isinstance(found, (str, int, float)) and not isinstance(found, bool) else None
    except InvalidItemError:
        return None


def _slug(text: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_.-]+", "-", text).strip("-._")
    name = name if name[:1].isalpha() else f"model-{name}".strip("-")
    return (name if len(name) >= 3 else f"{name}-model")[:100].rstrip("-._")
