"""CQL2, parsed by the ``cql2`` package, as parameterised SQL (OGC 21-065r2: basic, spatial, temporal, array, casei).

Comparisons of what cannot be compared (a text with a number, a property that is missing) are null, as in SQL, and a
filter that is null does not match. At the top level conditions that an index can serve are said once more, plainly.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.search.sql.functions import ARITHMETIC, ARRAYS, SPATIAL, microseconds
from modelstac.catalog.search.sql.indexed import answered, conjuncts
from modelstac.catalog.search.sql.schema import FOLDED_NAMES, ORDERED_NAMES, path_sql, property_sql

Expression = Any
Bind = Callable[[Any], str]

MAX_LENGTH = 20_000
MAX_DEPTH = 60
_COMPARISONS = {"=": "=", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_EVER = {"start": -(2**62), "end": 2**62}

# Of first and last moment, a.0 a.1 and b.0 b.1 (OGC 21-065r2, table 12).
_TEMPORAL = {
    "t_after": "{a0} > {b1}",
    "t_before": "{a1} < {b0}",
    "t_contains": "{a0} < {b0} AND {a1} > {b1}",
    "t_disjoint": "{a1} < {b0} OR {a0} > {b1}",
    "t_during": "{a0} > {b0} AND {a1} < {b1}",
    "t_equals": "{a0} = {b0} AND {a1} = {b1}",
    "t_finishedby": "{a0} < {b0} AND {a1} = {b1}",
    "t_finishes": "{a0} > {b0} AND {a1} = {b1}",
    "t_intersects": "{a0} <= {b1} AND {a1} >= {b0}",
    "t_meets": "{a1} = {b0}",
    "t_metby": "{a0} = {b1}",
    "t_overlappedby": "{a0} > {b0} AND {a0} < {b1} AND {a1} > {b1}",
    "t_overlaps": "{a0} < {b0} AND {a1} > {b0} AND {a1} < {b1}",
    "t_startedby": "{a0} = {b0} AND {a1} > {b1}",
    "t_starts": "{a0} = {b0} AND {a1} < {b1}",
}
_CONDITIONS = {"and", "or", "not", "isnull", "between", "in", "like", *_COMPARISONS, *_TEMPORAL, *SPATIAL, *ARRAYS}


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


class Filter:
    """One expression on its way to SQL; ``bind`` takes a value and gives its placeholder."""

    def __init__(self, wanted: str | dict[str, Any], bind: Bind) -> None:
        self._expression = parse(wanted)
        self._bind = bind

    def conditions(self) -> list[str]:
        """Return the conditions that must all hold."""
        conditions, rest = answered(conjuncts(self._expression), self._bind)
        for expression in rest:
            conditions += [*self._hints(expression), self._boolean(expression)]
        return conditions

    def _hints(self, expression: Expression) -> list[str]:
        if isinstance(expression, bool) or (isinstance(expression, dict) and "property" in expression):
            return []
        operator, arguments = _operation(expression)
        if len(arguments) != 2:
            return []
        first, second = arguments
        if isinstance(second, dict) and "property" in second and operator in {"=", *SPATIAL}:
            first, second = second, first
        name = first.get("property", "") if isinstance(first, dict) else ""
        if operator in SPATIAL and operator != "s_disjoint" and name == "geometry" and isinstance(second, dict):
            return [self._box_hint(second)]
        if operator == "=" and name in FOLDED_NAMES and isinstance(second, str):
            return [f"{path_sql(name)} = {self._bind(second)} COLLATE NOCASE"]
        plain = isinstance(second, (str, int, float)) and not isinstance(second, bool)
        if operator in {"=", "<", "<=", ">", ">="} and name in ORDERED_NAMES and plain:
            return [f"{path_sql(name)} {operator} {self._bind(second)}"]
        return []

    def _box_hint(self, wanted: dict[str, Any]) -> str:
        from shapely.geometry import shape

        west, south, east, north = shape(_geometry(wanted)).bounds
        w, s, e, n = map(self._bind, (west, south, east, north))
        return (
            f"items.key IN (SELECT item FROM boxes WHERE west <= {e} AND east >= {w} AND south <= {n} AND north >= {s})"
        )

    def _boolean(self, expression: Expression) -> str:
        if isinstance(expression, bool):
            return str(int(expression))
        if isinstance(expression, dict) and "property" in expression:
            name = str(expression["property"])
            return f"CASE {self._type(name)} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
        operator, arguments = _operation(expression)
        count = len(arguments)
        if operator in {"and", "or"} and count:
            return "(" + f" {operator.upper()} ".join(self._boolean(a) for a in arguments) + ")"
        if operator == "not" and count == 1:
            return f"(NOT {self._boolean(arguments[0])})"
        if operator == "isnull" and count == 1:
            return f"({self._any(arguments[0])} IS NULL)"
        if operator == "between" and count == 3:
            low = self._compare(">=", arguments[0], arguments[1])
            return self._decided(arguments[0], f"{low} AND {self._compare('<=', arguments[0], arguments[2])}")
        if operator == "in" and count == 2 and isinstance(arguments[1], list):
            same = " OR ".join(self._compare("=", arguments[0], value) for value in arguments[1])
            return self._decided(arguments[0], same or "0")
        if count == 2:
            return self._pair(operator, *arguments)
        raise InvalidQueryError(_unknown(operator, count))

    def _decided(self, first: Expression, condition: str) -> str:
        # As the cql2 package has it: what is there and of another kind is surely not among these.
        return f"(CASE WHEN {self._any(first)} IS NOT NULL THEN coalesce({condition}, 0) END)"

    def _pair(self, operator: str, first: Expression, second: Expression) -> str:
        if operator in _COMPARISONS:
            return self._compare(operator, first, second)
        if operator == "like" and isinstance(pattern := _literal_text(second), str):
            text = self._text(first)
            glob = self._bind(_glob(pattern))
            if isinstance(second, dict):  # casei('…') of the pattern folds it as it does the property
                glob = self._bind(_glob(pattern.casefold() if second["op"] == "casei" else pattern))
            return f"({text} GLOB {glob})"
        if operator in SPATIAL:
            return f"ms_spatial({self._bind(operator)}, {self._shape(first)}, {self._shape(second)})"
        if operator in ARRAYS:
            return f"ms_array({self._bind(operator)}, {self._list(first)}, {self._list(second)})"
        if operator in _TEMPORAL:
            (a0, a1), (b0, b1) = self._period(first), self._period(second)
            return "(" + _TEMPORAL[operator].format(a0=a0, a1=a1, b0=b0, b1=b1) + ")"
        raise InvalidQueryError(_unknown(operator, 2))

    def _compare(self, operator: str, first: Expression, second: Expression) -> str:
        kinds = {_kind(first), _kind(second)} - {"any"}
        if len(kinds) > 1:
            return "NULL"
        if not kinds:
            one, other = self._any(first), self._any(second)
            same = f"(typeof({one}) = 'text') = (typeof({other}) = 'text')"
            return f"(CASE WHEN {same} THEN {one} {operator} {other} END)"
        read = {"text": self._text, "number": self._number, "time": self._time, "truth": self._truth}[kinds.pop()]
        return f"({read(first)} {operator} {read(second)})"

    def _any(self, expression: Expression) -> str:
        if isinstance(expression, dict) and "property" in expression:
            name = str(expression["property"])
            return "json_extract(items.document, '$.geometry')" if name == "geometry" else property_sql(name)
        kind = _kind(expression)
        return self._number(expression) if kind == "number" else self._text(expression)

    def _text(self, expression: Expression) -> str:
        if isinstance(expression, str):
            return self._bind(expression)
        if isinstance(expression, dict) and "property" in expression:
            sql = property_sql(str(expression["property"]))
            return f"(CASE WHEN typeof({sql}) = 'text' THEN {sql} END)"
        operator, arguments = _operation(expression)
        if operator in {"casei", "accenti"} and len(arguments) == 1:
            return f"ms_{operator}({self._text(arguments[0])})"
        raise InvalidQueryError(_unknown(operator, len(arguments)))

    def _number(self, expression: Expression) -> str:
        if isinstance(expression, (int, float)) and not isinstance(expression, bool):
            return self._bind(float(expression))
        if isinstance(expression, dict) and "property" in expression:
            name = str(expression["property"])
            return f"(CASE WHEN {self._type(name)} IN ('integer', 'real') THEN {property_sql(name)} END)"
        operator, arguments = _operation(expression)
        if operator in ARITHMETIC and len(arguments) == 2:
            first, second = map(self._number, arguments)
            return f"ms_arithmetic({self._bind(operator)}, {first}, {second})"
        raise InvalidQueryError(_unknown(operator, len(arguments)))

    def _truth(self, expression: Expression) -> str:
        return self._boolean(expression)

    def _time(self, expression: Expression) -> str:
        if isinstance(expression, dict) and "property" in expression:
            return f"ms_time({property_sql(str(expression['property']))})"
        text = expression
        if isinstance(expression, dict):
            text = expression.get("timestamp") or expression.get("date")
        moment = microseconds(text)
        if moment is None:
            raise InvalidQueryError(f"{str(text)[:60]!r} is no time: something like 2010-08-26T00:00:00Z is needed")
        return self._bind(moment)

    def _period(self, expression: Expression) -> tuple[str, str]:
        parts = expression.get("interval") if isinstance(expression, dict) else None
        if parts is None:
            moment = self._time(expression)
            return moment, moment
        if not isinstance(parts, list) or len(parts) != 2:
            raise InvalidQueryError("an interval has two ends, such as INTERVAL('2010-08-26', '..')")
        ends = zip(parts, _EVER.values(), strict=True)
        start, end = (self._bind(ever) if part in ("", "..") else self._time(part) for part, ever in ends)
        return start, end

    def _shape(self, expression: Expression) -> str:
        if isinstance(expression, dict) and "property" in expression:
            if expression["property"] != "geometry":
                raise InvalidQueryError(f"property {str(expression['property'])[:60]!r} is no geometry: 'geometry' is")
            return "json_extract(items.document, '$.geometry')"
        return self._bind(json.dumps(_geometry(expression)))

    def _list(self, expression: Expression) -> str:
        if isinstance(expression, dict) and "property" in expression:
            name = str(expression["property"])
            if name.removeprefix("properties.") == "interop:aliases":
                return property_sql(name)
            return f"(CASE WHEN {self._type(name)} = 'array' THEN {property_sql(name)} END)"
        if isinstance(expression, list) and all(isinstance(v, (str, int, float)) for v in expression):
            return self._bind(json.dumps(expression))
        raise InvalidQueryError("arrays are compared with a list of texts or numbers, such as ('a', 'b')")

    def _type(self, name: str) -> str:
        sql = property_sql(name)
        return sql.replace("json_extract(", "json_type(", 1) if sql.startswith("json_extract(") else f"typeof({sql})"


def _operation(expression: Expression) -> tuple[str, list[Expression]]:
    if isinstance(expression, dict) and "op" in expression and isinstance(expression.get("args"), list):
        return str(expression["op"]).lower(), expression["args"]
    raise InvalidQueryError(f"{str(expression)[:60]!r} is no condition of CQL2")


def _kind(expression: Expression) -> str:
    if isinstance(expression, bool):
        return "truth"
    if isinstance(expression, (int, float)):
        return "number"
    if isinstance(expression, str):
        return "text"
    if isinstance(expression, dict):
        if "property" in expression:
            return "any"
        if "timestamp" in expression or "date" in expression:
            return "time"
        operator = str(expression.get("op", "")).lower()
        if operator in ARITHMETIC:
            return "number"
        if operator in {"casei", "accenti"}:
            return "text"
        if operator in _CONDITIONS:
            return "truth"
        if operator:
            raise InvalidQueryError(_unknown(operator, len(expression.get("args") or ())))
    raise InvalidQueryError(f"{str(expression)[:60]!r} cannot be compared")


def _literal_text(expression: Expression) -> str | None:
    if isinstance(expression, str):
        return expression
    if isinstance(expression, dict) and expression.get("op") in {"casei", "accenti"}:
        return _literal_text(expression["args"][0])
    return None


def _glob(pattern: str) -> str:
    # LIKE of SQLite ignores case and that of CQL2 does not; GLOB heeds it, with other signs.
    glob, escaped = "", False
    for character in pattern:
        if not escaped and character == "\\":
            escaped = True
            continue
        if not escaped and character in "%_":
            glob += "*" if character == "%" else "?"
        else:
            glob += f"[{character}]" if character in "*?[" else character
        escaped = False
    return glob


def _geometry(expression: Expression) -> dict[str, Any]:
    from shapely.errors import ShapelyError
    from shapely.geometry import box, mapping, shape

    try:
        if "bbox" in expression and "type" not in expression:
            numbers = expression["bbox"]
            half = len(numbers) // 2
            return dict(mapping(box(numbers[0], numbers[1], numbers[half], numbers[half + 1])))
        shape(expression)
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise InvalidQueryError(f"{str(expression)[:60]!r} is no geometry: GeoJSON or WKT is needed") from error
    return dict(expression)


def _unknown(operator: str, arguments: int) -> str:
    return f"the function {operator[:40]!r} with {arguments} arguments is none of those known: see docs/search.md"
