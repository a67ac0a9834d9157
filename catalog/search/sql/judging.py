"""Whether one document passes a filter, by the same SQL as a catalog of many."""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import Any

from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.search.facts import moments
from modelstac.catalog.search.sql.dialect import Filter
from modelstac.catalog.search.sql.functions import microseconds, register

_LOCAL = threading.local()
_ONE = """
    WITH aliases (collection, alias, item) AS (SELECT :collection, value, :id FROM json_each(:aliases))
    SELECT {} FROM (SELECT :id AS id, :collection AS collection, :first AS first, :last AS last,
        :document AS document) AS items"""


def passes(wanted: str | dict[str, Any], document: Document) -> bool:
    """Tell whether an item, or what has an id and properties as one, passes a filter of CQL2.

    Raises
    ------
    InvalidQueryError
        If the filter is none.
    """
    time = moments(document)
    first, last = map(microseconds, time) if time else (None, None)
    values: dict[str, Any] = {
        "id": document.get("id"),
        "collection": document.get("collection"),
        "first": first,
        "last": last,
        "document": json.dumps(document),
        "aliases": json.dumps(document["properties"].get(ALIASES) or ()),
    }

    def bind(value: Any) -> str:
        name = f"p{len(values)}"
        values[name] = value
        return f":{name}"

    condition = Filter(wanted, bind).condition()
    (found,) = _connection().execute(_ONE.format(condition), values).fetchone()
    return bool(found)


def _connection() -> sqlite3.Connection:
    if not hasattr(_LOCAL, "connection"):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        register(connection)
        _LOCAL.connection = connection
    found: sqlite3.Connection = _LOCAL.connection
    return found
