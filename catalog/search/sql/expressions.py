"""Expressions of CQL2 as JSON, parsed by the ``cql2`` package: their parts, their literals and what they may not be."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.geometry import box_geometry, check_bbox, check_searched, cut, valid
from modelstac.catalog.later import needing
from modelstac.catalog.search.sql.functions import FOLDS

Expression = Any

MAX_LENGTH = 20_000
MAX_DEPTH = 60


def parse(wanted: str | dict[str, Any]) -> Expression:
    """Return an expression of CQL2, text or JSON, as JSON.

    Raises
    ------
    InvalidQueryError
        If it is none, or larger or deeper than anybody writes.
    """
    try:
        text = wanted if isinstance(wanted, str) else json.dumps(wanted, allow_nan=False)
    except ValueError as error:
        raise InvalidQueryError("the filter holds NaN or an infinite number, which JSON does not have") from error
    return _parsed(text, is_json=not isinstance(wanted, str))


# A request is checked before it is searched for, and the same searches come again.
@lru_cache(maxsize=256)
def _parsed(text: str, *, is_json: bool) -> Expression:
    with needing("a filter"):
        import cql2

    # Counted before it is parsed: the parser recurses.
    if len(text) > MAX_LENGTH:
        raise InvalidQueryError(f"the filter is longer than {MAX_LENGTH} characters: ask for less")
    if _depth(text) > MAX_DEPTH:
        raise InvalidQueryError(f"the filter is nested deeper than {MAX_DEPTH} levels: ask for less")
    try:
        parsed = cql2.Expr(json.loads(text) if is_json else text).to_json()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidQueryError(f"the filter is no CQL2: {reason}") from error
    # "1 + 1 + …" nests without a bracket.
    level, depth = [parsed], 0
    while level:
        level = [child for node in level if isinstance(node, dict) for child in node.get("args") or ()]
        depth += 1
    if depth > 4 * MAX_DEPTH:
        raise InvalidQueryError(f"the filter is nested deeper than {4 * MAX_DEPTH} levels: ask for less")
    return parsed


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    # "NOT NOT NOT …" nests without a bracket.
    return max(deepest, text.lower().count("not "))


def property_name(expression: Expression) -> str | None:
    """Return the name of the property that an expression is, None for anything else."""
    return str(expression["property"]) if isinstance(expression, dict) and "property" in expression else None


def operation(expression: Expression) -> tuple[str, list[Expression]]:
    """Return the operator of an expression, in small letters, and its arguments."""
    if isinstance(expression, dict) and "op" in expression and isinstance(expression.get("args"), list):
        return str(expression["op"]).lower(), expression["args"]
    raise InvalidQueryError(f"{str(expression)[:60]!r} is no condition of CQL2")


def literal_text(expression: Expression) -> str | None:
    """Return a text, folded where the expression says so; None for what is no text itself."""
    if isinstance(expression, str):
        return expression
    if isinstance(expression, dict) and "op" in expression:
        operator, arguments = operation(expression)
        if operator in FOLDS and len(arguments) == 1 and (inner := literal_text(arguments[0])) is not None:
            return FOLDS[operator](inner)
    return None


def pattern_parts(pattern: str) -> list[str | None]:
    """Return the characters of a pattern of LIKE, with None for any text and "" for any one character."""
    parts: list[str | None] = []
    escaped = False
    for character in pattern:
        if not escaped and character == "\\":
            escaped = True
            continue
        parts.append({"%": None, "_": ""}.get(character, character) if not escaped else character)
        escaped = False
    return parts


def geometry_of(expression: Expression) -> dict[str, Any]:
    """Return a literal of CQL2 (a geometry, a box) as GeoJSON that is valid, and cut at the antimeridian.

    Raises
    ------
    InvalidQueryError
        If it is none, or not in degrees.
    """
    with needing("a search by geometry"):
        from shapely.errors import ShapelyError
        from shapely.geometry import mapping, shape

    try:
        if "bbox" in expression and "type" not in expression:
            check_bbox(expression["bbox"])
            found = box_geometry(expression["bbox"])
        else:
            found = cut(check_searched(expression))
        judged = shape(found)
        return found if judged.is_valid else dict(mapping(valid(judged)))
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise InvalidQueryError(
            f"{str(expression)[:60]!r} is no geometry in degrees: GeoJSON or WKT is needed, longitudes from -180 to 180"
        ) from error


def unknown(operator: str, arguments: int) -> str:
    """Return the message about a function that nobody knows."""
    return f"the function {operator[:40]!r} with {arguments} arguments is none of those known: see docs/catalogs.md"
