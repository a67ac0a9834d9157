"""What other parameters than ``filter`` ask, written in CQL2 JSON."""

from __future__ import annotations

import math
import re
from typing import Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.search.ranges import rfc3339
from modelstac.catalog.search.sql.functions import TIME
from modelstac.catalog.times import first_and_last

_OPERATORS = {"eq": "=", "neq": "<>", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_PATTERNS = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}


def both(*filters: Document | None) -> Document | None:
    """Return the filter that asks for all that the given ones ask for."""
    return _joined("and", [found for found in filters if found is not None])


def from_query(query: Any) -> Document | None:
    """Return the filter for the ``query`` parameter, such as ``{"mlm:framework": {"eq": "PyTorch"}}``.

    Raises
    ------
    InvalidQueryError
        If it is malformed or uses an unknown operator.
    """
    if not isinstance(query, dict):
        raise InvalidQueryError(f"query: expected an object of property names, found {type(query).__name__}")
    parts: list[Document] = []
    for name, conditions in query.items():
        if not isinstance(conditions, dict):
            raise InvalidQueryError(f"query.{name}: expected an object such as {{'eq': value}}")
        found = [_condition(str(name), str(operator), value) for operator, value in conditions.items()]
        parts += [condition for condition in found if condition is not None]
    return _joined("and", parts)


def _joined(operator: str, filters: list[Document]) -> Document | None:
    if len(filters) < 2:
        return filters[0] if filters else None
    return {"op": operator, "args": filters}


def _condition(name: str, operator: str, value: Any) -> Document | None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidQueryError(f"query.{name}.{operator}: {value} is no number of JSON")
    place = {"property": name}
    if operator in _OPERATORS:
        return _compared(_OPERATORS[operator], place, value)
    if operator == "in" and isinstance(value, list) and value:
        if any(_time(one) for one in value):
            return _joined("or", [found for one in value if (found := _compared("=", place, one)) is not None])
        return {"op": "in", "args": [place, [meant for one in value for meant in _meant(one)]]}
    if operator in _PATTERNS and isinstance(value, str):
        return {"op": "like", "args": [place, _PATTERNS[operator].format(_literal(value))]}
    known = ", ".join([*_OPERATORS, "in", *_PATTERNS])
    raise InvalidQueryError(f"query.{name}.{operator}: unknown operator or unfit value; known: {known}")


def _compared(operator: str, place: Document, value: Any) -> Document | None:
    conditions = [{"op": operator, "args": [place, meant]} for meant in _meant(value)]
    if (time := _time(value)) is None:
        return _joined("or", conditions)
    # A time is compared as one, whatever its zone; with what is no time its text is.
    timed = {"op": operator, "args": [place, time]}
    return {"op": "or", "args": [timed, {"op": "and", "args": [{"op": "isNull", "args": [timed]}, *conditions]}]}


def _meant(value: Any) -> list[Any]:
    """Return a value, and what its text may stand for: pystac-client sends ``query=["foo<100"]`` with "100"."""
    if not isinstance(value, str):
        return [value]
    if value.lower() in {"true", "false"}:
        return [value, value.lower() == "true"]
    return [value, float(value)] if _NUMBER.fullmatch(value) else [value]


def _time(value: Any) -> Document | None:
    """Return the day or moment that a text may stand for: pystac-client sends ``query=["created>2020-06-05"]``."""
    if not isinstance(value, str) or not TIME.fullmatch(value):
        return None
    try:
        first, last = first_and_last(value)
    except (OverflowError, ValueError):
        return None
    return {"date": value} if first < last else {"timestamp": rfc3339(first).replace("+00:00", "Z")}


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
