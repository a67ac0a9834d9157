"""From the parameters of a request, GET or POST, to a :class:`Query`; what cannot be understood is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson
from fastapi import Request
from pydantic import BaseModel, create_model, model_validator

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.ranges import nearest
from modelstac.catalog.search.sql.dialect import Filter
from modelstac.catalog.search.sql.expressions import parse
from modelstac.catalog.search.sql.paging import sort_keys
from modelstac.catalog.server.stores import filters

MAX_LIMIT = 1_000
# More than anybody asks for in one request; what a list or a text may cost is bounded by them.
MOST = {"ids": 10_000, "collections": 10_000, "fields": 500, "sortby": 20, "aggregations": 50, "query": 100}
LONGEST = {"q": 2_000, "datetime": 200, "token": 20_000, "query": 20_000, "intersects": 400_000, "filter_expr": 400_000}
MOST_WORDS, MOST_POSITIONS, LONGEST_NAME = 50, 10_000, 500
_SYSTEMS = ("CRS84", "CRS84h")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d([.]\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_BLANK = re.compile(r"(?<=\d) (?=\d\d:\d\d(?:/|$))", re.ASCII)  # a "+" in a query string arrives as a blank
_SPATIAL = ("intersects", "equals", "disjoint", "touches", "within", "overlaps", "crosses", "contains")
_TEMPORAL: tuple[str, ...] = ("after", "before", "contains", "disjoint", "during", "equals", "finishedby", "finishes")
_TEMPORAL = (*_TEMPORAL, "intersects", "meets", "metby", "overlappedby", "overlaps", "startedby", "starts")
_OPERATORS = frozenset(
    {"and", "or", "not", "=", "<>", "<", "<=", ">", ">=", "like", "between", "in", "isnull", "casei", "accenti"}
    | {"+", "-", "*", "/", "^", "%", "div", "a_equals", "a_contains", "a_containedby", "a_overlaps"}
    | {f"s_{name}" for name in _SPATIAL}
    | {f"t_{name}" for name in _TEMPORAL}
)


def objects_only(model: type[BaseModel]) -> Any:
    """Return a model of a request's body that refuses what is no JSON object, and what nothing here reads of it."""
    known = {field.alias or name for name, field in model.model_fields.items()}

    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("a JSON object is needed, sent as application/json")  # noqa: TRY004 - pydantic reports it
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("half of a character (a surrogate alone) is in no catalog") from error
        asked = {name: found for name, found in value.items() if (name, found) != ("page", 1)}  # of EODAG 3: the first
        for name in asked.keys() - known:
            raise ValueError(_undeclared(name, known))
        return asked

    return create_model(
        model.__name__, __base__=model, __validators__={"check": cast("Any", model_validator(mode="before")(check))}
    )


def query_from(parameters: Mapping[str, Any], request: Request) -> Query:
    """Return the query that the parameters ask for; a list of ids or collections without any asks for none.

    Raises
    ------
    InvalidQueryError
        With the name of the parameter. Of a GET, what the route declares no parameter for is refused, too: a search
        without it would find more than was asked for (OGC API - Features, /req/core/query-param-unknown).
    """
    if request.method == "GET" and request.query_params:
        said = request.app.openapi()["paths"][request.scope["route"].path]["get"]["parameters"]
        declared = {parameter["name"] for parameter in said if parameter["in"] == "query"}
        for name in request.query_params.keys() - declared:
            raise InvalidQueryError(_undeclared(name, declared))
    given = {name: value for name, value in parameters.items() if value not in (None, [], (), "")}
    given |= {name: () for name in ("ids", "collections") if parameters.get(name) in ([], ())}
    _refuse_too_much(given)
    if "bbox" in given and "intersects" in given:
        raise InvalidQueryError("bbox, intersects: only one of them can be given")
    if (system := given.get("filter_crs")) is not None and str(system).rpartition("/")[2] not in _SYSTEMS:
        raise InvalidQueryError(f"filter-crs: {str(system)[:80]!r} is not understood: give positions in CRS84, degrees")
    fields: dict[str, Any] = {name: given[name] for name in ("ids", "collections", "bbox", "token") if name in given}
    if isinstance(box := fields.get("bbox"), str):
        fields["bbox"] = box.split(",")
    fields["limit"] = min(given.get("limit", 10), MAX_LIMIT)
    fields["sortby"] = tuple(_sort(given.get("sortby", ())))
    fields["fields"] = tuple(_fields(given.get("fields")))
    fields["filter"] = _checked(
        filters.both(
            _filter(given.get("filter_expr"), given.get("filter_lang")),
            filters.from_query(_queried(given["query"])) if "query" in given else None,
        )
    )
    if parameters.get("datetime") is not None:
        fields["datetime"] = _moments(parameters["datetime"])
    if "intersects" in given:
        fields["intersects"] = given["intersects"]
        if _positions(fields["intersects"]) > MOST_POSITIONS:
            raise InvalidQueryError(f"intersects: more than {MOST_POSITIONS} positions: ask with a simpler geometry")
    if "q" in given:
        fields["text"] = given["q"] if isinstance(given["q"], str) else ",".join(given["q"])
    if place := holds_nul(fields):
        raise InvalidQueryError(f"{place}: a NUL character is in no catalog")
    query = Query(**fields)
    sort_keys(query)  # refuses what cannot be sorted by
    return query


def _undeclared(name: str, known: Iterable[str]) -> str:
    return f"{name[:60]!r} is no parameter of this search{nearest(name[:60], known)}"


def _refuse_too_much(given: Mapping[str, Any]) -> None:
    """Refuse lists and texts that are longer than anybody needs, before anything is made of them."""
    for parameter, value in given.items():
        name = parameter.removesuffix("_expr")
        if (most := LONGEST.get(parameter)) and isinstance(value, str) and len(value) > most:
            raise InvalidQueryError(f"{name}: longer than {most} characters: ask for less")
        many = MOST.get(name)
        listed = [*(getattr(value, "include", None) or ()), *(getattr(value, "exclude", None) or ())] or value
        if many is None or not isinstance(listed, (list, tuple, set, dict)):
            continue
        if len(listed) > many:
            raise InvalidQueryError(f"{name}: more than {many}: ask for less, in several requests")
        if any(isinstance(part, str) and len(part) > LONGEST_NAME for part in listed):
            raise InvalidQueryError(f"{name}: one is longer than {LONGEST_NAME} characters")
    said = given.get("q", ())
    text = said if isinstance(said, str) else ",".join(map(str, said))
    if len(text) > LONGEST["q"] or len(text.replace(",", " ").split()) > MOST_WORDS:
        raise InvalidQueryError(f"q: more than {MOST_WORDS} words, or {LONGEST['q']} characters: ask for less")


def _moments(text: str) -> str:
    """Refuse what the standard of the API does, and our own searches read: days, months, and no end at all."""
    text = _BLANK.sub("+", text)
    ends = [end for end in text.split("/") if end not in {"", ".."}]
    if text.count("/") > 1 or not ends or not all(map(_MOMENT.fullmatch, ends)):
        raise InvalidQueryError(
            f"datetime: {text!r} is no moment of RFC 3339, nor two of them: something like 2020-06-05T00:00:00Z or "
            "2020-06-01T00:00:00Z/.. is needed"
        )
    return text


def _positions(geometry: Any) -> int:
    """Return how many positions a geometry has, about."""
    if isinstance(geometry, str):
        return geometry.count("[")
    if isinstance(geometry, dict):
        return sum(_positions(geometry.get(name)) for name in ("coordinates", "geometries"))
    if isinstance(geometry, (list, tuple)):
        flat = bool(geometry) and all(isinstance(part, (int, float)) for part in geometry)
        return 1 if flat else sum(map(_positions, geometry))
    return 0


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
    wanted = value if is_text else _flat(_json("filter", value))
    found = wanted if isinstance(wanted, bool) else parse(wanted)
    if isinstance(found, bool):
        return {"op": "and", "args": [found, found]}
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


def _queried(value: Any) -> Any:
    found = _json("query", value)
    if isinstance(found, dict) and len(orjson.dumps(found)) > LONGEST["query"]:
        raise InvalidQueryError(f"query: longer than {LONGEST['query']} characters: ask for less")
    return found


def _sort(value: Any) -> Iterable[str]:
    for part in value.split(",") if isinstance(value, str) else value:
        if isinstance(part, str):
            name = part.strip().removeprefix("+")  # a "+" in a query string arrives as a blank
            if not name.removeprefix("-"):
                raise InvalidQueryError("sortby: a name is missing: something like -properties.datetime,id is needed")
            yield name
        else:
            down = str(getattr(part.direction, "value", part.direction)) == "desc"
            yield f"-{part.field}" if down else part.field


def _fields(value: Any) -> Iterable[str]:
    if value is None:
        return ()
    if hasattr(value, "include"):
        return [*sorted(value.include or ()), *(f"-{name}" for name in sorted(value.exclude or ()))]
    return [str(name).strip().removeprefix("+") for name in value]
