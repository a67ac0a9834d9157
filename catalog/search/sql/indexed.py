"""Conditions of a filter that an index answers alone, so that no document is read to judge them again."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any

from modelstac.catalog.search.sql.schema import EXACT_NAMES, property_sql

Expression = Any

_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def conjuncts(expression: Expression) -> list[Expression]:
    """Return the conditions that a filter joins by AND at its top."""
    if operator_of(expression) == "and" and expression["args"]:
        return [part for argument in expression["args"] for part in conjuncts(argument)]
    return [expression]


def answered(expressions: Iterable[Expression], bind: Callable[[Any], str]) -> tuple[list[str], list[Expression]]:
    """Return the SQL of the conditions that mean just what an index answers, and the other conditions."""
    judged = [(expression, compared(expression, EXACT_NAMES)) for expression in expressions]
    # SQLite has numbers before texts: "less than a text" is true of a number, unless something else says it is a text.
    texts = {found[1] for _, found in judged if found is not None and found[0] in {"=", ">", ">="}}
    conditions, rest = [], []
    for expression, found in judged:
        if found is not None:
            operator, name, text = found
            column = property_sql(name)
            conditions.append(f"{column} {operator} {bind(text)}")
            if name not in texts:
                conditions.append(f"{column} >= ''")
                texts.add(name)
        elif (keywords := _keywords(expression)) is not None:
            conditions += [
                f"items.key IN (SELECT item FROM keywords WHERE keyword = {bind(keyword)})" for keyword in keywords
            ]
        else:
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
    if operator_of(expression) != "a_contains" or len(expression["args"]) != 2:
        return None
    first, second = expression["args"]
    fits = name_of(first) == "keywords" and isinstance(second, list) and all(isinstance(word, str) for word in second)
    return second if fits and second else None


def operator_of(expression: Expression) -> str:
    """Return the operator of a condition, in small letters; nothing where it is none."""
    fits = isinstance(expression, dict) and isinstance(expression.get("args"), list)
    return str(expression.get("op")).lower() if fits else ""


def name_of(expression: Expression) -> str:
    """Return the name of the property that an expression is; nothing where it is none."""
    found = expression.get("property") if isinstance(expression, dict) else None
    return found.removeprefix("properties.") if isinstance(found, str) else ""
