"""What of a query CQL2 can say, and what is left to decide item by item."""

from __future__ import annotations

from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.versions import parse_range, version_key
from modelstac.catalog.search.query import EQUAL_FIELDS, VERSION_FIELDS, Query
from modelstac.catalog.search.ranges import number_range
from modelstac.catalog.search.spellings import spellings
from modelstac.catalog.search.sql.filters import parse

_KEYS = {"framework_version": "interop:framework_version_key", "backend_version": "interop:backend_version_key"}


def filter_of(query: Query) -> Document | None:
    """Return the CQL2 JSON for all of a query that STAC has no parameter for, or a part that finds no less."""
    conditions: list[Any] = [] if query.filter is None else [parse(query.filter)]
    for field, name in EQUAL_FIELDS.items():
        if (wanted := getattr(query, field)) is not None:
            spelled = spellings(wanted) if field == "framework" else (wanted,)
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
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    return {"op": "and", "args": conditions}


# What every STAC API can be asked.
CORE = frozenset({"ids", "collections", "bbox", "datetime", "intersects"})


def residual(query: Query, *, core: bool = False) -> Query | None:
    """Return the part of a query that only :meth:`Query.matches` decides, None when there is none.

    Parameters
    ----------
    core
        Whether the API is asked for no more than every API can be: other people's may not compare text whatever its
        case, and their items have no sortable versions.
    """
    if core:
        return query.model_copy(update=dict.fromkeys(CORE))
    names = [*VERSION_FIELDS, "runs_with", "runs_within", "alias", "deprecated"]
    left = {name: value for name in names if (value := getattr(query, name)) is not None}
    return Query(**left) if left else None


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
