"""The search index of a catalog that is no database: a derived SQLite file, built anew when the catalog has changed."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs

from modelstac.catalog.base import Page
from modelstac.catalog.documents import Document
from modelstac.catalog.query import Query
from modelstac.catalog.sql import rows
from modelstac.catalog.sql.fields import reduced
from modelstac.catalog.sql.functions import register
from modelstac.catalog.sql.schema import prepare
from modelstac.catalog.sql.search import Search

_AT_A_TIME = 500
Alias = tuple[str, str, str]
Content = Callable[[], tuple[Iterable[Document], Iterable[Alias]]]
"""Gives all items, and collection, alias and item id of every alias."""


def search(href: str, stamp: str | None, content: Content, query: Query, *, count: bool) -> Page:
    """Return one page of a search in a catalog.

    Parameters
    ----------
    href
        Where the catalog is; the file in the user's cache is named after it.
    stamp
        What changes whenever the catalog does; None when that cannot be told, and then nothing is kept.
    """
    if stamp is not None:
        file = (
            platformdirs.user_cache_path("modelstac") / "search" / f"{hashlib.sha256(href.encode()).hexdigest()}.sqlite"
        )
        # An index is a copy: whatever is wrong with it, or with the cache's disk, it can be done without.
        with contextlib.suppress(OSError, sqlite3.Error):
            if not _is_current(file, stamp):
                _build(file, stamp, content)
            with contextlib.closing(_open(file)) as connection:
                return _page(connection, query, count=count)
    with contextlib.closing(_open(None)) as connection:
        _fill(connection, "", content)
        return _page(connection, query, count=count)


def _open(file: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:" if file is None else file, isolation_level=None)
    register(connection)
    return connection


def _is_current(file: Path, stamp: str) -> bool:
    if not file.is_file():
        return False
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_open(file)) as connection:
        return bool(connection.execute("SELECT stamp FROM derived").fetchone() == (stamp,))
    return False


def _build(file: Path, stamp: str, content: Content) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{uuid.uuid4().hex}")
    try:
        with contextlib.closing(_open(temporary)) as connection:
            # Nobody sees the file before it is whole, and a torn one is built again.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = OFF")
            _fill(connection, stamp, content)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(connection: sqlite3.Connection, stamp: str, content: Content) -> None:
    items, aliases = content()
    connection.execute("BEGIN")
    prepare(connection)
    rest = iter(items)
    while some := list(itertools.islice(rest, _AT_A_TIME)):
        rows.insert(connection, some)
    connection.executemany("INSERT INTO aliases VALUES (?, ?, ?)", aliases)
    connection.execute("CREATE TABLE derived (stamp TEXT)")
    connection.execute("INSERT INTO derived VALUES (?)", (stamp,))
    connection.execute("COMMIT")


def _page(connection: sqlite3.Connection, query: Query, *, count: bool) -> Page:
    found = Search(connection, query)
    keys, token = found.rows()
    documents = tuple(reduced(json.loads(item.text), query.fields) for item in rows.read(connection, keys))
    return Page(documents, token, found.count() if count else None)
