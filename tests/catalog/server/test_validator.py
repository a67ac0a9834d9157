"""stac-api-validator finds no error in either server; its schemas come from here, so that no network is needed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.server.conftest import Server, own_environment, serving
from tests.catalog.server.postgres import Cluster

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.items.schemas import SHIPPED_URIS, core_uris, find_schema
from modelstac.catalog.testing import Examples

VALIDATOR = "stac-api-validator==0.6.8"
CLASSES = ("core", "collections", "features", "features#filter", "item-search", "item-search#filter", "transaction")
SQUARE = {"type": "Polygon", "coordinates": [[[1, 50], [5, 50], [5, 54], [1, 54], [1, 50]]]}
# What its test of transactions makes and changes is a scene, and its first request deletes it.
SCENE = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "S2A_47XNF_20230423_0_L2A",
    "geometry": {"type": "Point", "coordinates": [99.0, 77.0]},
    "bbox": [99.0, 77.0, 99.0, 77.0],
    "properties": {"datetime": "2023-04-23T06:47:03Z"},
    "links": [],
    "assets": {},
}


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has the validator: two of its packages bring the same module."""
    return own_environment(tmp_path_factory.mktemp("validator"), VALIDATOR)


@pytest.fixture(params=["embedded", "pgstac"])
def open_to_scenes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Give a server that takes items of any kind, as the validator publishes one."""
    if request.param == "embedded":
        with serving(tmp_path, "--catalog", str(tmp_path / "models.sqlite"), MODELSTAC_ITEMS="any") as server:
            yield server
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    place = str(tmp_path / "files")
    with (
        cluster.database() as url,
        serving(tmp_path, "--artifacts", place, MODELSTAC_DATABASE=url, MODELSTAC_ITEMS="any") as server,
    ):
        yield server


def test_the_validator_finds_no_error(open_to_scenes: Server, validator: Path, tmp_path: Path) -> None:
    server = open_to_scenes
    ApiCatalog(server.href, key=server.key).publish_many(Examples(tmp_path / "made").various())
    created = server.request("POST", "collections/pacific/items", key=True, json=SCENE)
    assert created.status_code == 201, created.text
    schemas = tmp_path / "schemas.json"
    schemas.write_text(json.dumps({uri.removesuffix("#"): find_schema(uri) for uri in (*core_uris(), *SHIPPED_URIS)}))
    asked: dict[str, Any] = {
        "root_url": server.href,
        "ccs_to_validate": CLASSES,
        "collection": "convlstm-knmi",
        "geometry": json.dumps(SQUARE),
        "auth_bearer_token": server.key,
        "transaction_collection": "pacific",
        "fields_nested_property": None,
    }
    program = Path(__file__).with_name("validator_process.py")
    done = subprocess.run(
        [validator, program, schemas, json.dumps(asked)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == []
    # It looked: stac-check has recommendations for documents that it could read.
    assert any("stac-check recommendations" in warning for warning in found["warnings"])
