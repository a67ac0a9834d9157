"""Pages of models on the server: what they lead to, how they are asked for, and that no copy takes them along."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pystac
import pytest
from tests.catalog.pages.models import NAME, land_cover
from tests.catalog.server.conftest import Server

from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.items.links import PAGE_FIELD
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.sync import sync

CHAMPION = f"{NAME}-1.1.0-torch"


@pytest.fixture
def published(server: Server, tmp_path: Path) -> ApiCatalog:
    catalog = ApiCatalog(server.href, key=server.key)
    catalog.publish_many(land_cover(tmp_path / "made"))
    catalog.set_alias(NAME, "champion", CHAMPION)
    return catalog


def pages(links: list[dict[str, object]]) -> list[dict[str, object]]:
    return [link for link in links if PAGE_FIELD in link]


def test_a_page_leads_to_what_is_there_and_is_led_to(published: ApiCatalog, server: Server) -> None:
    path = f"collections/{NAME}/items/{CHAMPION}"
    for document in (server.get(path).json(), server.get(f"collections/{NAME}").json()):
        [about] = pages(document["links"])
        assert about["rel"] == "about"
        assert about["href"] == f"{server.href}/models/{NAME}"
    [found] = server.get("search", params={"ids": CHAMPION}).json()["features"]
    assert len(pages(found["links"])) == 1

    page = server.get(f"models/{NAME}")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert f"{NAME}@champion" in page.text
    assert server.href in page.text
    targets = set(re.findall(r'(?:href|src)="(\.\./[^"]+)"', page.text))
    assert f"../collections/{NAME}" in targets
    assert sum(target.startswith("../artifacts/") for target in targets) >= 3
    for target in targets:
        assert server.get(target.removeprefix("../"), stream=True).status_code == 200, target

    [listed] = [link for link in server.get("").json()["links"] if link["rel"] == "about"]
    assert listed["href"] == f"{server.href}/models"
    index = server.get("models").text
    assert f'href="models/{NAME}"' in index
    assert 'href="./">As STAC' in index


def test_a_page_is_asked_for_as_its_siblings_are(published: ApiCatalog, server: Server) -> None:
    for path in ("models", f"models/{NAME}"):
        whole = server.get(path, headers={"Accept-Encoding": "identity"})
        head = server.request("HEAD", path, headers={"Accept-Encoding": "identity"})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["ETag"] == whole.headers["ETag"]
        assert server.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
        assert server.request("POST", path).status_code == 405
    tag = server.get(f"models/{NAME}").headers["ETag"]
    published.set_alias(NAME, "champion", f"{NAME}-1.0.0-torch")
    changed = server.get(f"models/{NAME}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert f"champion is</span> {NAME}-1.0.0-torch" in changed.text
    missing = server.get("models/gone")
    assert missing.status_code == 404
    assert "no model 'gone'" in missing.json()["description"]


def test_the_link_is_the_servers_and_no_part_of_an_item(published: ApiCatalog, server: Server, tmp_path: Path) -> None:
    path = f"collections/{NAME}/items/{CHAMPION}"
    again = server.get(path)
    put = server.request("PUT", path, key=True, json=again.json(), headers={"If-Match": again.headers["ETag"]})
    assert put.status_code == 204, put.text
    assert len(pages(server.get(path).json()["links"])) == 1
    item = published.get(CHAMPION)
    assert [link.href for link in read_item(item).links] == ["https://doi.org/10.5281/zenodo.1234567"]

    for place in ("copy", "copy.sqlite"):
        target = open_catalog(tmp_path / place, create=True)
        sync(published, target)
        copied = target.get(CHAMPION)
        assert not pages([link.to_dict(transform_href=False) for link in copied.links])
        assert len(copied.get_links("cite-as")) == 1
    with sqlite3.connect(tmp_path / "copy.sqlite") as database:
        assert PAGE_FIELD not in "".join(database.iterdump())


def test_what_is_no_model_has_no_page_in_its_links(server: Server) -> None:
    collection = {
        "type": "Collection",
        "stac_version": pystac.get_stac_version(),
        "id": "scenes",
        "description": "Scenes.",
        "license": "other",
        "extent": {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
    }
    assert server.request("POST", "collections", key=True, json=collection).status_code == 201
    assert not pages(server.get("collections/scenes").json()["links"])
    assert "scenes" not in server.get("models").text
    assert server.get("models/scenes").status_code == 200
