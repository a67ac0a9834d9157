"""The search index of a catalog that is no database: an SQLite file derived from its documents.

It lies in the user's cache, and beside the catalog where its keeper put one. When a document has changed, only what
changed is read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from modelstac.catalog.ahead import batches
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql import rows
from modelstac.catalog.search.sql.fields import reduced
from modelstac.catalog.search.sql.functions import register
from modelstac.catalog.search.sql.schema import VERSION, prepare
from modelstac.catalog.search.sql.search import Search

_AT_A_TIME = 500
Alias = tuple[str, str, str]
"""Collection, alias and item id."""


class Content(NamedTuple):
    """What an index is derived from.

    Parameters
    ----------
    href
        Where the catalog is; the file in the user's cache is named after it.
    stamp
        What changes whenever a document of the catalog does; where only collections can be told apart, those.
    sources
        Gives, by the path of each item, the path of its collection and what changes with its document; None where
        that cannot be told.
    read
        Gives the items' documents at some paths, in their order; of one that is none, what is wrong with it.
    problems
        Gives what is wrong with collections that cannot be read, by path.
    aliases
        Gives every alias.
    shipped
        Writes the index that lies beside the catalog into a file, and tells whether there is one.
    """

    href: str
    stamp: str
    sources: Callable[[], Mapping[str, tuple[str, str | None]]]
    read: Callable[[list[str]], Iterable[Document | str]]
    problems: Callable[[], Mapping[str, str]]
    aliases: Callable[[], Iterable[Alias]]
    shipped: Callable[[Path], bool]


class Found(NamedTuple):
    """Path, collection's path and document of each item of a page, token of the next page, number of matches.

    Notes say of each document that is left out why.
    """

    items: list[tuple[str, str, Document]]
    token: str | None
    matched: int | None
    notes: tuple[str, ...] = ()


def search(content: Content, query: Query, *, count: bool) -> Found:
    """Return one page of a search in a catalog, by an index that is as new as the catalog."""
    # An index is a copy: whatever is wrong with it, or with the cache's disk, it can be done without.
    with contextlib.suppress(OSError, sqlite3.Error), contextlib.closing(_open(current(content))) as connection:
        return _found(connection, query, count=count)
    with contextlib.closing(_open(None)) as connection:
        _renew(connection, content)
        return _found(connection, query, count=count)


def current(content: Content) -> Path:
    """Return the file of the index in the user's cache, which is brought up to date if need be."""
    import platformdirs

    folder = platformdirs.user_cache_path("modelstac") / "search"
    file = folder / f"{hashlib.sha256(content.href.encode()).hexdigest()}.sqlite"
    if _stamp_of(file) == _stamp(content):
        return file
    folder.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{os.urandom(16).hex()}")
    try:
        if not _is_sound(file, temporary, copy=True) and content.shipped(temporary):
            _is_sound(temporary, temporary)
        with contextlib.closing(_open(temporary)) as connection:
            # Nobody sees the file before it is whole, and a torn one is built again.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = MEMORY")  # an item that cannot be stored is taken back
            _renew(connection, content)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return file


def scan(items: Iterable[Document], aliases: Iterable[Alias], query: Query, *, count: bool) -> Page:
    """Return one page of a search among these items, without a file."""
    with contextlib.closing(_open(None)) as connection:
        connection.execute("BEGIN")
        prepare(connection)
        rows.insert(connection, items)
        connection.executemany("INSERT INTO aliases VALUES (?, ?, ?)", aliases)
        found = Search(connection, query)
        keys, token = found.rows()
        documents = tuple(reduced(json.loads(item.text), query.fields) for item in rows.read(connection, keys))
        return Page(documents, token, found.count() if count else None)


def _open(file: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:" if file is None else file, isolation_level=None)
    register(connection)
    return connection


def _stamp(content: Content) -> str:
    return f"{VERSION} {content.stamp}"


def _stamp_of(file: Path) -> str | None:
    if not file.is_file():
        return None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_open(file)) as connection:
        return str(connection.execute("SELECT stamp FROM derived").fetchone()[0])
    return None


def _is_sound(file: Path, target: Path, *, copy: bool = False) -> bool:
    """Tell whether a file has just the tables of an index and is not damaged; what is not is removed.

    It may be somebody else's, and views or triggers of theirs would run with our functions.
    """
    with contextlib.suppress(OSError, sqlite3.Error):
        if copy:
            shutil.copyfile(file, target)
        with contextlib.closing(_open(target)) as connection, contextlib.closing(_open(None)) as expected:
            _prepare(expected)
            same = _schema(connection) == _schema(expected)
            if same and connection.execute("PRAGMA quick_check").fetchone() == ("ok",):
                return True
    target.unlink(missing_ok=True)
    return False


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def _prepare(connection: sqlite3.Connection) -> None:
    prepare(connection)
    connection.execute("CREATE TABLE IF NOT EXISTS derived (stamp TEXT)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS sources "
        "(path TEXT PRIMARY KEY, collection TEXT, tag TEXT, id TEXT, model TEXT, problem TEXT)"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS sources_id ON sources (id)")


def _renew(connection: sqlite3.Connection, content: Content) -> None:
    """Bring an index, which may be empty, to what the catalog has now."""
    connection.execute("BEGIN")
    _prepare(connection)
    connection.execute("DELETE FROM aliases")
    sources = content.sources()
    known = {path: rest for path, *rest in connection.execute("SELECT path, tag, id, model FROM sources")}
    # Published items do not change, so one whose tag cannot be told is taken for the one that is known.
    fresh = [
        path
        for path, (_, tag) in sources.items()
        if path not in known or known[path][1] is None or (tag is not None and tag != known[path][0])
    ]
    for path in {path for path in known if path not in sources}.union(known.keys() & set(fresh)):
        if known[path][1] is not None:
            rows.delete(connection, known[path][1], known[path][2])
        connection.execute("DELETE FROM sources WHERE path = ?", (path,))
    for some in batches(fresh, _AT_A_TIME):
        read = dict(zip(some, content.read(some), strict=True))
        problems = {path: found for path, found in read.items() if isinstance(found, str)}
        documents = {path: found for path, found in read.items() if not isinstance(found, str)}
        problems |= _insert(connection, documents)
        connection.executemany(
            "INSERT INTO sources VALUES (?, ?, ?, ?, ?, NULL)",
            [(p, *sources[p], d["id"], d["collection"]) for p, d in documents.items() if p not in problems],
        )
        connection.executemany(
            "INSERT INTO sources VALUES (?, ?, ?, NULL, NULL, ?)",
            [(path, *sources[path], problem) for path, problem in problems.items()],
        )
    connection.executemany(
        "INSERT OR REPLACE INTO sources VALUES (?, NULL, NULL, NULL, NULL, ?)", list(content.problems().items())
    )
    connection.executemany("INSERT INTO aliases VALUES (?, ?, ?)", content.aliases())
    connection.execute("DELETE FROM derived")
    connection.execute("INSERT INTO derived VALUES (?)", (_stamp(content),))
    connection.execute("COMMIT")


_UNFIT = (sqlite3.Error, ModelStacError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _insert(connection: sqlite3.Connection, found: Mapping[str, Document]) -> dict[str, str]:
    """Store documents, and return by path what is wrong with those that cannot be stored."""
    with contextlib.suppress(*_UNFIT), _all_or_none(connection):
        rows.insert(connection, found.values())
        return {}
    problems = {}
    for path, document in found.items():
        try:
            with _all_or_none(connection):
                rows.insert(connection, [document])
        except sqlite3.IntegrityError:
            problems[path] = f"another item of its collection has the id {document['id']!r}, too"
        except _UNFIT as error:
            problems[path] = " ".join(f"it cannot be searched: {error}".split())[:200]
    return problems


@contextlib.contextmanager
def _all_or_none(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT some")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK TO some")
        raise
    finally:
        connection.execute("RELEASE some")


def _found(connection: sqlite3.Connection, query: Query, *, count: bool) -> Found:
    search = Search(connection, query)
    keys, token = search.rows()
    documents = [json.loads(item.text) for item in rows.read(connection, keys)]
    ids = json.dumps([document["id"] for document in documents])
    places = {
        (model, item_id): places
        for model, item_id, *places in connection.execute(
            "SELECT model, id, path, collection FROM sources WHERE id IN (SELECT value FROM json_each(?))", (ids,)
        )
    }
    items = [(*places[document["collection"], document["id"]], document) for document in documents]
    notes = connection.execute("SELECT path, problem FROM sources WHERE problem IS NOT NULL ORDER BY path").fetchall()
    said = tuple(f"{path} is left out: {problem}" for path, problem in notes)
    return Found(items, token, search.count() if count else None, said)
