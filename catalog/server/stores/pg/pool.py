"""Connections to PostgreSQL: made when they are needed, waited for at the start, and its errors told as ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import orjson

from modelstac.catalog.errors import (
    InvalidItemError,
    InvalidQueryError,
    ItemExistsError,
    ModelStacError,
    NotFoundError,
    StorageError,
    UnavailableError,
)

Connection = Any  # asyncpg has no types

# Of so many characters a whole number may be beyond 64 bits.
_LONG = 19
LOG = logging.getLogger("modelstac.server")
ADVICE = "check that PostgreSQL runs and that 'modelstac database migrate' was done"
_WAIT_FOR_CONNECTION = 20.0
_CONNECTED_WITHIN = 10.0
# PostgreSQL itself ends a search that takes too long; a machine that is away ends nothing.
_GRACE = 5.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0
# A search takes milliseconds, and so does starting the workers of a parallel plan or compiling one.
_SETTINGS = {
    "search_path": "pgstac,public",
    "application_name": "modelstac",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    # A page's token has times as PostgreSQL writes them, and not every way of writing them is read as the same time.
    "datestyle": "ISO",
    "timezone": "UTC",
}
# What is said of a database that starts, ends, is full of connections, or is out of reach.
_PASSING = (
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)


class Pool:
    """Connections to one database.

    Parameters
    ----------
    url
        ``postgresql://`` address.
    connections
        Most connections at a time.
    seconds
        How long a statement that reads may take.
    wait
        How many seconds to wait, when it is opened, for a database that is starting or cannot be reached.
    """

    def __init__(self, url: str, *, connections: int, seconds: float, wait: float) -> None:
        self._url, self._connections, self._seconds, self._wait = url, connections, seconds, wait
        self._pool: Any = None

    async def open(self, check: Callable[[], Awaitable[None]]) -> None:
        """Connect, and again while the database is only not there yet.

        Parameters
        ----------
        check
            Asks the database whether it is the right one.

        Raises
        ------
        UnavailableError
            If the database does not answer in time, or ``check`` says so.
        StorageError
            If it refuses the user, or there is no database of that name.
        """
        end, pause = time.monotonic() + self._wait, _SHORTEST_PAUSE
        while True:
            try:
                return await self._connect(check)
            except UnavailableError as error:
                if not isinstance(error.__cause__, _PASSING):
                    raise
                left, reason = end - time.monotonic(), _reason(error.__cause__)
                if left <= 0:
                    waited = f", for {self._wait:g} s" if self._wait else ""
                    raise UnavailableError(f"the database does not answer{waited} ({reason}): {ADVICE}") from error
                if pause == _SHORTEST_PAUSE:
                    LOG.warning("the database does not answer (%s): waiting up to %g s for it", reason, self._wait)
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _connect(self, check: Callable[[], Awaitable[None]]) -> None:
        async with explained():
            try:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=1,
                    max_size=self._connections,
                    timeout=_CONNECTED_WITHIN,
                    command_timeout=60,
                    init=_use_json,
                    reset=_keep_session,
                    server_settings=_SETTINGS | {"statement_timeout": f"{self._seconds:g}s"},
                )
            except _REFUSED as error:
                raise StorageError(f"the database refuses ({_reason(error)}): check MODELSTAC_DATABASE") from error
        try:
            await check()
        except BaseException:
            self._pool.terminate()
            raise

    async def close(self) -> None:
        """Give the connections back once their requests are done."""
        if self._pool is not None:
            await self._pool.close()

    @contextlib.asynccontextmanager
    async def connection(self, *, write: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection; one that writes has a transaction begun."""
        assert self._pool is not None, "the store is opened before it is used"
        # Whoever waits holds nothing; there is no second connection for one request.
        async with explained(), self._pool.acquire(timeout=_WAIT_FOR_CONNECTION) as connection:
            if not write:
                async with _ended_when_late(connection), asyncio.timeout(self._seconds + _GRACE):
                    yield connection
                return
            async with connection.transaction(), _ended_when_late(connection):
                await connection.execute("SET LOCAL statement_timeout = 0")
                yield connection


@contextlib.asynccontextmanager
async def _ended_when_late(connection: Connection) -> AsyncIterator[None]:
    """Close a connection that has not answered in time: to take back what was asked it would be waited for again."""
    try:
        yield
    except TimeoutError:
        connection.terminate()
        raise


async def _keep_session(_connection: Connection) -> None:
    # All that is set or locked here ends with its transaction: a request to undo it would be in vain.
    pass


def read_json(text: str) -> Any:
    """Return what a JSON text says; a number beyond a double, which others stored, is shown digit by digit."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_int=_number, parse_float=_number)


def _number(text: str) -> Any:
    try:
        return orjson.loads(text) if len(text) < _LONG else orjson.Fragment(text)
    except orjson.JSONDecodeError:
        return orjson.Fragment(text)


async def _use_json(connection: Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=lambda value: orjson.dumps(value).decode(),
            decoder=read_json,
        )


def _reason(error: BaseException | None) -> str:
    """Return what an error says of itself, in one line; some say nothing."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split())[:200] or type(error).__name__


@contextlib.asynccontextmanager
async def explained() -> AsyncIterator[None]:
    """Turn PostgreSQL's errors into ours; their details name tables and settings and are not for clients."""
    try:
        yield
    except ModelStacError:  # some of ours are OSErrors too
        raise
    except asyncpg.UniqueViolationError as error:
        raise ItemExistsError("the id is taken: published items do not change, choose another") from error
    except asyncpg.NoDataFoundError as error:
        raise NotFoundError("no such item or collection") from error
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.exceptions.UntranslatableCharacterError) as error:
        LOG.warning("refused by PostgreSQL: %s", error)
        raise InvalidItemError("the document: it holds what PostgreSQL cannot store") from error
    except (asyncpg.DataError, asyncpg.RaiseError, asyncpg.SyntaxOrAccessError, asyncpg.QueryCanceledError) as error:
        LOG.warning("not answered by PostgreSQL: %s", error)
        raise InvalidQueryError("the search: it compares what cannot be compared, or takes too long") from error
    # An internal error is what a connection gives that the database ended between two requests.
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        # Also while it restarts, and when two transactions wait for each other: the pool connects again.
        raise UnavailableError(f"the database does not answer ({type(error).__name__}): {ADVICE}") from error
