"""CQL2 as SQL of PostgreSQL over pgstac's table of items: the same walk as SQLite's, in the other dialect.

pgstac's own translation is not used: it turns a box over the antimeridian round, compares numbers as text where no
queryable says otherwise, and ends in errors of the database for a property alone (docs/catalogs.md).
"""

from __future__ import annotations

import json
from typing import Any

from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.search.sql.expressions import Expression, operation, pattern_parts
from modelstac.catalog.search.sql.filters import Period, Walk
from modelstac.catalog.search.sql.functions import SPATIAL
from modelstac.catalog.search.sql.indexed import conjuncts
from modelstac.catalog.search.sql.schema import BANDS, CLASSES, LISTS, SCORES, property_sql, score_of
from modelstac.catalog.server.stores.queryables import INDEXED

PROPERTIES = "LATERAL (SELECT items.content->'properties' AS said OFFSET 0) AS item"
"""What the conditions read, so that a large document is unpacked once for all of them."""
_SPATIAL = {name: f"ST_{function.capitalize()}" for name, function in SPATIAL.items()}

_ALIASES = (
    f"(SELECT jsonb_agg(alias) FROM collections c, jsonb_each_text(c.content->'{ALIASES}') AS found (alias, item) "  # noqa: S608
    "WHERE c.id = items.collection AND found.item = items.id)"
)
# Without their case: names of classes and of bands.
_LISTED = {
    CLASSES: (
        "(SELECT jsonb_agg(DISTINCT modelstac.casei(one.found ->> name.said)) FROM jsonb_path_query({said}, "
        '\'$."mlm:output"[*]."classification:classes"[*]\') AS one (found), '
        "unnest(ARRAY['name', 'title', 'description']) AS name (said) "
        "WHERE jsonb_typeof(one.found -> name.said) = 'string')"
    ),
    BANDS: (
        "(SELECT jsonb_agg(DISTINCT modelstac.casei(coalesce(one.found ->> 'name', one.found #>> '{{}}'))) "
        "FROM (SELECT * FROM "
        "jsonb_path_query({said}, '$.\"mlm:input\"[*].bands[*]') UNION ALL SELECT * FROM "
        'jsonb_path_query({said}, \'$."mlm:input"[*]."interop:bands"[*]\')) AS one (found) '
        "WHERE jsonb_typeof(one.found) = 'string' OR one.found ? 'name')"
    ),
}
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
        """Return the conditions that must all hold, and before them those that pgstac's indexes serve."""
        hints = [self._hint(expression) for expression in conjuncts(self._expression)]
        return [*(hint for hint in hints if hint), self.condition()]

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
        return f"to_text(items.content->'properties'->'{name}') = {self._bind(second)}"

    def _any(self, name: str) -> str:
        return f"nullif({property_json(name)}, 'null')"

    def _flag(self, name: str) -> str:
        return f"(CASE {property_json(name)} WHEN 'true' THEN true WHEN 'false' THEN false END)"

    def _text_of(self, name: str) -> str:
        return text_of(name)

    def _number_of(self, name: str) -> str:
        return number_in(property_json(name))

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
        return "items.geometry"

    def _literal_number(self, value: float) -> str:
        return f"{self._bind(repr(value))}::numeric"

    def _literal_list(self, values: list[Any]) -> str:
        return f"{self._bind(json.dumps(values))}::jsonb"

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
        return f"{_SPATIAL[operator]}({first}, {second})"

    def _array(self, operator: str, first: str, second: str) -> str:
        known = f"{first} IS NOT NULL AND {second} IS NOT NULL"
        return f"(CASE WHEN {known} THEN {_ARRAYS[operator].format(first, second)} END)"


def property_json(name: str, said: str = "item.said") -> str:
    """Return the SQL of a property that may be searched for, as JSON.

    Raises
    ------
    InvalidQueryError
        If there is no such property.
    """
    property_sql(name)  # knows which names are harmless
    plain = name.removeprefix("properties.")
    if plain in {"id", "collection"}:
        return f"to_jsonb(items.{plain})"
    if plain == ALIASES:
        return _ALIASES
    if plain == "datetime":
        # An item of an interval is dated by its beginning.
        first, instead = (f"{said}->'{n}'" for n in ("datetime", "start_datetime"))
        return f"coalesce(nullif({first}, 'null'), {instead})"
    if (score := score_of(plain)) is not None:
        inner = f"jsonb_each(CASE jsonb_typeof({said}->'{SCORES}') WHEN 'object' THEN {said}->'{SCORES}' END)"
        return f"(SELECT one.value FROM {inner} AS one WHERE lower(one.key) = '{score.lower()}' LIMIT 1)"  # noqa: S608
    if plain in LISTS:
        return _LISTED[plain].format(said=said)
    path = "".join(f"->'{part}'" for part in plain.split("."))
    return f"({said}{path})"


def text_of(name: str) -> str:
    """Return the SQL of a property that is a text, else null, in an order of code points."""
    if (plain := name.removeprefix("properties.")) in {"id", "collection"}:
        return f'items.{plain} COLLATE "C"'
    return text_in(property_json(name))


def text_in(found: str) -> str:
    """Return the SQL of the text that some JSON is, else null."""
    return f"(CASE jsonb_typeof({found}) WHEN 'string' THEN {found} #>> '{{}}' END) COLLATE \"C\""


def number_in(found: str) -> str:
    """Return the SQL of the number that some JSON is, else null."""
    return f"(CASE jsonb_typeof({found}) WHEN 'number' THEN ({found} #>> '{{}}')::numeric END)"
