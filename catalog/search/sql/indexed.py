"""Conditions of a filter that an index answers alone, so that no document is read to judge them again."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from typing import Any, NamedTuple

from modelstac.catalog.search.sql.schema import EXACT_NAMES, LISTS, STORED, column_sql

Expression = Any

_PLAIN = re.compile(r"[ !#-.0-\[\]-~]{1,200}", re.ASCII)  # what JSON writes in one way only
_FOLDED = re.compile(r"f+[il]?|s+t?|k", re.IGNORECASE)  # what one letter beyond ASCII may be without its case

_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Condition(NamedTuple):
    """A condition on items, in SQL.

    Parameters
    ----------
    found
        As an index answers it, whichever items it is of.
    judged
        As it is answered for one item at hand; empty where another condition says the same.
    rows
        The table and the condition on it that lists them and perhaps others; empty where none does.
    """

    found: str
    judged: str
    rows: str = ""

    @classmethod
    def plain(cls, sql: str) -> Condition:
        """Return what is said the same way in both."""
        return cls(sql, sql)

    @classmethod
    def stored(cls, name: str, sql: str) -> Condition:
        """Return a condition on one property alone, which an index answers where the property has a column."""
        has_index = name.removeprefix("properties.") in {"id", "collection", *STORED}
        return cls(sql, sql, f"items WHERE {sql}" if has_index else "")

    @classmethod
    def listed(cls, table: str, wanted: str) -> Condition:
        """Return that an item is in a table of values and items with a value that is wanted."""
        found = f"items.key IN (SELECT item FROM {table} WHERE {wanted})"
        judged = f"EXISTS (SELECT 1 FROM {table} WHERE {wanted} AND item = items.key)"
        return cls(found, judged, f"{table} WHERE {wanted}")


def conjuncts(expression: Expression) -> list[Expression]:
    """Return the conditions that a filter joins by AND at its top."""
    if operator_of(expression) == "and" and expression["args"]:
        return [part for argument in expression["args"] for part in conjuncts(argument)]
    return [expression]


def answered(expressions: Iterable[Expression], bind: Callable[[Any], str]) -> tuple[list[Condition], list[Expression]]:
    """Return the SQL of the conditions that mean just what an index answers, and the other conditions."""
    judged = [(expression, compared(expression, EXACT_NAMES)) for expression in expressions]
    # SQLite has numbers before texts: "less than a text" is true of a number, unless something else says it is a text.
    texts = {found[1] for _, found in judged if found is not None and found[0] in {"=", ">", ">="}}
    conditions, rest = [], []
    for expression, found in judged:
        if found is not None:
            operator, name, text = found
            column = column_sql(name)
            conditions.append(Condition.stored(name, f"{column} {operator} {bind(text)}"))
            if name not in texts:
                conditions.append(Condition.plain(f"{column} >= ''"))
                texts.add(name)
        elif (keywords := _keywords(expression)) is not None:
            conditions += [Condition.listed("keywords", f"keyword = {bind(keyword)}") for keyword in keywords]
        else:
            likely = (f"items.document LIKE {bind(pattern)} ESCAPE '\\'" for pattern in _written(expression))
            conditions += map(Condition.plain, likely)
            rest.append(expression)
    return conditions, rest


def compared(expression: Expression, names: Container[str]) -> tuple[str, str, str] | None:
    """Return operator, name and text of a comparison of one of these properties with a text; None for anything else."""
    operator = operator_of(expression)
    if operator not in _TURNED or len(expression["args"]) != 2:
        return None
    first, second = expression["args"]
    if isinstance(first, str):
        first, second, operator = second, first, _TURNED[operator]
    name = name_of(first)
    return (operator, name, second) if name in names and isinstance(second, str) else None


def _keywords(expression: Expression) -> list[str] | None:
    name, wanted = _contained(expression)
    return wanted if name == "keywords" and wanted and all(isinstance(word, str) for word in wanted) else None


def _written(expression: Expression) -> list[str]:
    """Give patterns of the names of classes or bands that stand in a document, which is read only where they do."""
    name, wanted = _contained(expression)
    plain = [word for word in wanted if isinstance(word, str) and _PLAIN.fullmatch(word)] if name in LISTS else []
    escaped = (word.replace("_", r"\_").replace("%", r"\%") for word in plain)
    return ['%"' + _FOLDED.sub("%", word) + '"%' for word in escaped]


def _contained(expression: Expression) -> tuple[str, list[Any]]:
    """Return a property and the values that its list must have all of; nothing for any other condition."""
    if operator_of(expression) != "a_contains" or len(expression["args"]) != 2:
        return "", []
    first, second = expression["args"]
    return name_of(first), second if isinstance(second, list) else []


def operator_of(expression: Expression) -> str:
    """Return the operator of a condition, in small letters; nothing where it is none."""
    fits = isinstance(expression, dict) and isinstance(expression.get("args"), list)
    return str(expression.get("op")).lower() if fits else ""


def name_of(expression: Expression) -> str:
    """Return the name of the property that an expression is; nothing where it is none."""
    found = expression.get("property") if isinstance(expression, dict) else None
    return found.removeprefix("properties.") if isinstance(found, str) else ""
