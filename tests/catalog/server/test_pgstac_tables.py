"""What ``modelstac database migrate`` adds to pgstac is as pgstac would have made it, and stays there."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.catalog.server import postgres

from modelstac.catalog.server.stores.migrate import migrate
from modelstac.catalog.server.stores.queryables import INDEXED

ITEM = """{"id": "a", "collection": "%s", "geometry": {"type": "Point", "coordinates": [0, 0]},
    "properties": {"datetime": "2020-01-01T00:00:00Z", "mlm:framework": "PyTorch"}}"""
CHECK = "SELECT check_partition(%s, '[2020-01-01,2020-01-02]', '[2020-01-01,2020-01-02]')"
TABLE = """
    SELECT tableowner, (SELECT relacl::text FROM pg_class WHERE oid = format('pgstac.%%I', tablename)::regclass),
        (SELECT array_agg(replace(indexdef, tablename, 'it') ORDER BY replace(indexdef, tablename, 'it'))
            FROM pg_indexes i WHERE i.tablename = t.tablename),
        (SELECT to_jsonb(s) - 'partition' - 'collection' FROM partition_stats s WHERE partition = tablename)
    FROM pg_tables t WHERE tablename = %s"""


def connected(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("SET search_path = pgstac, public")
    return connection


def asked(connection: psycopg.Connection[Any], statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    return connection.execute(statement.encode(), parameters).fetchall()


def test_a_partition_of_ours_is_as_one_of_pgstac(cluster: postgres.Cluster) -> None:
    with cluster.database() as url, connected(url) as connection:
        for name in ("ours", "theirs"):
            asked(connection, "SELECT create_collection(jsonb_build_object('id', %s::text))", name)
        asked(connection, "SELECT modelstac.add_partition('ours')")
        asked(connection, CHECK, "ours")
        asked(connection, CHECK, "theirs")
        ours, theirs = (asked(connection, TABLE, f"_items_{key}") for key in (1, 2))
        assert ours == theirs
        assert len(ours[0][2]) == 3 + len(INDEXED) + 2
        for drop in "false", "true":
            assert not asked(connection, f"SELECT maintain_partition_queries('items', {drop})")


def test_an_index_that_a_queryable_wants_is_left_to_pgstac(cluster: postgres.Cluster) -> None:
    with cluster.database() as url, connected(url) as connection:
        asked(connection, """SELECT upsert_queryable('title', '{"type": "string"}', NULL, 'BTREE')""")
        asked(connection, """SELECT create_collection('{"id": "c"}')""")
        asked(connection, "SELECT modelstac.add_partition('c')")
        assert asked(connection, "SELECT to_regclass('pgstac._items_1')") == [(None,)]
        asked(connection, CHECK, "c")
        assert any("'title'" in found for found in asked(connection, TABLE, "_items_1")[0][2])


def test_a_database_of_before_keeps_each_index_once(cluster: postgres.Cluster) -> None:
    from pypgstac.db import PgstacDB
    from pypgstac.migrate import Migrate

    cluster.execute("CREATE DATABASE before")
    url = cluster.url("before")
    try:
        with PgstacDB(dsn=url) as database:
            Migrate(database).run_migration()
        with connected(url) as connection:
            named = ", ".join(f"""'{name}', '{{"type": "string"}}'::jsonb""" for name in INDEXED)
            statement = (
                f"SELECT upsert_queryables(jsonb_build_object('properties', jsonb_build_object({named})), NULL, %s)"
            )
            asked(connection, statement, list(INDEXED))
            asked(connection, """SELECT create_collection('{"id": "c"}')""")
            asked(connection, "SELECT create_item(%s)", ITEM % "c")
            before = asked(connection, TABLE, "_items_1")[0][2]
        migrate(url)
        migrate(url)
        with connected(url) as connection:
            after = asked(connection, TABLE, "_items_1")[0][2]
            assert len(after) == len(before) + 2
            assert not asked(connection, "SELECT maintain_partition_queries('items', true)")
    finally:
        cluster.execute("DROP DATABASE before WITH (FORCE)")


@pytest.mark.parametrize("make", ["SELECT modelstac.add_partition(%s)", CHECK], ids=["ours", "theirs"])
def test_documents_are_compressed_fast_where_postgresql_can(cluster: postgres.Cluster, make: str) -> None:
    with cluster.database() as url, connected(url) as connection:
        known = "SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'"
        if "lz4" not in asked(connection, known)[0][0]:
            pytest.skip("this PostgreSQL is built without lz4")
        asked(connection, """SELECT create_collection('{"id": "c"}')""")
        asked(connection, make, "c")
        words = ", ".join(f'"{number} {number**7}": "once more and once more"' for number in range(200))
        item = ITEM.replace('"mlm:', f'{words}, "mlm:') % "c"
        # As COPY does; what pgstac puts into a table of its own before is compressed there.
        asked(connection, "INSERT INTO items SELECT * FROM content_dehydrate(%s::jsonb) RETURNING id", item)
        assert asked(connection, "SELECT pg_column_compression(content) FROM items") == [("lz4",)]
