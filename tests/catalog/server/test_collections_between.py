"""Collections copied through servers: into each and out again, and into and out of somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.catalog.server.conftest import Server

from modelstac.catalog import Catalog, open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.items import documents
from modelstac.catalog.messages import Message, Note
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import Examples
from modelstac.catalog.testing.describing import told, written

NAME = "convlstm-knmi"


def filled(place: Path, made: Path, **changes: Any) -> Catalog:
    catalog = open_catalog(place, create=True)
    catalog.change_collection(NAME, lambda _: written() | changes)
    catalog.change_collection("empty", lambda _: written("empty"))
    catalog.publish_many(Examples(made).various())
    catalog.set_alias(NAME, "champion", "convlstm-knmi-1.1.0-torch")
    catalog.protect_alias(NAME, "champion", ["proved"])
    return catalog


def test_there_and_back(server: Server, tmp_path: Path) -> None:
    first = filled(tmp_path / "first", tmp_path / "made")
    there = ApiCatalog(server.href, key=server.key)
    back = open_catalog(tmp_path / "back", create=True)
    wanted = {name: told(first, name) for name in (NAME, "empty", "unet", "pacific")}
    for before, after in ((first, there), (first, there), (there, back)):
        heard: list[Message] = []
        sync(before, after, report=heard.append)
        assert not [message for message in heard if isinstance(message, Note)]
        assert {name: told(after, name) for name in wanted} == wanted
        rules = {found["id"]: found.get("interop:alias_rules") for found in after.collection_documents()}
        assert (rules[NAME], after.aliases(NAME)) == ({"champion": ["proved"]}, first.aliases(NAME))
    # No page, form or list of the server went along with its items.
    rels = {link.rel for item in back.items() for link in item.links}
    assert rels <= {"root", "parent", "collection", "self", "derived_from", "license", *documents.VERSION_RELS}


def test_a_collection_of_an_earlier_version_of_stac(server: Server, tmp_path: Path) -> None:
    declared = ["https://stac-extensions.github.io/item-assets/v1.0.0/schema.json"]
    first = filled(tmp_path / "first", tmp_path / "made", stac_version="1.0.0", stac_extensions=declared)
    there = ApiCatalog(server.href, key=server.key)
    for _ in range(2):
        sync(first, there)
        found = told(there)
        assert (found["stac_version"], found.get("stac_extensions", [])) == ("1.1.0", [])
        assert found["item_assets"] == written()["item_assets"]
    key = {"key": True, "json": written("odd") | {"stac_version": "0.9.0"}}
    answer = server.request("POST", "collections", **key)
    assert (answer.status_code, answer.json()["detail"]) == (400, "stac_version: 1.0.0 or 1.1.0 is needed")
    unknown = written("odd") | {"stac_extensions": ["https://example.org/none/v1.0.0/schema.json"]}
    answer = server.request("POST", "collections", key=True, json=unknown)
    assert answer.status_code == 400
    assert "has no schema 'https://example.org/none" in answer.json()["detail"]


def test_what_leads_to_this_machine_only_stays_here(server: Server, tmp_path: Path) -> None:
    near = {"picture": {"href": "./p.png"}, "far": {"href": "https://example.org/p.png"}}
    first = filled(tmp_path / "first", tmp_path / "made", assets=near)
    there = ApiCatalog(server.href, key=server.key)
    heard: list[Message] = []
    sync(first, there, report=heard.append)
    assert told(there)["assets"] == {"far": near["far"]}
    (note,) = (message.text for message in heard if isinstance(message, Note))
    assert note == f"collection '{NAME}': 1 of its links or assets leads to this machine only, and is left out"


def test_who_may_not_change_a_collection_is_told_and_goes_on(server: Server, tmp_path: Path) -> None:
    first = filled(tmp_path / "first", tmp_path / "made")
    sync(first, ApiCatalog(server.href, key=server.key))
    before = told(ApiCatalog(server.href))
    first.change_collection(NAME, lambda here: {**(here or {}), "another": "word"})
    heard: list[Message] = []
    done = sync(first, ApiCatalog(server.href), report=heard.append)
    assert (done.copied, done.present) == ((), 9)
    (note,) = (message.text for message in heard if isinstance(message, Note))
    assert note.startswith(f"what collection '{NAME}' says is not copied: ")
    assert "key" in note
    assert told(ApiCatalog(server.href)) == before
