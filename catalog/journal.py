"""The audit log of a catalog: who published, promoted, deprecated, deleted what, and when.

An entry is written in the transaction of what it tells, so that there is none of what did not happen and none missing.
It holds names and ids alone: of what changed the names of the fields, never their values, which may be secret.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.times import first_and_last, in_utc

ACTIONS = (
    *("publish", "delete", "promote", "demote", "deprecate", "reinstate", "change"),
    *("create-model", "change-model", "delete-model"),
    *("create-team", "change-team", "delete-team", "link", "unlink"),
)
LOCAL = "local:"
"""What the name of somebody begins with who wrote to the file itself, without a key."""
MOST = 1_000
_LONGEST = 200
_UNTOLD = frozenset({"updated", "interop:aliases"})
TABLES = (
    "CREATE TABLE IF NOT EXISTS {prefix}audit (number {serial}, at TEXT NOT NULL, writer TEXT NOT NULL, "
    "action TEXT NOT NULL, collection TEXT, item TEXT, detail TEXT NOT NULL, pending INTEGER)",
    "CREATE INDEX IF NOT EXISTS audit_collection ON {prefix}audit (collection, number)",
    "CREATE INDEX IF NOT EXISTS audit_pending ON {prefix}audit (number) WHERE pending IS NOT NULL",
)
"""Statements for SQLite and PostgreSQL; ``pending`` is 1 until the webhooks that wait for an entry know of it."""
_INTO = "INSERT INTO {prefix}audit (at, writer, action, collection, item, detail, pending)"
INSERT = f"{_INTO} VALUES ($1, $2, $3, $4, $5, $6, $7)"
INSERT_MANY = (
    f"{_INTO} SELECT * FROM unnest($1::text[],$2::text[],$3::text[],$4::text[],$5::text[],$6::text[],$7::int[])"  # noqa: S608
)
"""For PostgreSQL: takes the columns."""
ANNOUNCED = frozenset({"publish", "promote", "demote"})
"""What webhooks tell of."""


@dataclass(frozen=True)
class Writer:
    """Who writes.

    Parameters
    ----------
    name
        Of the key, or of the user of this machine.
    team
        The sub-catalog that the key may write; None for all.
    """

    name: str
    team: str | None = None


_WRITER: ContextVar[Writer | None] = ContextVar("modelstac_writer", default=None)


def set_writer(writer: Writer) -> None:
    """Note who writes from here on, in this request."""
    _WRITER.set(writer)


def writer() -> Writer:
    """Return who writes; without a server in between it is the user of this machine."""
    found = _WRITER.get()
    if found is None:
        return _user(*map(os.environ.get, ("LOGNAME", "USER", "LNAME", "USERNAME")))
    return found


@lru_cache(maxsize=4)
def _user(*_: str | None) -> Writer:
    """Return the user of this machine, whom these variables name, or else the system's list of users."""
    import getpass

    try:
        return Writer(LOCAL + getpass.getuser())
    except (KeyError, OSError):  # a user without a name, as in some containers
        return Writer(f"{LOCAL}unknown")


@dataclass(frozen=True)
class Entry:
    """What somebody did.

    Parameters
    ----------
    action
        One of :data:`ACTIONS`.
    collection, item
        The model and the item; None where it concerns none.
    detail
        Such as the alias, what it pointed to before, and the names of the fields that changed.
    at, by, number
        When (RFC 3339, UTC), who, and the place in the log; given when it is written.
    """

    action: str
    collection: str | None = None
    item: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""
    by: str = ""
    number: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"detail": dict(self.detail)}


@dataclass(frozen=True)
class Asked:
    """Which entries are asked for; what is None asks for nothing.

    Parameters
    ----------
    datetime
        A moment or an interval such as ``2026-11/..``.
    collections
        Only of these models, whatever else is asked.
    before
        Only entries before the one with this number.
    limit
        At most so many, the newest first.
    """

    collection: str | None = None
    item: str | None = None
    action: str | None = None
    by: str | None = None
    datetime: str | None = None
    collections: Sequence[str] | None = None
    before: int | None = None
    limit: int = 100

    def statement(self, prefix: str = "") -> tuple[str, list[Any]]:
        """Return the statement that reads them, with ``$1`` for the first parameter, and its parameters.

        Raises
        ------
        InvalidQueryError
            If an action or a time is none.
        """
        if self.action is not None and self.action not in ACTIONS:
            raise InvalidQueryError(f"action: there is no {self.action[:40]!r}; known: {', '.join(ACTIONS)}")
        named = {"collection": self.collection, "item": self.item, "action": self.action, "writer": self.by}
        given = {f"{name} =": value for name, value in named.items() if value is not None}
        conditions, parameters = [f"{name} ${n}" for n, name in enumerate(given, 1)], list(given.values())
        for name, value in self._bounds():
            parameters.append(value)
            conditions.append(f"{name} ${len(parameters)}")
        if self.collections is not None:
            marks = [f"${n}" for n in range(len(parameters) + 1, len(parameters) + 1 + len(self.collections))]
            parameters += self.collections
            conditions.append(f"collection IN ({', '.join(marks)})" if marks else "1 = 0")
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        limit = max(1, min(self.limit, MOST)) + 1
        columns = "number, at, writer, action, collection, item, detail"
        return f"SELECT {columns} FROM {prefix}audit {where}ORDER BY number DESC LIMIT {limit}", parameters  # noqa: S608

    def _bounds(self) -> Iterator[tuple[str, Any]]:
        if self.datetime is not None:
            first, slash, last = self.datetime.partition("/")
            try:
                if first not in {"", ".."}:
                    yield "at >=", _stamp(first_and_last(first)[0])
                if (end := last if slash else first) not in {"", ".."}:
                    yield "at <=", _stamp(first_and_last(end)[1])
            except (ValueError, OverflowError) as error:
                raise InvalidQueryError(
                    f"datetime {self.datetime[:60]!r} is no interval: something like 2026-11-29/.. is needed"
                ) from error
        if self.before is not None:
            yield "number <", self.before

    def page(self, rows: Sequence[Sequence[Any]]) -> tuple[list[Entry], int | None]:
        """Return the entries that rows of the statement hold, and the number before which the next page begins."""
        limit = max(1, min(self.limit, MOST))
        found = [read(row) for row in rows[:limit]]
        return found, found[-1].number if len(rows) > limit else None


def rows(entries: Iterable[Entry]) -> list[tuple[Any, ...]]:
    """Return what :data:`INSERT` stores of entries, here and now."""
    by, at = writer().name, _stamp(datetime.now(UTC))
    return [
        (at, by, e.action, e.collection, e.item, json.dumps(dict(e.detail), ensure_ascii=False), _pending(e))
        for e in entries
    ]


def _pending(entry: Entry) -> int | None:
    return 1 if entry.action in ANNOUNCED else None


def read(row: Sequence[Any]) -> Entry:
    """Return the entry of a row of the table."""
    number, at, by, action, collection, item, detail = row
    return Entry(action, collection, item, json.loads(detail), at, by, number)


def record(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Write entries in the transaction of an SQLite file, whose table is made when it is missing."""
    if found := rows(entries):
        statement = for_sqlite(INSERT)
        try:
            connection.executemany(statement, found)
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            make(connection)
            connection.executemany(statement, found)


def make(connection: sqlite3.Connection) -> None:
    """Make the table of an SQLite file, where it is missing."""
    for statement in TABLES:
        connection.execute(statement.format(prefix="", serial="INTEGER PRIMARY KEY AUTOINCREMENT"))


def entries(connection: sqlite3.Connection, asked: Asked) -> tuple[list[Entry], int | None]:
    """Return a page of the entries of an SQLite file, and the number before which the next begins."""
    statement, parameters = asked.statement()
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'audit'").fetchone() is None:
        return [], None  # an older version wrote all there is
    return asked.page(connection.execute(for_sqlite(statement), parameters).fetchall())


def for_sqlite(statement: str, prefix: str = "") -> str:
    """Return a statement with the parameters and names of SQLite."""
    return statement.format(prefix=prefix).replace("$", "?")


def changes(stored: Mapping[str, Any], changed: Mapping[str, Any]) -> list[Entry]:
    """Return what a change of an item's document is."""
    before, after = stored["properties"], changed["properties"]
    found = []
    if bool(before.get("deprecated")) != bool(after.get("deprecated")):
        found.append("deprecate" if after.get("deprecated") else "reinstate")
    fields = _differing(before, after, _UNTOLD | {"deprecated"})
    fields += [f"assets.{key}" for key in _differing(stored["assets"], changed["assets"], frozenset())]
    place = changed["collection"], changed["id"]
    entries = [Entry(action, *place) for action in found]
    return entries + ([Entry("change", *place, {"fields": fields[:100]})] if fields else [])


def collection_changes(name: str, stored: Mapping[str, Any], changed: Mapping[str, Any]) -> list[Entry]:
    """Return what a change of a collection's document is."""
    found = moves(name, stored.get("interop:aliases"), changed.get("interop:aliases"))
    fields = _differing(stored, changed, _UNTOLD | {"links"})
    return found + ([Entry("change-model", name, None, {"fields": fields[:100]})] if fields else [])


def deletion(name: str, stored: Mapping[str, Any]) -> list[Entry]:
    """Return what the deletion of a model is: its aliases are gone, too, which others may wait for."""
    return [*moves(name, stored.get("interop:aliases"), None), Entry("delete-model", name)]


def moves(name: str, before: Any, after: Any) -> list[Entry]:
    """Return what happened to the aliases of a model, which are item ids by alias."""
    before, after = (found if isinstance(found, Mapping) else {} for found in (before, after))
    found = []
    for alias in sorted(before.keys() | after.keys()):
        was, now = before.get(alias), after.get(alias)
        if was != now:
            action = "promote" if now is not None else "demote"
            found.append(Entry(action, name, now or was, {"alias": alias} | ({"before": was} if was and now else {})))
    return found


def _differing(before: Mapping[str, Any], after: Mapping[str, Any], untold: frozenset[str]) -> list[str]:
    names = (before.keys() | after.keys()) - untold
    return sorted(str(name)[:_LONGEST] for name in names if before.get(name) != after.get(name))


def _stamp(moment: datetime) -> str:
    return in_utc(moment).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
