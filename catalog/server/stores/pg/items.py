"""What pgstac would lose, and the sortable version, kept in properties that no reader sees."""

from __future__ import annotations

import re
from typing import Any

import orjson

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.versions import version_key

# pgstac drops what is null; here stand the properties with a null in them (and times that are finer than PostgreSQL's),
# and what else of the item, as text.
_NULLS = "interop:with_nulls"
_OTHER_NULLS = "interop:item_with_nulls"
_WITHOUT = frozenset({"properties", "geometry"})
_VERSION_KEY = "interop:version_key"
_TIMES = ("datetime", "start_datetime", "end_datetime")
_BELOW_MICROSECONDS = re.compile(r"([.]\d{6})\d+", re.ASCII)
# Versions sort as versions and not as text.
SORTED_AS = {
    "version": _VERSION_KEY,
    "mlm:framework_version": "interop:framework_version_key",
    "interop:backend_version": "interop:backend_version_key",
}
# Earlier versions kept these, too.
_HIDDEN = (_VERSION_KEY, "interop:missing", "interop:box")


def packed(item: Document) -> Document:
    """Return an item as pgstac gets it."""
    properties = dict(item["properties"])
    nulls = _with_nulls(properties)
    cut = {name: cut for name in _TIMES if (cut := to_microseconds(text := properties.get(name))) != text}
    if kept := nulls | {name: properties[name] for name in cut}:
        properties = _stripped(properties, nulls) | cut | {_NULLS: orjson.dumps(kept).decode()}
    rest = {name: value for name, value in item.items() if name not in _WITHOUT}
    if nulls := _with_nulls(rest):
        item = _stripped(item, nulls)
        if "assets" in nulls:
            nulls["assets"] = {key: asset for key, asset in nulls["assets"].items() if _has_null(asset)}
        if "links" in nulls:
            nulls["links"] = list(filter(_has_null, nulls["links"]))
        properties[_OTHER_NULLS] = orjson.dumps(nulls).decode()
    try:
        properties[_VERSION_KEY] = version_key(str(properties.get("version")))
    except InvalidItemError:
        properties.pop(_VERSION_KEY, None)
    return item | {"properties": properties}


def to_microseconds(time: Any) -> Any:
    """Return a time without what PostgreSQL would round away; it is cut off, as all searches read times."""
    return _BELOW_MICROSECONDS.sub(r"\1", time) if isinstance(time, str) else time


def unpacked(item: Document) -> Document:
    """Return an item from pgstac as it was published."""
    properties = item["properties"]
    for hidden in _HIDDEN:
        properties.pop(hidden, None)
    if nulls := properties.pop(_NULLS, None):
        properties |= orjson.loads(nulls)
    if nulls := properties.pop(_OTHER_NULLS, None):
        _put_back(item, orjson.loads(nulls))
    return item


def _put_back(item: Document, nulls: Document) -> None:
    """Give an item what of it had nulls; of its links, which change by themselves, those that are as they were."""
    links = [(found, _without_null(found)) for found in nulls.pop("links", None) or ()]
    item["links"] = [next((whole for whole, left in links if left == found), found) for found in item["links"]]
    item["assets"] |= nulls.pop("assets", None) or {}
    item |= nulls


def _stripped(document: Document, nulls: Document) -> Document:
    left = {name: _without_null(value) for name, value in nulls.items() if value is not None}
    return {name: value for name, value in document.items() if name not in nulls} | left


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
