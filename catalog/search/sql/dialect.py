"""CQL2 as SQL of SQLite.

At the top level conditions that an index can serve are said once more, plainly.
"""

from __future__ import annotations

import json
from typing import Any

from modelstac.catalog.search.sql.expressions import Expression, geometry_of, operation, pattern_parts
from modelstac.catalog.search.sql.filters import Period, Walk
from modelstac.catalog.search.sql.functions import SPATIAL
from modelstac.catalog.search.sql.indexed import Condition, answered, conjuncts
from modelstac.catalog.search.sql.schema import FOLDED_NAMES, LISTS, ORDERED_NAMES, column_sql, property_sql

_NUMBERS = "('integer', 'real')"


class Filter(Walk):
    """One expression on its way to SQL of SQLite; ``bind`` takes a value and gives its placeholder."""

    def conditions(self) -> list[Condition]:
        """Return the conditions that must all hold."""
        conditions, rest = answered(conjuncts(self._expression), self._bind)
        for expression in rest:
            conditions += [*self._hints(expression), Condition.plain(self._boolean(expression))]
        return conditions

    def _hints(self, expression: Expression) -> list[Condition]:
        if isinstance(expression, bool) or (isinstance(expression, dict) and "property" in expression):
            return []
        operator, arguments = operation(expression)
        if len(arguments) != 2:
            return []
        first, second = arguments
        if isinstance(second, dict) and "property" in second and operator in {"=", *SPATIAL}:
            first, second = second, first
        name = first.get("property", "") if isinstance(first, dict) else ""
        if operator in SPATIAL and operator != "s_disjoint" and name == "geometry" and isinstance(second, dict):
            return [self._box_hint(second)] if "property" not in second else []
        if operator == "=" and name in FOLDED_NAMES and isinstance(second, str):
            hint = f"{column_sql(name)} = {self._bind(second)} COLLATE NOCASE"
            return [Condition(hint, "", f"items WHERE {hint}")]
        plain = isinstance(second, (str, int, float)) and not isinstance(second, bool)
        if operator in {"=", "<", "<=", ">", ">="} and name in ORDERED_NAMES and plain:
            hint = f"{column_sql(name)} {operator} {self._bind(second)}"
            return [Condition(hint, "", f"items WHERE {hint}")]
        return []

    def _box_hint(self, wanted: dict[str, Any]) -> Condition:
        from shapely.geometry import shape

        west, south, east, north = shape(geometry_of(wanted)).bounds
        w, s, e, n = map(self._bind, (west, south, east, north))
        rows = f"boxes WHERE west <= {e} AND east >= {w} AND south <= {n} AND north >= {s}"
        return Condition(f"items.key IN (SELECT item FROM {rows})", "", rows)

    def _any(self, name: str) -> str:
        return property_sql(name)

    def _flag(self, name: str) -> str:
        return f"CASE {_type(name)} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"

    def _text_of(self, name: str) -> str:
        return f"(CASE WHEN {_type(name)} = 'text' THEN {property_sql(name)} END)"

    def _number_of(self, name: str) -> str:
        return f"(CASE WHEN {_type(name)} IN {_NUMBERS} THEN CAST({property_sql(name)} AS REAL) END)"

    def _list_of(self, name: str) -> str:
        if name.removeprefix("properties.") in {"interop:aliases", *LISTS}:
            return property_sql(name)
        return f"(CASE WHEN {_type(name)} = 'array' THEN {property_sql(name)} END)"

    def _moments_of(self, name: str) -> Period:
        sql = property_sql(name)
        return f"ms_first({sql})", f"ms_last({sql})"

    def _item_period(self) -> Period:
        return "items.first", "items.last"

    def _item_geometry(self) -> str:
        return "json_extract(items.document, '$.geometry')"

    def _literal_number(self, value: float) -> str:
        return self._bind(value)

    def _literal_list(self, values: list[Any]) -> str:
        return self._bind(json.dumps(values))

    def _literal_shape(self, geometry: dict[str, Any]) -> str:
        return self._bind(json.dumps(geometry))

    def _literal_truth(self, value: bool) -> str:
        return str(int(value))

    def _folded(self, function: str, text: str) -> str:
        return f"ms_{function}({text})"

    def _calculated(self, operator: str, first: str, second: str) -> str:
        return f"ms_arithmetic({self._bind(operator)}, {first}, {second})"

    def _like(self, text: str, pattern: str) -> str:
        # LIKE of SQLite ignores case and that of CQL2 does not; GLOB heeds it, with other signs.
        signs = {None: "*", "": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
        glob = "".join(signs.get(part, part or "") for part in pattern_parts(pattern))
        return f"({text} GLOB {self._bind(glob)})"

    def _spatial(self, operator: str, first: str, second: str) -> str:
        return f"ms_spatial({self._bind(operator)}, {first}, {second})"

    def _array(self, operator: str, first: str, second: str) -> str:
        return f"ms_array({self._bind(operator)}, {first}, {second})"


def _type(name: str) -> str:
    sql = property_sql(name)
    return sql.replace("json_extract(", "json_type(", 1) if sql.startswith("json_extract(") else f"typeof({sql})"
