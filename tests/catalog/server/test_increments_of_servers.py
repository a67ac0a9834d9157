"""Copies that go on, from a server over either backend."""

from __future__ import annotations

from pathlib import Path

from tests.catalog.server.conftest import Server
from tests.catalog.test_sync import content

from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.increments import sync_on
from modelstac.catalog.testing import ONNX, Examples


def test_a_copy_of_a_server_goes_on(server: Server, tmp_path: Path) -> None:
    source = ApiCatalog(server.href, key=server.key)
    source.publish_many(Examples(tmp_path / "made").various())
    target, state = open_catalog(tmp_path / "copy.sqlite", create=True), tmp_path / "state.json"
    assert len(sync_on(source, target, state).synced.copied) == 9
    assert sorted(source.ids()) == sorted(target.ids()) == sorted(item.id for item in source.items())
    new = source.publish(Examples(tmp_path / "new").item(version="9.0.0"))
    source.delete(ONNX)
    done = sync_on(source, target, state, delete=True)
    assert (done.synced.copied, done.deleted) == ((new.id,), (ONNX,))
    assert content(target) == content(source)


def test_ids_are_read_page_by_page(server: Server, tmp_path: Path) -> None:
    source = ApiCatalog(server.href, key=server.key)
    examples = Examples(tmp_path / "made")
    made = [examples.item(version=f"1.{number}.0") for number in range(12)]
    source.publish_many(made)
    asked = source._api.follow
    pages = []

    def follow(link: dict) -> dict:
        pages.append(link)
        return asked(link | {"body": link["body"] | {"limit": 5}} if len(pages) == 1 else link)

    source._api.follow = follow  # type: ignore[method-assign]
    assert sorted(source.ids()) == sorted(item.id for item in made)
    assert len(pages) == 3
