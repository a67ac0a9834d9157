"""One way to ask SQLite and PostgreSQL: the tables beside the items are few and plain, and their statements the same.

What is asked is written once, as coroutines over a :class:`Session`. On SQLite none of them waits for anything, so that
:func:`run_now` runs them to their end in the thread that holds the transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from modelstac.catalog import journal

Result = TypeVar("Result")
TABLES = (
    *journal.TABLES,
    "CREATE TABLE IF NOT EXISTS {prefix}catalogs (id TEXT PRIMARY KEY, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS {prefix}children (parent TEXT NOT NULL, kind TEXT NOT NULL, child TEXT NOT NULL, "
    "owns INTEGER NOT NULL, PRIMARY KEY (parent, kind, child))",
    "CREATE INDEX IF NOT EXISTS children_child ON {prefix}children (kind, child)",
    # What is to be sent to webhooks: which, of which entry of the audit log, when, and why it was not.
    "CREATE TABLE IF NOT EXISTS {prefix}deliveries (number {serial}, hook TEXT NOT NULL, entry BIGINT NOT NULL, "
    "attempts INTEGER NOT NULL, due TEXT NOT NULL, error TEXT, dead INTEGER, UNIQUE (hook, entry))",
    "CREATE INDEX IF NOT EXISTS deliveries_due ON {prefix}deliveries (due) WHERE dead IS NULL",
)
PREFIX = "modelstac."
"""Of the tables in PostgreSQL: the schema that ``modelstac database migrate`` makes."""


class Session(Protocol):
    """A transaction; ``{prefix}`` stands before the names of tables, ``$1`` for the first parameter."""

    async def fetch(self, statement: str, *parameters: Any) -> Sequence[Sequence[Any]]:
        """Return the rows of a statement."""

    async def record(self, entries: Iterable[journal.Entry]) -> None:
        """Write entries of the audit log."""


class SqliteSession:
    """A transaction of an SQLite file; tables that are missing are made."""

    def __init__(self, connection: sqlite3.Connection, *, write: bool = True) -> None:
        self._connection = connection
        if write:
            for statement in TABLES:
                connection.execute(statement.format(prefix="", serial="INTEGER PRIMARY KEY AUTOINCREMENT"))
        self._there = write or _is_there(connection)

    async def fetch(self, statement: str, *parameters: Any) -> Sequence[Sequence[Any]]:
        """Return the rows of a statement; none where there are no tables yet."""
        return self._connection.execute(journal.for_sqlite(statement), parameters).fetchall() if self._there else []

    async def record(self, entries: Iterable[journal.Entry]) -> None:
        """Write entries of the audit log."""
        journal.record(self._connection, entries)


class PgSession:
    """A transaction of PostgreSQL."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: str, *parameters: Any) -> Sequence[Sequence[Any]]:
        """Return the rows of a statement."""
        found: Sequence[Sequence[Any]] = await self._connection.fetch(statement.format(prefix=PREFIX), *parameters)
        return found

    async def record(self, entries: Iterable[journal.Entry]) -> None:
        """Write entries of the audit log."""
        if rows := journal.rows(entries):
            # One statement for all of them: thousands one by one take a third of the time of storing their items.
            columns = [list(column) for column in zip(*rows, strict=True)]
            await self._connection.execute(journal.INSERT_MANY.format(prefix=PREFIX), *columns)


def _is_there(connection: sqlite3.Connection) -> bool:
    statement = "SELECT count(*) FROM sqlite_schema WHERE name IN ('audit', 'children', 'deliveries')"
    return bool(connection.execute(statement).fetchone()[0] == 3)


def run_now(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    work.close()
    raise AssertionError("what runs in a thread's transaction waits for nothing")
