"""Sorting, and the tokens by which a search goes on after its last row: stable while others publish."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql.schema import NEWEST_FIRST, column_sql, ordered_sql

# Versions sort as versions and not as text.
_SORTED_AS = {
    "version": "items.version_key",
    "mlm:framework_version": column_sql("interop:framework_version_key"),
    "interop:backend_version": column_sql("interop:backend_version_key"),
    "datetime": "items.first",
    "start_datetime": "items.first",
    "end_datetime": "items.last",
}


class Key(NamedTuple):
    """One column of the order."""

    sql: str
    descending: bool = False
    required: bool = False

    @property
    def order(self) -> str:
        """The terms of ORDER BY; what is missing comes last in either direction."""
        if self.descending:
            return f"{self.sql} DESC"
        return f"{self.sql} ASC" if self.required else f"{self.sql} ASC NULLS LAST"


def sort_keys(query: Query) -> list[Key]:
    """Return the columns that a search is sorted by; the last are id and collection: the order is total.

    Raises
    ------
    InvalidQueryError
        If it names what cannot be sorted by.
    """
    keys = []
    for text in query.sortby:
        name = text.lstrip("+-").removeprefix("properties.")
        keys.append(Key(_SORTED_AS.get(name) or _sorted(name), text.startswith("-"), name in {"id", "collection"}))
        if name == "id":
            return [*keys, Key("items.collection", required=True)]
    return [*keys, Key("items.id", required=True), Key("items.collection", required=True)]


def _sorted(name: str) -> str:
    sql = column_sql(name)
    return ordered_sql(name) if sql.startswith("json_extract(") else sql


def make_token(query: Query, values: tuple[Any, ...]) -> str:
    """Return the token of the page after the row with these sort values."""
    text = json.dumps([_digest(query), *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(query: Query, keys: list[Key]) -> list[Any]:
    """Return the sort values in the token of a query.

    Raises
    ------
    InvalidQueryError
        If it is none, or that of another search.
    """
    token = query.token or ""
    try:
        digest, *values = json.loads(base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4)))
    except (ValueError, TypeError, RecursionError):
        digest, values = None, []
    if (
        digest is None
        or len(values) != len(keys)
        or not all(isinstance(v, (str, int, float, type(None))) for v in values)
    ):
        raise InvalidQueryError("the page token is damaged: use the next link of a page as it is, or start again")
    if digest != _digest(query):
        raise InvalidQueryError(
            "the page token belongs to another search: repeat that search, or start without a token"
        )
    return list(values)


def after(keys: list[Key], values: list[Any], bind: Any) -> str:
    """Return the condition that a row comes after the one with these values."""
    alternatives = []
    for index, (key, value) in enumerate(zip(keys, values, strict=True)):
        same = [f"{k.sql} IS {bind(v)}" for k, v in zip(keys[:index], values[:index], strict=True)]
        beyond = _beyond(key, value, bind)
        if beyond is not None:
            alternatives.append("(" + " AND ".join([*same, beyond]) + ")")
    return "(" + " OR ".join(alternatives) + ")"


def start(keys: list[Key], values: list[Any] | None, bind: Any) -> str | None:
    """Return where an index that has items in this order is read from, empty for its begin; None where none has.

    It is the range in which the items after the one with these values lie, but for those that lack what they are
    sorted by, and may begin with some that come before.
    """
    key = keys[0]
    if key.sql != "items.id" and not (key.descending and key.sql in NEWEST_FIRST and keys[1].sql == "items.id"):
        return None
    if any(following.descending for following in keys[1:]) or (key.sql == "items.id" and key.descending):
        return None
    if values is None:
        return ""
    if values[0] is None:
        return f"{key.sql} IS NULL AND items.id >= {bind(values[1])}"
    return f"{key.sql} {'<=' if key.descending else '>='} {bind(values[0])}"


def _beyond(key: Key, value: Any, bind: Any) -> str | None:
    if value is None:
        return None  # the missing come last: nothing is beyond them
    beyond = f"{key.sql} {'<' if key.descending else '>'} {bind(value)}"
    return beyond if key.required else f"({beyond} OR {key.sql} IS NULL)"


def _digest(query: Query) -> str:
    import hashlib  # not at the top: most searches are of one page, and it loads a large library

    asked = {name: value for name, value in query.asked().items() if name not in {"token", "limit", "fields"}}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
