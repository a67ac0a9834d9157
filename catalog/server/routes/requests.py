"""From the parameters of a request, GET or POST, to a :class:`Query`; what cannot be understood is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson
from pydantic import BaseModel, create_model, model_validator

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql.filters import Filter, parse
from modelstac.catalog.search.sql.paging import sort_keys
from modelstac.catalog.server.stores import filters

MAX_LIMIT = 1_000
_SPATIAL = ("intersects", "equals", "disjoint", "touches", "within", "overlaps", "crosses", "contains")
_TEMPORAL: tuple[str, ...] = ("after", "before", "contains", "disjoint", "during", "equals", "finishedby", "finishes")
_TEMPORAL = (*_TEMPORAL, "intersects", "meets", "metby", "overlappedby", "overlaps", "startedby", "starts")
_OPERATORS = frozenset(
    {"and", "or", "not", "=", "<>", "<", "<=", ">", ">=", "like", "between", "in", "isnull", "casei"}
    | {"+", "-", "*", "/", "^", "%", "div", "a_equals", "a_contains", "a_containedby", "a_overlaps"}
    | {f"s_{name}" for name in _SPATIAL}
    | {f"t_{name}" for name in _TEMPORAL}
)


def objects_only(model: type[BaseModel]) -> Any:
    """Return a model of a request's body that refuses what is no JSON object; stac-pydantic's own expects one."""

    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("a JSON object is needed, sent as application/json")  # noqa: TRY004 - pydantic reports it
        return value

    return create_model(
        model.__name__, __base__=model, __validators__={"check": cast("Any", model_validator(mode="before")(check))}
    )


def query_from(parameters: Mapping[str, Any]) -> Query:
    """Return the query that the parameters ask for.

    Raises
    ------
    InvalidQueryError
        With the name of the parameter.
    """
    given = {name: value for name, value in parameters.items() if value not in (None, [], (), "")}
    if "bbox" in given and "intersects" in given:
        raise InvalidQueryError("bbox, intersects: only one of them can be given")
    fields: dict[str, Any] = {name: given[name] for name in ("ids", "collections", "bbox", "token") if name in given}
    fields["limit"] = min(given.get("limit", 10), MAX_LIMIT)
    fields["sortby"] = tuple(_sort(given.get("sortby", ())))
    fields["fields"] = tuple(_fields(given.get("fields")))
    fields["filter"] = _checked(
        filters.both(
            _filter(given.get("filter_expr"), given.get("filter_lang")),
            filters.from_query(_json("query", given["query"])) if "query" in given else None,
        )
    )
    if "datetime" in given:
        fields["datetime"] = str(given["datetime"])
    if "intersects" in given:
        geometry = given["intersects"]
        fields["intersects"] = geometry.model_dump(mode="json") if hasattr(geometry, "model_dump") else geometry
    if "q" in given:
        fields["text"] = given["q"] if isinstance(given["q"], str) else ",".join(given["q"])
    if place := holds_nul(fields):
        raise InvalidQueryError(f"{place}: a NUL character is in no catalog")
    query = Query(**fields)
    sort_keys(query)  # refuses what cannot be sorted by
    return query


def holds_nul(value: Any, place: str = "") -> str | None:
    """Return where in a value of JSON a NUL character stands, None when there is none."""
    if isinstance(value, str):
        return (place or "the body") if "\0" in value else None
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for name, part in value.items():
            below = f"{place}.{name}" if place else str(name)
            if "\0" in below:
                return below.replace("\0", "\\0")
            if found := holds_nul(part, below):
                return found
    return None


def _filter(value: Any, language: str | None) -> Document | None:
    if value is None:
        return None
    is_text = isinstance(value, str) and language != "cql2-json"
    found = parse(value if is_text else _flat(_json("filter", value)))
    if not isinstance(found, dict):
        raise InvalidQueryError("filter: expected a condition")
    return found


def _flat(expression: Any) -> Any:
    """Return an expression whose BETWEEN has three arguments: drafts of CQL2, still in use, have a list as second."""
    if isinstance(expression, list):
        return [_flat(part) for part in expression]
    if not isinstance(expression, dict) or not isinstance(expression.get("args"), list):
        return expression
    arguments = _flat(expression["args"])
    if expression.get("op") == "between" and len(arguments) == 2 and isinstance(arguments[1], list):
        arguments = [arguments[0], *arguments[1]]
    return expression | {"args": arguments}


def _checked(wanted: Document | None) -> Document | None:
    # Both backends refuse the same: whatever is not known here does not reach PostgreSQL.
    if wanted is not None:
        _check_operators(wanted)
        Filter(wanted, lambda _: "?").conditions()
    return wanted


def _check_operators(expression: Any) -> None:
    if isinstance(expression, dict) and "op" in expression:
        if expression["op"].casefold() not in _OPERATORS:
            raise InvalidQueryError(f"filter: unknown operator or function {expression['op']!r}")
        expression = expression.get("args", [])
    if isinstance(expression, list):
        for part in expression:
            _check_operators(part)


def _json(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except ValueError as error:
        raise InvalidQueryError(f"{name}: no JSON: {error}") from error


def _sort(value: Any) -> Iterable[str]:
    for part in value:
        if isinstance(part, str):
            yield part.strip().removeprefix("+")  # a "+" in a query string arrives as a blank
        else:
            down = str(getattr(part.direction, "value", part.direction)) == "desc"
            yield f"-{part.field}" if down else part.field


def _fields(value: Any) -> Iterable[str]:
    if value is None:
        return ()
    if hasattr(value, "include"):
        return [*sorted(value.include or ()), *(f"-{name}" for name in sorted(value.exclude or ()))]
    return [str(name).strip().removeprefix("+") for name in value]
