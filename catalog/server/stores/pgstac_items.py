"""What pgstac would lose or cannot sort by, kept in properties that no reader sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.geometry import flat, spans
from modelstac.catalog.items.versions import version_key

# pgstac drops what is null; here stand the properties with a null in them, as text.
_NULLS = "interop:with_nulls"
_VERSION_KEY = "interop:version_key"
# Versions sort as versions and not as text.
SORTED_AS = {
    "version": _VERSION_KEY,
    "mlm:framework_version": "interop:framework_version_key",
    "interop:backend_version": "interop:backend_version_key",
    "start_datetime": "datetime",
}
# PostgreSQL has what is missing first in descending order; whether it is missing is sorted by before.
_MISSING = "interop:missing"
_BOX = "interop:box"
_OPTIONAL = (
    "interop:backend",
    "interop:backend_version",
    "interop:backend_version_key",
    "interop:parity.max_absolute_difference",
    "interop:job",
    "interop:precision",
    "mlm:memory_size",
    "mlm:accelerator",
    "mlm:total_parameters",
    "deprecated",
)


# Name, marker, and the path of what lies deeper.
_MARKERS = tuple((name, name.replace(".", "_"), name.split(".") if "." in name else None) for name in _OPTIONAL)


def missing_marker(name: str) -> str | None:
    """Return the property that says whether another one is missing; None for those that never are."""
    return f"{_MISSING}.{name.replace('.', '_')}" if name in _OPTIONAL else None


BOX_SIDES = tuple(f"{_BOX}.{side}" for side in ("west", "south", "east", "north"))


def box_filter(bbox: Sequence[float]) -> Document:
    """Return the filter for items whose box meets one; pgstac's own compares geometries, other catalogs boxes."""
    west, south, east, north = flat(bbox)
    east += 360 * (east < west)
    w, s, e, n = ({"property": name} for name in BOX_SIDES)
    # Both may go on beyond 180 degrees: once as they are, and once turned by either way.
    turned = [_all(_is("<=", w, east + turn), _is(">=", e, west + turn)) for turn in (0, 360, -360)]
    return _all(_is("<=", s, north), _is(">=", n, south), {"op": "or", "args": turned})


def with_polygons(expression: Any) -> Any:
    """Return a filter whose boxes are polygons, which is how pgstac knows them."""
    if isinstance(expression, list):
        return [with_polygons(part) for part in expression]
    if not isinstance(expression, dict):
        return expression
    if "bbox" in expression and "type" not in expression:
        west, south, east, north = flat(expression["bbox"])
        boxes = [[[[w, south], [e, south], [e, north], [w, north], [w, south]]] for w, e in spans(west, east)]
        return {"type": "MultiPolygon", "coordinates": boxes}
    return expression | {"args": with_polygons(expression["args"])} if "args" in expression else expression


def _is(operator: str, *arguments: Any) -> Document:
    return {"op": operator, "args": list(arguments)}


def _all(*conditions: Document) -> Document:
    return {"op": "and", "args": list(conditions)}


def packed(item: Document) -> Document:
    """Return an item as pgstac gets it."""
    properties = dict(item["properties"])
    if nulls := _with_nulls(properties):
        for name, value in nulls.items():
            if value is None:
                del properties[name]
            else:
                properties[name] = _without_null(value)
        properties[_NULLS] = orjson.dumps(nulls).decode()
    properties[_MISSING] = {
        marker: "0" if (properties.get(name) if path is None else _found(properties, path)) is not None else "1"
        for name, marker, path in _MARKERS
    }
    if item.get("bbox"):
        west, south, east, north = flat(item["bbox"])
        # A box across the antimeridian goes on beyond 180 degrees.
        properties[_BOX] = {"west": west, "south": south, "east": east + 360 * (east < west), "north": north}
    try:
        properties[_VERSION_KEY] = version_key(str(properties.get("version")))
    except InvalidItemError:
        properties.pop(_VERSION_KEY, None)
    return item | {"properties": properties}


def unpacked(item: Document) -> Document:
    """Return an item from pgstac as it was published."""
    properties = item["properties"]
    for hidden in (_VERSION_KEY, _MISSING, _BOX):
        properties.pop(hidden, None)
    if nulls := properties.pop(_NULLS, None):
        properties |= orjson.loads(nulls)
    return item


def _found(properties: Document, path: Sequence[str]) -> Any:
    value: Any = properties
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _with_nulls(properties: Document) -> Document:
    """Return the properties that are null, or have a null somewhere."""
    found: Document = {name: None for name, value in properties.items() if value is None}
    nested = {name: value for name, value in properties.items() if isinstance(value, (dict, list))}
    # As text most are told sooner to have none; a word may say "null" too.
    if b"null" in orjson.dumps(nested):
        found |= {name: value for name, value in nested.items() if _has_null(value)}
    return found


def _has_null(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return any(map(_has_null, value.values() if isinstance(value, dict) else value))
    return value is None


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(part) for name, part in value.items() if part is not None}
    return [_without_null(part) for part in value] if isinstance(value, list) else value
