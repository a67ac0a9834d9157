"""Indexes over pgstac's items, and the conditions of a filter that one answers alone, so that no item is read for them.

They are made once, of the table of all items: PostgreSQL gives them to each partition. pgstac, which would make them by
queryables, takes 5 ms an index and partition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from modelstac.catalog.search.sql.expressions import Expression, literal_text
from modelstac.catalog.search.sql.functions import casei
from modelstac.catalog.search.sql.indexed import compared, name_of, operator_of
from modelstac.catalog.server.stores.pg.properties import property_json, text_in
from modelstac.catalog.server.stores.queryables import INDEXED

Bind = Callable[[Any], str]

_KEYS = {"mlm:framework": "interop:framework_version_key", "interop:backend": "interop:backend_version_key"}
"""What is asked for by name, whatever its case, and the sortable version whose bounds are asked for beside it."""


class Named(NamedTuple):
    """A condition that a property is one of some texts; ``folded`` where its case is left out."""

    name: str
    folded: bool
    texts: frozenset[str]


def statements() -> list[str]:
    """Return the statements that make the indexes."""
    columns = {name: [f"pgstac.{stock_sql(name)}"] for name in INDEXED}
    columns |= {f"{name}_bounds": [_folded(name), _text(key), _text(name)] for name, key in _KEYS.items()}
    made = []
    for name, listed in columns.items():
        index, on = (
            re.sub(r"\W", "_", name),
            ", ".join(f"({sql})" for sql in listed).replace("items.content", "content"),
        )
        # What its own template has, too, pgstac does not drop when it is asked to tidy up.
        for table in ("items", "queryable_index_template"):
            made += [f"CREATE INDEX IF NOT EXISTS {table}_{index} ON pgstac.{table} ({on})"]
    return made


def stock_sql(name: str) -> str:
    """Return the SQL of a property as pgstac's own searches have it."""
    return f"to_text(items.content->'properties'->'{name}')"


def answered(expressions: Iterable[Expression], bind: Bind) -> tuple[list[str], list[Expression]]:
    """Return the SQL of the conditions that mean just what an index answers, and the other conditions."""
    conditions: list[str] = []
    keys, others, rest = set(), [], []
    for expression in expressions:
        if (found := _named(expression)) is None:
            others.append(expression)
            continue
        keys.add(_KEYS[found.name])
        folded = found.texts if found.folded else frozenset(map(casei, found.texts))
        conditions.append(_folded(found.name) + _among(folded, bind))
        if not found.folded:
            conditions.append(_text(found.name) + _among(found.texts, bind))
    for expression in others:
        if (bound := compared(expression, keys)) is None:
            rest.append(expression)
        else:
            operator, key, text = bound
            conditions.append(f"{_text(key)} {operator} {bind(text)}")
    return conditions, rest


def _named(expression: Expression) -> Named | None:
    operator = operator_of(expression)
    if operator == "or":
        found = [part for argument in expression["args"] if (part := _named(argument)) is not None]
        alike = {(part.name, part.folded) for part in found}
        if len(alike) != 1 or len(found) < len(expression["args"]):
            return None
        return found[0]._replace(texts=frozenset(text for part in found for text in part.texts))
    if operator not in {"=", "in"} or len(expression["args"]) != 2:
        return None
    first, second = expression["args"]
    if operator == "=" and literal_text(first) is not None:
        first, second = second, first
    wanted = second if operator == "in" and isinstance(second, list) else [second]
    texts = [text for one in wanted if (text := literal_text(one)) is not None]
    folded = operator_of(first) == "casei" and len(first["args"]) == 1
    name = name_of(first["args"][0] if folded else first)
    return Named(name, folded, frozenset(texts)) if name in _KEYS and texts and len(texts) == len(wanted) else None


def _among(texts: frozenset[str], bind: Bind) -> str:
    return f" = {bind(*texts)}" if len(texts) == 1 else f" = ANY({bind(sorted(texts))})"


def _text(name: str) -> str:
    return text_in(property_json(name, "items.content->'properties'"))


def _folded(name: str) -> str:
    return f'modelstac.casei({_text(name)}) COLLATE "C"'
