"""CQL2, parsed by the ``cql2`` package, as parameterised SQL (OGC 21-065r2: basic, spatial, temporal, array, casei).

One walk through the expression, which says what it means (docs/decisions/0024-one-meaning-of-a-search.md), for every
database; how that one says the little below it is its dialect's: :class:`modelstac.catalog.search.sql.dialect.Filter`
for SQLite. Comparisons of what cannot be compared (a text with a number, a property that is missing) are null, as in
SQL, and a filter that is null does not match, nor does its NOT.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.search.sql.expressions import (
    Expression,
    geometry_of,
    literal_text,
    operation,
    parse,
    property_name,
    unknown,
)
from modelstac.catalog.search.sql.functions import ARITHMETIC, ARRAYS, FOLDS, SPATIAL, casei, microseconds
from modelstac.catalog.search.sql.schema import LISTS
from modelstac.catalog.times import first_and_last

Bind = Callable[[Any], str]

_COMPARISONS = {"=": "=", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_ALWAYS = (-(2**62), 2**62)
Period = tuple[str, str]
"""The SQL of a first and a last moment."""

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


# What is compared may be a moment or a day: one is less than another when all of it is before.
_ORDER = {
    "=": "{a1} >= {b0} AND {a0} <= {b1}",
    "<>": "{a1} < {b0} OR {a0} > {b1}",
    "<": "{a1} < {b0}",
    "<=": "{a0} <= {b1}",
    ">": "{a0} > {b1}",
    ">=": "{a1} >= {b0}",
}


class Walk(ABC):
    """One expression on its way to SQL.

    Parameters
    ----------
    wanted
        The expression, as text or JSON.
    bind
        Takes a value (text, number) and gives its placeholder.
    """

    def __init__(self, wanted: str | dict[str, Any], bind: Bind) -> None:
        self._expression = parse(wanted)
        self._bind = bind

    def condition(self) -> str:
        """Return the condition as one, with no thought of indexes."""
        return self._boolean(self._expression)

    @abstractmethod
    def _any(self, name: str) -> str:
        """Return what is null when a property is missing."""

    @abstractmethod
    def _flag(self, name: str) -> str:
        """Return a property that is true or false, else null."""

    @abstractmethod
    def _text_of(self, name: str) -> str:
        """Return a property that is a text, else null; in an order of code points."""

    @abstractmethod
    def _number_of(self, name: str) -> str:
        """Return a property that is a number, else null."""

    @abstractmethod
    def _list_of(self, name: str) -> str:
        """Return a property that is an array, else null."""

    @abstractmethod
    def _moments_of(self, name: str) -> Period:
        """Return the first and last microsecond of a property that is a time or a day, else null."""

    @abstractmethod
    def _item_period(self) -> Period:
        """Return the first and last microsecond of an item."""

    @abstractmethod
    def _item_geometry(self) -> str:
        """Return the geometry of an item."""

    @abstractmethod
    def _literal_number(self, value: float) -> str: ...

    @abstractmethod
    def _literal_list(self, values: list[Any]) -> str: ...

    @abstractmethod
    def _literal_shape(self, geometry: dict[str, Any]) -> str: ...

    @abstractmethod
    def _literal_truth(self, value: bool) -> str: ...

    @abstractmethod
    def _folded(self, function: str, text: str) -> str:
        """Apply one of :data:`FOLDS` to a text."""

    @abstractmethod
    def _calculated(self, operator: str, first: str, second: str) -> str: ...

    @abstractmethod
    def _like(self, text: str, pattern: str) -> str:
        """Tell whether a text is like a pattern, whatever follows a backslash being itself."""

    @abstractmethod
    def _spatial(self, operator: str, first: str, second: str) -> str: ...

    @abstractmethod
    def _array(self, operator: str, first: str, second: str) -> str: ...

    def _boolean(self, expression: Expression) -> str:
        if isinstance(expression, bool):
            return self._literal_truth(expression)
        if (name := property_name(expression)) is not None:
            return self._flag(name)
        operator, arguments = operation(expression)
        count = len(arguments)
        if operator in {"and", "or"} and count:
            return "(" + f" {operator.upper()} ".join(self._boolean(a) for a in arguments) + ")"
        if operator == "not" and count == 1:
            return f"(NOT {self._boolean(arguments[0])})"
        if operator == "isnull" and count == 1:
            return f"({self._anything(arguments[0])} IS NULL)"
        if operator == "between" and count == 3:
            low = self._compare(">=", arguments[0], arguments[1])
            return self._decided(arguments[0], f"{low} AND {self._compare('<=', arguments[0], arguments[2])}")
        if operator == "in" and count == 2 and (isinstance(arguments[1], list) or property_name(arguments[1])):
            value, among = arguments[0], arguments[1] if isinstance(arguments[1], list) else [arguments[1]]
            if isinstance(value, str | float | int) and len(among) == 1 and property_name(among[0]) is not None:
                listed = self._pair("a_contains", among[0], [value])  # 'msi' IN instruments: a value of what is a list
                return f"coalesce({listed}, {self._compare('=', value, among[0])})"
            same = " OR ".join(self._compare("=", value, one) for one in among)
            return self._decided(value, same or self._literal_truth(False))
        if count == 2:
            return self._pair(operator, *arguments)
        raise InvalidQueryError(unknown(operator, count))

    def _decided(self, first: Expression, condition: str) -> str:
        # As the cql2 package has it: what is there and of another kind is surely not among these.
        no = self._literal_truth(False)
        return f"(CASE WHEN {self._anything(first)} IS NOT NULL THEN coalesce(({condition}), {no}) END)"

    def _pair(self, operator: str, first: Expression, second: Expression) -> str:
        if operator in _COMPARISONS:
            return self._compare(operator, first, second)
        if operator == "like" and (pattern := literal_text(second)) is not None:
            return self._like(self._text(first), pattern)
        if operator in SPATIAL:
            return self._spatial(operator, self._shape(first), self._shape(second))
        if operator in ARRAYS:
            first, second = _folded_as(first, second), _folded_as(second, first)
            return self._array(operator, self._list(first), self._list(second))
        if operator in _TEMPORAL:
            return _ordered(_TEMPORAL[operator], self._period(first), self._period(second))
        raise InvalidQueryError(unknown(operator, 2))

    def _compare(self, operator: str, first: Expression, second: Expression) -> str:
        kinds = {_kind(first), _kind(second)} - {"any"}
        if len(kinds) > 1:
            return "NULL"
        if not kinds:
            reads = (self._text, self._number, self._boolean)
            return "coalesce(" + ", ".join(f"{read(first)} {operator} {read(second)}" for read in reads) + ")"
        if kinds == {"time"}:
            return _ordered(_ORDER[operator], self._moments(first), self._moments(second))
        read = {"text": self._text, "number": self._number, "truth": self._boolean}[kinds.pop()]
        return f"({read(first)} {operator} {read(second)})"

    def _anything(self, expression: Expression) -> str:
        if (name := property_name(expression)) is not None:
            return self._item_geometry() if name == "geometry" else self._any(name)
        kind = _kind(expression)
        if kind == "time":
            return self._moments(expression)[0]
        return {"number": self._number, "text": self._text, "truth": self._boolean}[kind](expression)

    def _text(self, expression: Expression) -> str:
        if (literal := literal_text(expression)) is not None:
            return self._bind(literal)
        if (name := property_name(expression)) is not None:
            return self._text_of(name)
        operator, arguments = operation(expression)
        if operator in FOLDS and len(arguments) == 1:
            return self._folded(operator, self._text(arguments[0]))
        raise InvalidQueryError(unknown(operator, len(arguments)))

    def _number(self, expression: Expression) -> str:
        if isinstance(expression, (int, float)) and not isinstance(expression, bool):
            return self._literal_number(float(expression))
        if (name := property_name(expression)) is not None:
            return self._number_of(name)
        operator, arguments = operation(expression)
        if operator in ARITHMETIC and len(arguments) == 2:
            first, second = map(self._number, arguments)
            return self._calculated(operator, first, second)
        raise InvalidQueryError(unknown(operator, len(arguments)))

    def _moments(self, expression: Expression) -> Period:
        if (name := property_name(expression)) is not None:
            return self._moments_of(name)
        text = expression
        if isinstance(expression, dict):
            text = expression.get("timestamp") or expression.get("date")
        try:
            first, last = map(microseconds, first_and_last(text))
        except (AttributeError, OverflowError, TypeError, ValueError) as error:
            reason = f"{str(text)[:60]!r} is no time: something like 2010-08-26T00:00:00Z is needed"
            raise InvalidQueryError(reason) from error
        return self._bind(first), self._bind(last)

    def _period(self, expression: Expression) -> Period:
        parts = expression.get("interval") if isinstance(expression, dict) else None
        if parts is None:
            # A model is of all the time of its data, and "datetime" is the first of it only where things are sorted.
            is_item = (property_name(expression) or "").removeprefix("properties.") == "datetime"
            return self._item_period() if is_item else self._moments(expression)
        if not isinstance(parts, list) or len(parts) != 2:
            raise InvalidQueryError("an interval has two ends, such as INTERVAL('2010-08-26', '..')")
        first, last = (
            self._bind(_ALWAYS[end]) if part in ("", "..") else self._moments(part)[end]
            for end, part in enumerate(parts)
        )
        return first, last

    def _shape(self, expression: Expression) -> str:
        if (name := property_name(expression)) is not None:
            if name != "geometry":
                raise InvalidQueryError(f"property {name[:60]!r} is no geometry: 'geometry' is")
            return self._item_geometry()
        return self._literal_shape(geometry_of(expression))

    def _list(self, expression: Expression) -> str:
        if (name := property_name(expression)) is not None:
            return self._list_of(name)
        if isinstance(expression, list) and all(isinstance(v, (str, int, float)) for v in expression):
            return self._literal_list(expression)
        raise InvalidQueryError("arrays are compared with a list of texts or numbers, such as ('a', 'b')")


def _folded_as(expression: Expression, other: Expression) -> Expression:
    """Write texts without their case where they are compared with a list that has them so."""
    if (property_name(other) or "").removeprefix("properties.") not in LISTS or not isinstance(expression, list):
        return expression
    return [casei(one) if isinstance(one, str) else one for one in expression]


def _ordered(template: str, first: Period, second: Period) -> str:
    (a0, a1), (b0, b1) = first, second
    return "(" + template.format(a0=a0, a1=a1, b0=b0, b1=b1) + ")"


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
        if operator in FOLDS:
            return "text"
        if operator in _CONDITIONS:
            return "truth"
        if operator:
            raise InvalidQueryError(unknown(operator, len(expression.get("args") or ())))
    what = "NULL" if expression is None else repr(str(expression)[:60])
    raise InvalidQueryError(f"{what} cannot be compared{': ask whether it IS NULL' if expression is None else ''}")
