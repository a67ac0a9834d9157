"""Connections to one SQLite file: one a thread and process, write-ahead log, errors in one line."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from modelstac.catalog.errors import CatalogError, InvalidQueryError, StorageError
from modelstac.catalog.search.sql.functions import register

APPLICATION_ID = 0x4D535443  # "MSTC", so that nobody's other database is taken for a catalog
_WAIT_SECONDS = 60.0
_STEPS = 20_000  # of SQLite's machine, between two looks at the clock: about a millisecond
_ADVICE = {
    "locked": "another process writes; try again",
    "full": "free some space and try again, nothing was stored",
    "readonly": "ask for write permission there, or name another file",
    "disk i/o": "check the disk and try again, nothing was stored",
    "unable to open": "check that its folder is there and may be written",
}


def _opened(uri: str, *pragmas: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, timeout=_WAIT_SECONDS, isolation_level=None, uri=True)
    try:
        # The size of the cache is in KiB; bulk writes touch all indexes.
        for pragma in (*pragmas, "temp_store = MEMORY", "mmap_size = 1073741824", "cache_size = -65536"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA application_id").fetchone()  # reads the file
        register(connection)
    except BaseException:
        connection.close()
        raise
    return connection


class Database:
    """A SQLite file that threads and processes share.

    Parameters
    ----------
    path
        The file; it is made when it is first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._local = threading.local()

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, opened on first use; one inherited by a fork is never touched."""
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held is None or held[0] != os.getpid():
            # The old one is kept alive: closing it here would drop the locks of the parent process.
            self._local.inherited = held
            held = self._local.held = (os.getpid(), self._open())
        return held[1]

    def _open(self) -> sqlite3.Connection:
        with self.explained("open"):
            try:
                # FULL: what was acknowledged survives the loss of power too, not only of the process.
                return _opened(self.path.as_uri(), "journal_mode = WAL", "synchronous = FULL")
            except sqlite3.OperationalError:
                for uri in self._only_to_read():
                    with contextlib.suppress(sqlite3.OperationalError):
                        return _opened(uri, "query_only = 1")
                raise

    def _only_to_read(self) -> list[str]:
        """Return how the file can be opened where nothing may be written, such as on a medium that is read-only."""
        if not self.path.is_file():
            return []
        wal = self.path.with_name(f"{self.path.name}-wal")
        uri = f"{self.path.as_uri()}?mode=ro"
        # Without a log that somebody may be writing, what is in the file is all there is.
        return [uri] if wal.exists() and wal.stat().st_size else [uri, f"{uri}&immutable=1"]

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        held = getattr(self._local, "held", None)
        self._local.held = None
        if held is not None and held[0] == os.getpid():
            held[1].close()

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a consistent view: whatever others write meanwhile is not seen."""
        connection = self.connection()
        if connection.in_transaction:
            yield connection
            return
        with self.explained("read"):
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give a transaction of which all is stored, or nothing; other writers wait."""
        connection = self.connection()
        with self.explained("write"):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Break off the statements of this thread that run longer: they raise InvalidQueryError."""
        connection, end = self.connection(), time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            yield
        finally:
            connection.set_progress_handler(None, 0)

    @contextlib.contextmanager
    def explained(self, action: str) -> Iterator[None]:
        """Turn SQLite's errors inside into ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            reason = str(error)
            if reason == "interrupted":
                raise InvalidQueryError("the search takes longer than this server gives it: ask for less") from error
            advice = next((text for word, text in _ADVICE.items() if word in reason), "")
            raise StorageError(f"cannot {action} {self.path}: {reason}{'; ' + advice if advice else ''}") from error
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error) or "malformed" in str(error):
                raise CatalogError(f"{self.path} is no catalog, or a damaged one to restore from a copy") from error
            raise
