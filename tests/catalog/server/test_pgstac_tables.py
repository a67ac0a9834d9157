"""What ``modelstac database migrate`` adds to pgstac is as pgstac would have made it, and stays there."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.catalog.server import postgres
from tests.catalog.server.conftest import serving

from modelstac.catalog import Query
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.server.stores.migrate import migrate
from modelstac.catalog.server.stores.queryables import INDEXED
from modelstac.catalog.testing import Examples

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


def test_what_others_loaded_and_is_odd_hides_nothing(cluster: postgres.Cluster, tmp_path: Path) -> None:
    scene: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "collection": "c",
        "geometry": {"type": "Point", "coordinates": [0, 0]},
        "bbox": [0, 0, 0, 0],
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "links": [{"rel": "via", "href": "https://example.org/"}],
        "assets": {"data": {"href": "https://example.org/data.tif"}},
    }
    changes: dict[str, dict[str, Any]] = {
        "right": {},
        "box": {"bbox": "x"},
        "texts": {"bbox": ["a", "b", "c", "d"]},
        "five": {"bbox": [0, 0, 0, 0, 0]},
        "links": {"links": 5},
        "link": {"links": [{"rel": "via"}, "x"]},
        "assets": {"assets": None},
        "asset": {"assets": {"data": {"type": "image/tiff"}, "text": "x"}},
    }
    with cluster.database() as url:
        with connected(url) as connection:
            asked(connection, """SELECT create_collection('{"id": "c", "type": "Collection"}')""")
            for name, others in changes.items():
                asked(connection, "SELECT create_item(%s)", json.dumps(scene | {"id": name} | others))
        with serving(tmp_path, "--artifacts", str(tmp_path / "files"), MODELSTAC_DATABASE=url) as server:
            features = {one["id"]: one for one in server.get("search?limit=100").json()["features"]}
            assert features.keys() == changes.keys()
            assert features["asset"]["assets"] == features["assets"]["assets"] == {}
            assert features["right"]["assets"] == scene["assets"]
            found = server.get("search?limit=100&bbox=-1,-1,1,1").json()["features"]
            assert {one["id"] for one in found} == changes.keys() - {"box", "texts", "five"}
            for name in changes:
                assert server.get(f"collections/c/items/{name}").json() == features[name]
            assert {item.id for item in ApiCatalog(server.href).search()} == changes.keys()


def test_what_others_loaded_without_a_version_and_with_any_number_is_read(
    cluster: postgres.Cluster, tmp_path: Path
) -> None:
    scene = json.loads(ITEM % "c") | {"assets": {}, "links": [], "type": "Feature"}
    numbers = '"PyTorch", "n": 1e400, "m": 12345678901234567890123, "x": 1.5'
    text = json.dumps(scene | {"id": "n"}).replace('"PyTorch"', numbers)
    with cluster.database() as url:
        with connected(url) as connection:
            asked(connection, "SELECT create_collection(%s::jsonb)", json.dumps({"id": "c", "stac_version": "1.0.0"}))
            asked(connection, "SELECT create_collection(%s::jsonb)", json.dumps({"id": "d"}))
            for one in (scene, scene | {"id": "b", "stac_version": 3}, scene | {"id": "e", "collection": "d"}):
                # As pypgstac loads an item: what its collection has and it has not is marked as missing.
                asked(connection, "SELECT create_item(%s::jsonb)", json.dumps({"stac_version": "𒍟※"} | one))
            asked(connection, "SELECT create_item(%s::jsonb)", text)
        with serving(tmp_path, "--artifacts", str(tmp_path / "files"), MODELSTAC_DATABASE=url) as server:
            versions = {f["id"]: f["stac_version"] for f in server.get("search").json()["features"]}
            assert versions == {"a": "1.0.0", "b": "1.0.0", "e": "1.1.0", "n": "1.0.0"}
            answer = server.get("collections/c/items/n")
            assert f'"n":1{"0" * 400}' in answer.text
            said = answer.json()["properties"]
            assert (said["n"], said["m"], said["x"]) == (10**400, 12345678901234567890123, 1.5)
            catalog = ApiCatalog(server.href, key=server.key)
            assert sorted(item.id for item in catalog.items()) == ["a", "b", "e", "n"]
            assert catalog.get("c/n").properties["n"] == 10**400
            assert catalog.get("c/a").id == "a"
            assert server.get("models/c").status_code == 200


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


def test_pages_by_time_go_on_however_the_database_writes_times(cluster: postgres.Cluster, tmp_path: Path) -> None:
    with cluster.database() as url:
        with connected(url) as connection:
            for setting in "datestyle = 'SQL, DMY'", "timezone = 'Asia/Kolkata'":
                connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET {setting}".encode())
        with serving(tmp_path, "--artifacts", str(tmp_path / "files"), MODELSTAC_DATABASE=url) as server:
            catalog = ApiCatalog(server.href, key=server.key)
            examples = Examples(tmp_path / "made")
            ends = [datetime(2010, 8, 27, hour) for hour in range(6)]
            catalog.publish_many([examples.item(version=f"1.{end.hour}.0", end=end) for end in ends])
            found: list[str] = []
            token = None
            for _ in range(3):
                page = catalog.page(Query(sortby=("-end_datetime",), limit=2, token=token))
                found += [document["properties"]["version"] for document in page.documents]
                token = page.next
    assert (found, token) == ([f"1.{hour}.0" for hour in reversed(range(6))], None)
