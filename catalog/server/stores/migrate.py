"""``modelstac database migrate``: pgstac's schema by pypgstac, then our queryables and their indexes."""

from __future__ import annotations

import json
import time

from modelstac.catalog.errors import MissingPackageError, StorageError
from modelstac.catalog.server.stores.pg.functions import statements
from modelstac.catalog.server.stores.queryables import PROPERTIES

_OF_PGSTAC = frozenset({"id", "collection", "geometry", "datetime", "start_datetime", "end_datetime"})


def migrate(url: str, *, wait: float = 0.0) -> str:
    """Bring a database to the pgstac of this installation; doing it again changes nothing.

    Parameters
    ----------
    url
        ``postgresql://`` address of a database that has PostGIS; its user may create extensions and roles.
    wait
        Seconds to wait for a database that is still starting.

    Returns
    -------
    str
        The version of pgstac that the database now has.

    Raises
    ------
    StorageError
        If the database does not answer or refuses the migration.
    MissingPackageError
        If pypgstac is not installed.
    """
    try:
        import psycopg
        from pypgstac.db import PgstacDB
        from pypgstac.migrate import Migrate
    except ImportError as error:
        raise MissingPackageError.extra("pypgstac", "pgstac", "migrating a database") from error

    _wait(url, wait)
    try:
        with PgstacDB(dsn=url) as database:
            version: str = Migrate(database).run_migration()
        definitions = {name: found for name, found in PROPERTIES.items() if name not in _OF_PGSTAC}
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET search_path = pgstac, public")
            connection.execute(
                "SELECT upsert_queryables(%s::jsonb)", [json.dumps({"type": "object", "properties": definitions})]
            )
            for statement in statements():
                connection.execute(statement.encode())
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise StorageError(
            f"cannot migrate the database: {reason}; it needs PostGIS and a user who may create roles"
        ) from error
    return version


def _wait(url: str, seconds: float) -> None:
    import psycopg

    end = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                reason = str(error).strip().splitlines()[-1]
                raise StorageError(
                    f"the database does not answer: {reason}; check its address and that it runs"
                ) from error
            time.sleep(0.5)
        else:
            return
