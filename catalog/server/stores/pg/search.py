"""From a query to one statement of PostgreSQL over pgstac's table of items, and from its rows to a page's token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.geometry import flat, reached
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.ranges import interval, terms
from modelstac.catalog.search.sql.paging import Key, make_token, read_token
from modelstac.catalog.server.stores.pg import rows
from modelstac.catalog.server.stores.pg.filters import PgFilter
from modelstac.catalog.server.stores.pg.items import SORTED_AS
from modelstac.catalog.server.stores.pg.properties import PROPERTIES, number_in, property_json, text_in, text_of

# What others loaded is no box where it is not one of numbers.
_BOX = """LATERAL (SELECT CASE WHEN jsonb_typeof(said) = 'array' THEN CASE WHEN jsonb_array_length(said) IN (4, 6)
    AND NOT jsonb_path_exists(said, '$[*] ? (@.type() != "number")') THEN said END END AS at
    FROM (SELECT items.content->'bbox' AS said OFFSET 0) AS own OFFSET 0) AS box"""
_SIDES = (
    "(box.at->>0)::float8",
    "(box.at->>1)::float8",
    "(box.at->>(jsonb_array_length(box.at) / 2))::float8",
    "(box.at->>(jsonb_array_length(box.at) / 2 + 1))::float8",
)
_LISTED = (
    "(SELECT string_agg(word #>> '{{}}', ' ') FROM jsonb_array_elements(CASE jsonb_typeof({0}) WHEN 'array' THEN {0} "
    "END) AS word WHERE jsonb_typeof(word) = 'string')"
)
_WORDS = "modelstac.casei(concat_ws(' ', items.id, {}, {}, {}))".format(
    text_of("title"), text_of("description"), _LISTED.format(property_json("keywords"))
)


@dataclass(frozen=True)
class Column:
    """One column of the order, which is never null.

    Parameters
    ----------
    read
        Makes of its text, as a token has it, what it is compared with.
    """

    sql: str
    descending: bool = False
    cast: str = "text"


@dataclass
class PgSearch:
    """One query as SQL.

    Raises
    ------
    InvalidQueryError
        If the query names what is not there, or goes on after another one.
    """

    query: Query
    by_code_point: bool = False
    parameters: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sorted: list[str] = []
        self._columns = self._order()
        self._where = " AND ".join([*self._facets(), *self._space_and_time(), *self._text()]) or "true"
        self._counted = len(self.parameters)

    def items(self) -> tuple[str, list[Any]]:
        """Return what follows SELECT for all that is found, as far as GROUP BY or ORDER BY, and its parameters."""
        return self._from(self._where), self.parameters[: self._counted]

    def page(self, limit: int) -> tuple[str, list[Any]]:
        """Return the statement that reads a page, and one item more: :data:`rows.COLUMNS`, then those of the order."""
        where = self._where
        if self.query.token is not None:
            where += f" AND {self._after()}"
        columns = ", ".join(f"({column.sql})::text" for column in self._columns)
        order = ", ".join(f"{column.sql} {'DESC' if column.descending else 'ASC'}" for column in self._columns)
        found = self._from(where, self._sorted)
        return (
            f"SELECT {rows.COLUMNS}, {columns} {found} ORDER BY {order} LIMIT {limit + 1}",
            self.parameters,
        )

    def _from(self, where: str, joins: Sequence[str] = ()) -> str:
        joined = "".join(joins)
        joined += f" CROSS JOIN {PROPERTIES}" if "item.said" in where else ""
        joined += f" CROSS JOIN {_BOX}" if "box.at" in where else ""
        return f"FROM items{joined} WHERE {where}"

    def token(self, row: tuple[Any, ...]) -> str:
        """Return the token of the page after a row."""
        return make_token(self.query, row[rows.COUNT :])

    def _bind(self, value: Any) -> str:
        if isinstance(value, int):
            # Of a time only one end may be asked for, and PostgreSQL wants every parameter to be.
            return f"({value:d})::bigint"
        # As text: asyncpg takes the first and the last moment of all for no end.
        self.parameters.append(value.isoformat() if isinstance(value, datetime) else value)
        names = {str: "text", float: "float8", datetime: "text::timestamptz", list: "text[]"}
        return f"${len(self.parameters)}::{names[type(value)]}"

    def _order(self) -> list[Column]:
        columns: list[Column] = []
        for text in self.query.sortby:
            name, descending = text.lstrip("+-").removeprefix("properties."), text.startswith("-")
            if name in {"id", "collection"}:
                columns.append(self._name(name, descending))
                if name == "id":
                    return [*columns, self._name("collection", False)]
            elif name in {"datetime", "start_datetime", "end_datetime"}:
                column = "end_datetime" if name == "end_datetime" else "datetime"
                columns.append(Column(f"items.{column}", descending, "timestamptz"))
            else:
                place = f"sorted{len(self._sorted)}"
                value = property_json(SORTED_AS.get(name, name), "items.content->'properties'")
                # What is sorted by is read once from a large document.
                self._sorted.append(f" CROSS JOIN LATERAL (SELECT {value} AS value OFFSET 0) AS {place}")
                columns += _values(f"{place}.value", descending=descending)
        # Others may have loaded one id into two collections.
        return [*columns, self._name("id", False), self._name("collection", False)]

    def _name(self, name: str, descending: bool) -> Column:
        # An index has them in the order of the database, which may be another.
        return Column(f"items.{name}" if self.by_code_point else f'items.{name} COLLATE "C"', descending)

    def _after(self) -> str:
        values = read_token(self.query, [Key(column.sql) for column in self._columns])
        if not all(isinstance(value, str) for value in values):
            raise InvalidQueryError("token: this is none that a search gave")
        bound = [f"{self._bind(value)}::{column.cast}" for column, value in zip(self._columns, values, strict=True)]
        alternatives = []
        for index, column in enumerate(self._columns):
            same = [f"{c.sql} = {b}" for c, b in zip(self._columns[:index], bound[:index], strict=True)]
            beyond = f"{column.sql} {'<' if column.descending else '>'} {bound[index]}"
            alternatives.append("(" + " AND ".join([*same, beyond]) + ")")
        return "(" + " OR ".join(alternatives) + ")"

    def _facets(self) -> list[str]:
        conditions = []
        for column, wanted in (("id", self.query.ids), ("collection", self.query.collections)):
            if wanted is not None:
                conditions.append(f"items.{column} = ANY({self._bind(list(wanted))})")
        if self.query.filter is not None:
            conditions += PgFilter(self.query.filter, self._bind).conditions()
        return conditions

    def _space_and_time(self) -> list[str]:
        conditions = []
        if self.query.datetime is not None:
            start, stop = interval(self.query.datetime)
            conditions.append(f"items.datetime <= {self._bind(stop)} AND items.end_datetime >= {self._bind(start)}")
        if self.query.bbox is not None:
            conditions.append(self._box(*flat(self.query.bbox)))
        if self.query.intersects is not None:
            wanted = {"op": "s_intersects", "args": [{"property": "geometry"}, self.query.intersects]}
            conditions += PgFilter(wanted, self._bind).conditions()
        return conditions

    def _box(self, west: float, south: float, east: float, north: float) -> str:
        w, s, e, n = _SIDES
        parts = []
        for first, last in reached(west, east):
            a, b = self._bind(float(first)), self._bind(float(last))
            # An item's own box over the antimeridian is two: east of its west, and west of its east.
            parts.append(f"(CASE WHEN {w} <= {e} THEN {w} <= {b} AND {e} >= {a} ELSE {w} <= {b} OR {e} >= {a} END)")
        return f"{s} <= {self._bind(float(north))} AND {n} >= {self._bind(float(south))} AND ({' OR '.join(parts)})"

    def _text(self) -> list[str]:
        alternatives = [
            " AND ".join(f"position({self._bind(word)} IN {_WORDS}) > 0" for word in words)
            for words in terms(self.query.text or "")
        ]
        return [f"({' OR '.join(alternatives)})"] if alternatives else []


def _values(found: str, *, descending: bool) -> list[Column]:
    """Return the columns that some JSON is sorted by: numbers before texts, and what is missing last either way."""
    flag = f"CASE {found} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
    kind = f"CASE jsonb_typeof({found}) WHEN 'number' THEN 0 WHEN 'boolean' THEN 0 WHEN 'string' THEN 1 END"
    return [
        Column(f"({kind} IS NULL)", cast="boolean"),
        Column(f"coalesce({kind}, 0)", descending, "integer"),
        Column(f"coalesce({number_in(found)}, {flag}, 0)", descending, "numeric"),
        Column(f"coalesce({text_in(found)}, '') COLLATE \"C\"", descending),
    ]
