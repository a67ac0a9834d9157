"""From a query to parameterised SQL, and from rows to a page."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from modelstac.catalog.items.geometry import flat, reached
from modelstac.catalog.search.facts import in_range
from modelstac.catalog.search.query import EQUAL_FIELDS, VERSION_FIELDS, Query
from modelstac.catalog.search.ranges import fold, interval, number_range, terms
from modelstac.catalog.search.spellings import same_architecture, spellings
from modelstac.catalog.search.sql import paging
from modelstac.catalog.search.sql.dialect import Filter
from modelstac.catalog.search.sql.functions import microseconds
from modelstac.catalog.search.sql.schema import EXACT_NAMES, FOLDED_NAMES, property_sql

_TRIGRAM = 3


class Search:
    """One query as SQL over one connection, whose transaction the caller holds.

    Raises
    ------
    InvalidQueryError
        If the query names what is not there, or goes on after another one.
    """

    def __init__(self, connection: sqlite3.Connection, query: Query) -> None:
        self._connection = connection
        self._query = query
        self._parameters: dict[str, Any] = {}
        self._keys = paging.sort_keys(query)
        self._check_values()
        self._conditions = [*self._facets(), *self._ranges(), *self._space_and_time(), *self._text()]
        if query.filter is not None:
            self._conditions += Filter(query.filter, self._bind).conditions()

    def rows(self) -> tuple[list[int], str | None]:
        """Return the keys of the rows of this page, and the token of the next."""
        query = self._query
        conditions = list(self._conditions)
        if query.token is not None:
            conditions.append(paging.after(self._keys, paging.read_token(query, self._keys), self._bind))
        columns = ", ".join(key.sql for key in self._keys)
        order = ", ".join(key.order for key in self._keys)
        limit = -1 if query.limit is None else query.limit + 1
        statement = (
            f"SELECT items.key, {columns} FROM items {_where(conditions)} ORDER BY {order} LIMIT {self._bind(limit)}"
        )
        found = self._connection.execute(statement, self._parameters).fetchall()
        if query.limit is None or len(found) <= query.limit:
            return [row[0] for row in found], None
        found.pop()
        return [row[0] for row in found], paging.make_token(query, found[-1][1:])

    def count(self) -> int:
        """Return how many items match, on all pages."""
        statement = f"SELECT count(*) FROM items {_where(self._conditions)}"
        (number,) = self._connection.execute(statement, self._parameters).fetchone()
        return int(number)

    def _bind(self, value: Any) -> str:
        name = f"p{len(self._parameters)}"
        self._parameters[name] = value
        return f":{name}"

    def _check_values(self) -> None:
        # Only what is none of the usual values is worth a look at what the catalog holds.
        if unknown := self._query.unknown_values():
            known = {}
            for field in unknown:
                if field == "task":
                    known[field] = {str(t) for (t,) in self._connection.execute("SELECT DISTINCT task FROM tasks")}
                else:
                    known[field] = set(self._values(EQUAL_FIELDS[field]))
            self._query.check_values(known)

    def _facets(self) -> list[str]:
        query = self._query
        conditions = []
        for column, wanted in (("id", query.ids), ("collection", query.collections)):
            if wanted is not None:
                conditions.append(f"items.{column} IN ({', '.join(map(self._bind, wanted))})")
        for field, name in EQUAL_FIELDS.items():
            if (value := getattr(query, field)) is not None:
                spelled = self._spelled(field, value)
                equal = [f"{property_sql(name)} = {self._bind(spelling)} COLLATE NOCASE" for spelling in spelled]
                conditions.append(f"({' OR '.join(equal)})")
        if query.task is not None:
            conditions.append(f"items.key IN (SELECT item FROM tasks WHERE task = {self._bind(query.task)})")
        if query.alias is not None:
            conditions.append(
                "items.id IN (SELECT a.item FROM aliases a WHERE a.collection = items.collection "
                f"AND a.alias = {self._bind(query.alias)})"
            )
        if query.deprecated is not None:
            conditions.append(f"coalesce({property_sql('deprecated')}, 0) = {int(query.deprecated)}")
        if query.runs_with is not None or query.runs_within is not None:
            packages, within = self._bind(json.dumps(query.runs_with or ())), self._bind(query.runs_within)
            conditions.append(f"ms_runs_with({property_sql('interop:verified')}, {packages}, {within})")
        return conditions

    def _spelled(self, field: str, wanted: str) -> list[str]:
        """Return the spellings of a value that occur here: nearly always one, which one index answers."""
        if field == "architecture":
            found = self._values(EQUAL_FIELDS[field])
            return [value for value in found if same_architecture(value, wanted)] or [wanted]
        if field != "framework":
            return [wanted]
        known = {fold(value) for value in self._values(EQUAL_FIELDS[field])}
        return [spelling for spelling in spellings(wanted) if fold(spelling) in known] or [wanted]

    def _ranges(self) -> list[str]:
        query = self._query
        conditions = []
        for field, name in VERSION_FIELDS.items():
            if (wanted := getattr(query, field)) is not None:
                # What a range means is Python's business (PEP 440), and versions are few: each is judged once.
                beside = EQUAL_FIELDS.get(field.removesuffix("_version")) if field != "version" else None
                equal = getattr(query, field.removesuffix("_version")) if beside else None
                if field == "framework_version" and equal:
                    spelled = self._spelled("framework", equal)
                    equal = spelled[0] if len(spelled) == 1 else None
                values = [v for v in self._values(name, beside if equal else None, equal) if in_range(v, wanted)]
                conditions.append(
                    f"{property_sql(name)} IN (SELECT value FROM json_each({self._bind(json.dumps(values))}))"
                )
        if query.parameters is not None:
            column = property_sql("mlm:total_parameters")
            conditions += [f"{column} {sign} {self._bind(n)}" for _, sign, n in number_range(query.parameters)]
        if query.parity is not None:
            column = property_sql("interop:parity.max_absolute_difference")
            conditions.append(f"{column} <= {self._bind(query.parity)}")
        return conditions

    def _values(self, name: str, beside: str | None = None, equal: str | None = None) -> list[str]:
        """Return the distinct texts of an indexed property by leaps through its index, not by reading all of it.

        Of texts that differ by case alone it is one, where the index does not tell these apart.
        """
        column = property_sql(name) + (" COLLATE NOCASE" if name in FOLDED_NAMES - EXACT_NAMES else "")
        also = f"AND {property_sql(beside)} = :equal COLLATE NOCASE" if beside else ""
        statement = (
            f"WITH RECURSIVE leaps (value) AS (SELECT min({column}) FROM items WHERE typeof({column}) = 'text' {also} "
            f"UNION ALL SELECT (SELECT min({column}) FROM items WHERE {column} > leaps.value {also}) "
            "FROM leaps WHERE leaps.value IS NOT NULL) SELECT value FROM leaps WHERE typeof(value) = 'text'"
        )
        return [value for (value,) in self._connection.execute(statement, {"equal": equal} if beside else {})]

    def _space_and_time(self) -> list[str]:
        query = self._query
        conditions = []
        if query.datetime is not None:
            start, stop = map(microseconds, interval(query.datetime))
            conditions.append(f"items.first <= {self._bind(stop)} AND items.last >= {self._bind(start)}")
        if query.bbox is not None:
            west, south, east, north = flat(query.bbox)
            parts = [self._meets_box(w, south, e, north) for w, e in reached(west, east)]
            conditions.append(f"items.key IN (SELECT item FROM boxes WHERE bbox AND ({' OR '.join(parts)}))")
        if query.intersects is not None:
            conditions += Filter(
                {"op": "s_intersects", "args": [{"property": "geometry"}, query.intersects]}, self._bind
            ).conditions()
        return conditions

    def _meets_box(self, west: float, south: float, east: float, north: float) -> str:
        w, s, e, n = map(self._bind, (west, south, east, north))
        # First the tree, then the exact bounds.
        return (
            f"(west <= {e} AND east >= {w} AND south <= {n} AND north >= {s} "
            f"AND w <= {e} AND boxes.e >= {w} AND boxes.s <= {n} AND boxes.n >= {s})"
        )

    def _text(self) -> list[str]:
        alternatives = [" AND ".join(self._says(words)) for words in terms(self._query.text or "")]
        return [f"({' OR '.join(alternatives)})"] if alternatives else []

    def _says(self, words: list[str]) -> list[str]:
        long = [word for word in words if len(word) >= _TRIGRAM]
        conditions = []
        if long:
            phrases = " AND ".join('"' + word.replace('"', '""') + '"' for word in long)
            conditions.append(f"items.key IN (SELECT rowid FROM texts WHERE texts MATCH {self._bind(phrases)})")
        # The trigrams know nothing of shorter words.
        short = [word for word in words if len(word) < _TRIGRAM]
        if short:
            parts = " AND ".join(f"instr(body, {self._bind(word)})" for word in short)
            conditions.append(f"items.key IN (SELECT rowid FROM texts WHERE {parts})")
        return conditions


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""
