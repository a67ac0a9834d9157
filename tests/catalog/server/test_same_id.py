"""Items of one id in two collections, which others may have loaded into pgstac."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.catalog.server import postgres
from tests.catalog.server.conftest import serving
from tests.catalog.server.test_bulk import NAMES, documents, many

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.errors import AmbiguousError
from modelstac.catalog.search.query import Query
from modelstac.registry.choosing.resolve import resolve


def test_two_collections_may_have_the_same_id(cluster: postgres.Cluster, tmp_path: Path) -> None:
    import psycopg

    with cluster.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET search_path = pgstac, public")
            for document in documents(many(tmp_path, 2)):
                name = document["collection"]
                collection = {
                    "type": "Collection",
                    "stac_version": "1.1.0",
                    "id": name,
                    "description": name,
                    "license": "other",
                    "extent": {
                        "spatial": {"bbox": [[-180, -90, 180, 90]]},
                        "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]},
                    },
                    "links": [],
                }
                connection.execute("SELECT create_collection(%s::jsonb)", [json.dumps(collection)])
                foreign = document | {
                    "id": "same",
                    "stac_extensions": [url for url in document["stac_extensions"] if "/mlm/" in url],
                    "properties": {
                        key: value
                        for key, value in document["properties"].items()
                        if key.startswith("mlm:") or "datetime" in key
                    },
                }
                connection.execute("SELECT create_item(%s::jsonb)", [json.dumps(foreign)])
        with serving(tmp_path, "--artifacts", str(tmp_path / "files"), MODELSTAC_DATABASE=url) as server:
            catalog = ApiCatalog(server.href)
            both = {(name, "same") for name in NAMES}
            assert {(item.collection_id, item.id) for item in catalog.search(Query())} == both
            page = server.get("search", params={"limit": 1}).json()
            link = next(link for link in page["links"] if link["rel"] == "next")
            rest = server.get(link["href"].removeprefix(f"{server.href}/")).json()
            assert {(f["collection"], f["id"]) for f in page["features"] + rest["features"]} == both
            with pytest.raises(AmbiguousError, match="first-model/same"):
                catalog.get("same")
            for name in NAMES:
                assert catalog.get(f"{name}/same").collection_id == name
                assert resolve(f"{name}/same", catalog=catalog).item.collection_id == name
            deleted = server.request("DELETE", "collections/first-model/items/same", key=True)
            assert deleted.status_code == 204, deleted.text
            assert catalog.get("same").collection_id == "second-model"
