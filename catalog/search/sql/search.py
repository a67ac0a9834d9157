"""From a query to parameterised SQL, and from rows to a page."""

from __future__ import annotations

import itertools
import json
import sqlite3
from math import isqrt
from typing import Any

from modelstac.catalog.items.geometry import flat, reached
from modelstac.catalog.search.facts import in_range
from modelstac.catalog.search.query import EQUAL_FIELDS, VERSION_FIELDS, Query
from modelstac.catalog.search.ranges import fold, interval, number_range, terms
from modelstac.catalog.search.spellings import same_architecture, spellings
from modelstac.catalog.search.sql import paging
from modelstac.catalog.search.sql.functions import microseconds
from modelstac.catalog.search.sql.indexed import Condition
from modelstac.catalog.search.sql.schema import EXACT_NAMES, FOLDED_NAMES, column_sql, property_sql

_TRIGRAM = 3
_LOOKED_UP = 24
"""Trigrams of a text whose frequency is estimated, each in some microseconds."""
_SAMPLE = 64
_RARE = 40
"""So much rarer than all items must a trigram be that looking at the texts that have it takes less than phrases do."""
_STEPS = 4
"""Items in order that are looked at, in square roots of all: what most sorted searches need, and soon done in vain."""


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
        self._matched: int | None = None
        self._check_values()
        self._conditions = [*self._facets(), *self._ranges(), *self._listed(), *self._space_and_time(), *self._text()]
        if query.filter is not None:
            self._conditions += self._filtered(query.filter)

    def rows(self) -> tuple[list[int], str | None]:
        """Return the keys of the rows of this page, and the token of the next."""
        query = self._query
        values = None if query.token is None else paging.read_token(query, self._keys)
        found = self._walked(values) or self._sorted(values)
        if query.limit is None or len(found) <= query.limit:
            return [row[0] for row in found], None
        found.pop()
        return [row[0] for row in found], paging.make_token(query, found[-1][1:])

    def _sorted(self, values: list[Any] | None) -> list[tuple[Any, ...]]:
        """Return the rows of a page, and the one after it, by sorting all that are found."""
        conditions = [condition.found for condition in self._conditions]
        if values is not None:
            conditions.append(paging.after(self._keys, values, self._bind))
        order = ", ".join(key.order for key in self._keys)
        limit = -1 if self._query.limit is None else self._query.limit + 1
        return self._found(f"items {_where(conditions)} ORDER BY {order} LIMIT {limit}")

    def _walked(self, values: list[Any] | None) -> list[tuple[Any, ...]] | None:
        """Return the same from the first items of an index that has them in order; None where those are too few."""
        limit, start = self._query.limit, paging.start(self._keys, values, self._bind)
        if limit is None or start is None:
            return None
        conditions = [condition.judged for condition in self._conditions if condition.judged]
        (last,) = self._connection.execute("SELECT max(key) FROM items").fetchone()
        steps = max(_STEPS * isqrt(last or 0), 10 * limit)
        if conditions and self._are_few(steps):
            return None
        if values is not None:
            conditions.append(paging.after(self._keys, values, self._bind))
        order = ", ".join(key.order for key in self._keys)
        inner = f"SELECT key AS walked FROM items {_where([start] if start else [])} ORDER BY {order} LIMIT {steps}"
        # A cross join keeps the order of its left side, and stops when the page is full.
        source = f"({inner}) CROSS JOIN items ON items.key = walked {_where(conditions)} LIMIT {limit + 1}"
        found = self._found(source)
        return found if len(found) > limit else None

    def _found(self, source: str) -> list[tuple[Any, ...]]:
        columns = ", ".join(key.sql for key in self._keys)
        return self._connection.execute(f"SELECT items.key, {columns} FROM {source}", self._parameters).fetchall()

    def _are_few(self, most: int) -> bool:
        """Tell whether an index says that fewer items match."""
        whole = f"items {_where([condition.found for condition in self._conditions])}"
        plan = self._connection.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {whole}", self._parameters)
        if not any(row[3].startswith("SEARCH items USING COVERING INDEX") for row in plan):
            sources = [condition.rows for condition in self._conditions if condition.rows]
            return any(self._number(source, most) < most for source in sources)
        number = self._number(whole, most)
        self._matched = number if number < most else None
        return number < most

    def count(self) -> int:
        """Return how many items match, on all pages."""
        if self._matched is None:
            self._matched = self._number(f"items {_where([condition.found for condition in self._conditions])}")
        return self._matched

    def _number(self, source: str, most: int | None = None) -> int:
        counted = source if most is None else f"(SELECT 1 FROM {source} LIMIT {most})"
        (number,) = self._connection.execute(f"SELECT count(*) FROM {counted}", self._parameters).fetchone()
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

    def _facets(self) -> list[Condition]:
        query = self._query
        conditions = []
        for column, wanted in (("id", query.ids), ("collection", query.collections)):
            if wanted is not None:
                listed = f"items.{column} IN ({', '.join(map(self._bind, wanted))})"
                conditions.append(Condition.stored(column, listed))
        for field, name in EQUAL_FIELDS.items():
            if (value := getattr(query, field)) is not None:
                spelled = self._spelled(field, value)
                equal = [f"{column_sql(name)} = {self._bind(spelling)} COLLATE NOCASE" for spelling in spelled]
                conditions.append(Condition.stored(name, f"({' OR '.join(equal)})"))
        if query.deprecated is not None:
            is_so = f"coalesce({property_sql('deprecated')}, 0) = {int(query.deprecated)}"
            conditions.append(Condition.plain(is_so))
        if query.runs_with is not None or query.runs_within is not None:
            packages, within = self._bind(json.dumps(query.runs_with or ())), self._bind(query.runs_within)
            runs = f"ms_runs_with({property_sql('interop:verified')}, {packages}, {within})"
            conditions.append(Condition.plain(runs))
        return conditions

    def _listed(self) -> list[Condition]:
        conditions, query = [], self._query
        if query.task is not None:
            conditions.append(Condition.listed("tasks", f"task = {self._bind(query.task)}"))
        if query.alias is not None:
            rows = f"aliases WHERE alias = {self._bind(query.alias)}"
            found = f"(items.collection, items.id) IN (SELECT collection, item FROM {rows})"
            conditions.append(Condition(found, found, rows))
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

    def _ranges(self) -> list[Condition]:
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
                among = f"{column_sql(name)} IN (SELECT value FROM json_each({self._bind(json.dumps(values))}))"
                conditions.append(Condition.stored(name, among))
        if query.parameters is not None:
            name = "mlm:total_parameters"
            bounds = [f"{column_sql(name)} {sign} {self._bind(n)}" for _, sign, n in number_range(query.parameters)]
            conditions += [Condition.stored(name, bound) for bound in bounds]
        if query.parity is not None:
            name = "interop:parity.max_absolute_difference"
            conditions.append(Condition.stored(name, f"{column_sql(name)} <= {self._bind(query.parity)}"))
        return conditions

    def _values(self, name: str, beside: str | None = None, equal: str | None = None) -> list[str]:
        """Return the distinct texts of an indexed property by leaps through its index, not by reading all of it.

        Of texts that differ by case alone it is one, where the index does not tell these apart.
        """
        column = column_sql(name) + (" COLLATE NOCASE" if name in FOLDED_NAMES - EXACT_NAMES else "")
        also = f"AND {column_sql(beside)} = :equal COLLATE NOCASE" if beside else ""
        statement = (
            f"WITH RECURSIVE leaps (value) AS (SELECT min({column}) FROM items WHERE {column} >= '' {also} "
            f"UNION ALL SELECT (SELECT min({column}) FROM items WHERE {column} > leaps.value {also}) "
            "FROM leaps WHERE leaps.value IS NOT NULL) SELECT value FROM leaps WHERE typeof(value) = 'text'"
        )
        return [value for (value,) in self._connection.execute(statement, {"equal": equal} if beside else {})]

    def _space_and_time(self) -> list[Condition]:
        query = self._query
        conditions: list[Condition] = []
        if query.datetime is not None:
            start, stop = map(microseconds, interval(query.datetime))
            of_then = f"items.first <= {self._bind(stop)} AND items.last >= {self._bind(start)}"
            conditions.append(Condition.plain(of_then))
        if query.bbox is not None:
            west, south, east, north = flat(query.bbox)
            parts = [self._meets_box(w, south, e, north) for w, e in reached(west, east)]
            rows = f"boxes WHERE bbox AND ({' OR '.join(parts)})"
            judged = f"ms_box({self._bind(json.dumps(query.bbox))}, json_extract(items.document, '$.bbox'))"
            conditions.append(Condition(f"items.key IN (SELECT item FROM {rows})", judged, rows))
        if query.intersects is not None:
            meets = {"op": "s_intersects", "args": [{"property": "geometry"}, query.intersects]}
            conditions += self._filtered(meets)
        return conditions

    def _filtered(self, expression: str | dict[str, Any]) -> list[Condition]:
        from modelstac.catalog.search.sql.dialect import Filter  # not at the top: most searches have no filter

        return Filter(expression, self._bind).conditions()

    def _meets_box(self, west: float, south: float, east: float, north: float) -> str:
        w, s, e, n = map(self._bind, (west, south, east, north))
        # First the tree, then the exact bounds.
        return (
            f"(west <= {e} AND east >= {w} AND south <= {n} AND north >= {s} "
            f"AND w <= {e} AND boxes.e >= {w} AND boxes.s <= {n} AND boxes.n >= {s})"
        )

    def _text(self) -> list[Condition]:
        alternatives = [self._says(words) for words in terms(self._query.text or "")]
        if len(alternatives) < 2:
            return alternatives
        found, judged = (" OR ".join(parts) for parts in zip(*((a.found, a.judged) for a in alternatives), strict=True))
        return [Condition(f"({found})", f"({judged})")]

    def _says(self, words: list[str]) -> Condition:
        held = {word: f"instr(body, {self._bind(word)})" for word in words}
        judged = f"EXISTS (SELECT 1 FROM texts WHERE rowid = items.key AND {' AND '.join(held.values())})"
        # The trigrams know nothing of shorter words.
        long = [word for word in held if len(word) >= _TRIGRAM]
        if not long:
            return Condition(f"items.key IN (SELECT rowid FROM texts WHERE {' AND '.join(held.values())})", judged)
        rare = self._rare(long)
        phrases, said = (rare, held.keys()) if rare else (long, held.keys() - set(long))
        rows = f"texts WHERE texts MATCH {self._bind(' AND '.join(map(_phrase, phrases)))}"
        wanted = " AND ".join([rows, *(part for word, part in held.items() if word in said)])
        return Condition(f"items.key IN (SELECT rowid FROM {wanted})", judged, rows)

    def _rare(self, words: list[str]) -> list[str]:
        """Return the two rarest trigrams of these words, as far as few items have them."""
        trigrams = dict.fromkeys(word[at : at + _TRIGRAM] for word in words for at in range(len(word) - _TRIGRAM + 1))
        found = {trigram: self._frequency(trigram) for trigram in itertools.islice(reversed(trigrams), _LOOKED_UP)}
        return [trigram for trigram in sorted(found, key=found.__getitem__)[:2] if found[trigram] * _RARE < 1]

    def _frequency(self, trigram: str) -> float:
        """Return about which part of all items has a trigram, from the first of them."""
        statement = f"SELECT rowid FROM texts WHERE texts MATCH ? LIMIT {_SAMPLE}"
        rows = self._connection.execute(statement, (_phrase(trigram),)).fetchall()
        return len(rows) / rows[-1][0] if len(rows) == _SAMPLE else 0.0


def _phrase(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""
