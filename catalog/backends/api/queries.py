"""What of a query an API can be asked, and what is left to decide item by item."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.geometry import box_geometry, flat, reached
from modelstac.catalog.items.versions import parse_range, version_key
from modelstac.catalog.search.query import EQUAL_FIELDS, VERSION_FIELDS, Query
from modelstac.catalog.search.ranges import interval, number_range
from modelstac.catalog.search.spellings import architectures, spellings
from modelstac.catalog.search.sql.expressions import parse

_PAGE = 250
_SLIVER = 1e-6
_SPELLED: dict[str, Callable[[str], tuple[str, ...]]] = {"framework": spellings, "architecture": architectures}
_KEYS = {"framework_version": "interop:framework_version_key", "backend_version": "interop:backend_version_key"}


def body_of(query: Query, *, core: bool, sorts: bool) -> Document:
    """Return the body of the request for the first page of a query.

    Parameters
    ----------
    core
        Whether the API is somebody else's, which is asked for no more than every API can be.
    sorts
        Whether it sorts.
    """
    sort = [_order(name) for name in query.sortby]
    if all(order["field"] != "id" for order in sort):
        sort.append({"field": "id", "direction": "asc"})
    if core:
        # Others may have one id in two collections.
        sort.append({"field": "collection", "direction": "asc"})
    body: Document = {
        "limit": min(query.limit or _PAGE, _PAGE),
        "ids": query.ids,
        "collections": query.collections,
        "datetime": query.datetime and _moments(query.datetime),
        "filter": None if core else _filter(query),
        "q": query.text.split(",") if query.text and not core else None,
        "sortby": sort if sorts else None,
    } | _place(query, core=core)
    if body["filter"] is not None:
        body["filter-lang"] = "cql2-json"
    return {name: value for name, value in body.items() if value is not None}


def residual(query: Query, *, core: bool = False) -> Query | None:
    """Return the part of a query that only :func:`modelstac.catalog.search.matching.matches` decides, None for none.

    Parameters
    ----------
    core
        Whether the API is somebody else's. It is asked for what every API can be (ids, collections, a place, a time),
        and all is decided here: others understand boxes, days, text and missing properties in other ways.
    """
    if core:
        return query
    names = [*VERSION_FIELDS, "runs_with", "runs_within", "alias", "deprecated"]
    names += ["bbox"] if query.intersects is not None else []
    left = {name: value for name in names if (value := getattr(query, name)) is not None}
    return Query(**left) if left else None


def _filter(query: Query) -> Document | None:
    """Return the CQL2 JSON for all of a query that STAC has no parameter for, or a part that finds no less."""
    conditions: list[Any] = [] if query.filter is None else [parse(query.filter)]
    for field, name in EQUAL_FIELDS.items():
        if (wanted := getattr(query, field)) is not None:
            spelled = _SPELLED[field](wanted) if field in _SPELLED else (wanted,)
            equal = [_is("=", _folded({"property": name}), _folded(spelling)) for spelling in spelled]
            conditions.append(equal[0] if len(equal) == 1 else {"op": "or", "args": equal})
    if query.task is not None:
        conditions.append(_is("a_contains", {"property": "mlm:tasks"}, [query.task.casefold()]))
    if query.deprecated:
        conditions.append(_is("=", {"property": "deprecated"}, True))
    if query.parity is not None:
        conditions.append(_is("<=", {"property": "interop:parity.max_absolute_difference"}, query.parity))
    if query.parameters is not None:
        conditions += [_is(s, {"property": "mlm:total_parameters"}, n) for _, s, n in number_range(query.parameters)]
    for field, name in _KEYS.items():
        if (wanted := getattr(query, field)) is not None:
            conditions += _bounds(name, wanted)
    if len(conditions) == 1 and isinstance(conditions[0], bool):  # an API takes objects
        conditions *= 2
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    return {"op": "and", "args": conditions}


def _place(query: Query, *, core: bool) -> Document:
    """Return bbox or intersects, of which an API takes one, so that it finds no less than is asked for.

    Parameters
    ----------
    core
        Whether the API is somebody else's: pgstac turns a box over the antimeridian round and takes no heights.
    """
    if query.intersects is not None:
        return {"intersects": query.intersects}
    if query.bbox is None or not core:
        return {"bbox": query.bbox}
    west, south, east, north = flat(query.bbox)
    parts = reached(west, east)
    if len(parts) == 1:
        return {"bbox": (west, south, east, north)}
    # A part without width is none to them; what they find too much is left out here.
    wide = [(w, e) if w < e else (max(-180.0, w - _SLIVER), min(180.0, e + _SLIVER)) for w, e in parts]
    boxes = [box_geometry((w, south, e, north))["coordinates"] for w, e in wide]
    return {"intersects": {"type": "MultiPolygon", "coordinates": boxes}}


def _order(name: str) -> Document:
    field = name.removeprefix("-").removeprefix("properties.")
    whole = field if field in {"id", "collection"} else f"properties.{field}"
    return {"field": whole, "direction": "desc" if name.startswith("-") else "asc"}


def _moments(text: str) -> str:
    """Return an interval as APIs understand it: whole moments of RFC 3339.

    With their fractions, since a server like ours reads an end at 23:59:59 as the end of that day.
    """
    ends = zip(interval(text), (datetime.min, datetime.max), strict=True)
    return "/".join(
        ".."
        if (moment := end.astimezone(UTC).replace(tzinfo=None)) == open_end
        else f"{moment.isoformat(timespec='microseconds')}Z"
        for end, open_end in ends
    )


def _bounds(name: str, wanted: str) -> list[Document]:
    """Return bounds of the sortable key that no version in the range lies beyond."""
    bounds = []
    for part in parse_range(wanted):
        sign = {">=": ">=", ">": ">=", "<=": "<=", "<": "<="}.get(part.operator)
        try:
            key = version_key(part.version)
        except InvalidItemError:
            continue
        if sign is not None:
            bounds.append(_is(sign, {"property": name}, key))
    return bounds


def _is(operator: str, *arguments: Any) -> Document:
    return {"op": operator, "args": list(arguments)}


def _folded(value: Any) -> Document:
    return _is("casei", value)
