"""The fields extension: documents reduced to what a reader asked for."""

from __future__ import annotations

import copy
from typing import Any

from modelstac.catalog.items.documents import Document

_ALWAYS = ("id", "collection")
_TOP = frozenset(
    {*_ALWAYS, "type", "stac_version", "stac_extensions", "geometry", "bbox", "properties", "links", "assets"}
)


def reduced(document: Document, fields: tuple[str, ...]) -> Document:
    """Return the parts of a document that were asked for; id and collection are always among them.

    Parameters
    ----------
    fields
        Paths such as ``assets`` or ``properties.mlm:framework``; with ``-`` before it, what is left out. A property
        may be named without ``properties.``.
    """
    if not fields:
        return document
    included = [_path(field) for field in fields if not field.startswith("-")]
    excluded = [_path(field) for field in fields if field.startswith("-")]
    result: Document = {}
    if included:
        for path in (*((name,) for name in _ALWAYS), *included):
            _take(document, result, path)
    else:
        result = copy.deepcopy(document)
    for path in excluded:
        if path[0] not in _ALWAYS:
            _drop(result, path)
    return result


def _path(field: str) -> tuple[str, ...]:
    parts = tuple(field.lstrip("+-").split("."))
    return parts if parts[0] in _TOP else ("properties", *parts)


def _take(source: Any, target: Document, path: tuple[str, ...]) -> None:
    name, *rest = path
    if not isinstance(source, dict) or name not in source:
        return
    if rest:
        below = target.setdefault(name, {})
        if isinstance(below, dict):
            _take(source[name], below, tuple(rest))
    else:
        target[name] = copy.deepcopy(source[name])


def _drop(target: Any, path: tuple[str, ...]) -> None:
    *above, name = path
    for part in above:
        target = target.get(part) if isinstance(target, dict) else None
    if isinstance(target, dict):
        target.pop(name, None)
