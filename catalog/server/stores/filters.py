"""What other parameters than ``filter`` ask, written in CQL2 JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.search.ranges import terms

_OPERATORS = {"eq": "=", "neq": "<>", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_PATTERNS = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}


def both(*filters: Document | None) -> Document | None:
    """Return the filter that asks for all that the given ones ask for."""
    return _joined("and", [found for found in filters if found is not None])


def from_query(query: Any) -> Document | None:
    """Return the filter for the ``query`` parameter, such as ``{"mlm:framework": {"eq": "PyTorch"}}``.

    Raises
    ------
    InvalidQueryError
        If it is malformed or uses an unknown operator.
    """
    if not isinstance(query, dict):
        raise InvalidQueryError(f"query: expected an object of property names, found {type(query).__name__}")
    parts: list[Document] = []
    for name, conditions in query.items():
        if not isinstance(conditions, dict):
            raise InvalidQueryError(f"query.{name}: expected an object such as {{'eq': value}}")
        parts += [_condition(str(name), str(operator), value) for operator, value in conditions.items()]
    return _joined("and", parts)


def text_filter(text: str) -> Document | None:
    """Return the filter for free text in pgstac: every word of an alternative in id, title, description or keywords."""
    fields = ("id", "title", "description", KEYWORDS_TEXT)
    alternatives = [
        both(*(_joined("or", [_says(field, word) for field in fields]) for word in words)) for words in terms(text)
    ]
    return _joined("or", [found for found in alternatives if found is not None])


# A queryable of ours in pgstac: the keywords as one text.
KEYWORDS_TEXT = "interop:keywords_text"


def _joined(operator: str, filters: list[Document]) -> Document | None:
    if len(filters) < 2:
        return filters[0] if filters else None
    return {"op": operator, "args": filters}


def _condition(name: str, operator: str, value: Any) -> Document:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidQueryError(f"query.{name}.{operator}: {value} is no number of JSON")
    place = {"property": name}
    if operator in _OPERATORS:
        return {"op": _OPERATORS[operator], "args": [place, value]}
    if operator == "in" and isinstance(value, list) and value:
        return {"op": "in", "args": [place, value]}
    if operator in _PATTERNS and isinstance(value, str):
        return {"op": "like", "args": [place, _PATTERNS[operator].format(_literal(value))]}
    known = ", ".join([*_OPERATORS, "in", *_PATTERNS])
    raise InvalidQueryError(f"query.{name}.{operator}: unknown operator or unfit value; known: {known}")


def _says(field: str, word: str) -> Document:
    if field == KEYWORDS_TEXT:
        # It is the text of a list in JSON, whose own brackets and quotation marks are no keywords.
        pattern = f"%_{_literal(json.dumps(word, ensure_ascii=False)[1:-1])}_%"
    else:
        pattern = f"%{_literal(word)}%"
    folded: list[Document] = [{"op": "casei", "args": [{"property": field}]}, {"op": "casei", "args": [pattern]}]
    return {"op": "like", "args": folded}


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
