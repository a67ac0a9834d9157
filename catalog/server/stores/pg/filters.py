"""CQL2 as SQL of PostgreSQL over pgstac's table of items: the same walk as SQLite's, in the other dialect.

pgstac's own translation is not used: it turns a box over the antimeridian round, compares numbers as text where no
queryable says otherwise, and ends in errors of the database for a property alone (docs/catalogs.md).
"""

from __future__ import annotations

import json
from typing import Any

from modelstac.catalog.search.sql.expressions import Expression, operation, pattern_parts
from modelstac.catalog.search.sql.filters import Period, Walk
from modelstac.catalog.search.sql.functions import SPATIAL
from modelstac.catalog.search.sql.indexed import conjuncts
from modelstac.catalog.server.stores.pg.indexed import answered, stock_sql
from modelstac.catalog.server.stores.pg.properties import number_in, property_json, text_of
from modelstac.catalog.server.stores.queryables import INDEXED

_GEOMETRY = "items.geometry"
# A geometry that crosses itself, which footprints do, is an error of PostGIS, for whoever searches.
_VALID = f"CASE WHEN ST_IsValid({_GEOMETRY}) THEN {_GEOMETRY} ELSE ST_CollectionExtract(ST_MakeValid({_GEOMETRY})) END"
_SPATIAL = {name: f"ST_{function.capitalize()}" for name, function in SPATIAL.items()}

# Of two lists, whether each of the first is among the second.
_AMONG = (
    "NOT EXISTS (SELECT FROM jsonb_array_elements({0}) AS one (value) "
    "WHERE one.value NOT IN (SELECT value FROM jsonb_array_elements({1})))"
)
_ARRAYS = {
    "a_containedby": _AMONG.format("{0}", "{1}"),
    "a_contains": _AMONG.format("{1}", "{0}"),
    "a_equals": f"{_AMONG.format('{0}', '{1}')} AND {_AMONG.format('{1}', '{0}')}",
    "a_overlaps": (
        "EXISTS (SELECT FROM jsonb_array_elements({0}) AS one (value) "
        "WHERE one.value IN (SELECT value FROM jsonb_array_elements({1})))"
    ),
}


class PgFilter(Walk):
    """One expression on its way to SQL of PostgreSQL; ``bind`` takes a value and gives its placeholder, with a type."""

    def conditions(self) -> list[str]:
        """Return the conditions that must all hold, those that indexes answer or help with first."""
        conditions, rest = answered(conjuncts(self._expression), self._bind)
        hints = [hint for expression in rest if (hint := self._hint(expression)) is not None]
        return [*conditions, *hints, *map(self._boolean, rest)]

    def _hint(self, expression: Expression) -> str | None:
        if not isinstance(expression, dict) or "op" not in expression:
            return None
        operator, arguments = operation(expression)
        if operator != "=" or len(arguments) != 2:
            return None
        first, second = arguments
        if isinstance(first, str):
            first, second = second, first
        name = first.get("property", "") if isinstance(first, dict) else ""
        if not isinstance(second, str) or name not in {"id", "collection", *INDEXED}:
            return None
        if name in {"id", "collection"}:
            return f"items.{name} = {self._bind(second)}"
        return f"{stock_sql(name)} = {self._bind(second)}"

    def _any(self, name: str) -> str:
        return f"nullif({property_json(name)}, 'null')"

    def _flag(self, name: str) -> str:
        return f"(CASE {property_json(name)} WHEN 'true' THEN true WHEN 'false' THEN false END)"

    def _text_of(self, name: str) -> str:
        return text_of(name)

    def _number_of(self, name: str) -> str:
        return f"({number_in(property_json(name))})::float8"

    def _list_of(self, name: str) -> str:
        found = property_json(name)
        return f"(CASE jsonb_typeof({found}) WHEN 'array' THEN {found} END)"

    def _moments_of(self, name: str) -> Period:
        text = text_of(name)
        return f"modelstac.first_moment({text})", f"modelstac.last_moment({text})"

    def _item_period(self) -> Period:
        moment = "(extract(epoch FROM items.{}) * 1000000)::bigint"
        return moment.format("datetime"), moment.format("end_datetime")

    def _item_geometry(self) -> str:
        return _GEOMETRY

    def _literal_number(self, value: float) -> str:
        return f"{self._bind(repr(value))}::float8"

    def _literal_list(self, values: list[Any]) -> str:
        # PostgreSQL holds a whole number to its last digit, and 2**60 as a float is written with fewer.
        whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
        return f"{self._bind(json.dumps(whole))}::jsonb"

    def _literal_shape(self, geometry: dict[str, Any]) -> str:
        return f"ST_SetSRID(ST_GeomFromGeoJSON({self._bind(json.dumps(geometry))}), 4326)"

    def _literal_truth(self, value: bool) -> str:
        return str(value).lower()

    def _folded(self, function: str, text: str) -> str:
        return f'modelstac.{function}({text}) COLLATE "C"'

    def _calculated(self, operator: str, first: str, second: str) -> str:
        return f"modelstac.calculated({self._bind(operator)}, ({first})::float8, ({second})::float8)"

    def _like(self, text: str, pattern: str) -> str:
        signs = {None: "%", "": "_", "%": "\\%", "_": "\\_", "\\": "\\\\"}
        like = "".join(signs.get(part, part or "") for part in pattern_parts(pattern))
        return f"({text} LIKE {self._bind(like)})"

    def _spatial(self, operator: str, first: str, second: str) -> str:
        judged = [f"({_VALID})" if side == _GEOMETRY else side for side in (first, second)]
        # The boxes are asked first, for which there is an index.
        near = "" if operator == "s_disjoint" else f"{first} && {second} AND "
        return f"({near}{_SPATIAL[operator]}({', '.join(judged)}))"

    def _array(self, operator: str, first: str, second: str) -> str:
        known = f"{first} IS NOT NULL AND {second} IS NOT NULL"
        return f"(CASE WHEN {known} THEN {_ARRAYS[operator].format(first, second)} END)"
