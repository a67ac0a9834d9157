"""The catalog behind an API keeps the contract, over real servers of both kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.catalog.server.conftest import Server, serving
from tests.catalog.test_sync import others, write_catalog

from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.messages import Message, Note
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import CatalogContract


class TestApiCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self, server: Server) -> Catalog:
        return ApiCatalog(server.href, key=server.key)


def test_scenes_of_others_are_there_when_they_are_copied_again(tmp_path: Path) -> None:
    links = [
        {"rel": "via", "href": "./other.json"},
        {"rel": "license", "href": "https://example.org/license", "unknown:field": 5},
    ]
    # pystac writes these times anew: with a fraction of six digits, without one, with a Z.
    times = ("2020-06-01T00:00:00.5Z", "2020-06-01T00:00:00.000Z", "2020-06-01T00:00:00+00:00")
    scenes = [
        others(number, "a", stac_extensions=[], properties={"datetime": time}, links=links)
        for number, time in enumerate(times)
    ]
    # One that no server takes keeps none of the others out.
    odd = others(3, "a", stac_extensions=[], properties={"datetime": times[0]}) | {"id": "a b"}
    write_catalog(tmp_path / "others", {"a": [*scenes, odd]})
    source = open_catalog(tmp_path / "others")
    (tmp_path / "server").mkdir()
    place = str(tmp_path / "server" / "models.sqlite")
    with serving(tmp_path / "server", "--catalog", place, MODELSTAC_ITEMS="any") as server:
        target, heard = ApiCatalog(server.href, key=server.key), list[Message]()
        assert len(sync(source, target, report=heard.append).copied) == 3
        notes = [message.text for message in heard if isinstance(message, Note)]
        assert any(note.startswith("a b is left out: id: 'a b' is no name") for note in notes)
        assert "item 'item-0': its link 'via' leads to this machine only, and is left out" in notes
        again = sync(source, target)
        assert (again.copied, again.present) == ((), 3)
        stored = server.get("collections/a/items/item-0").json()
        moved = stored | {"geometry": {"type": "Point", "coordinates": [-70, 50]}, "bbox": [-70, 50, -70, 50]}
        assert server.request("PUT", "collections/a/items/item-0", key=True, json=moved).status_code == 204
        west, *_ = server.get("collections/a").json()["extent"]["spatial"]["bbox"][0]
        assert west <= -70
        assert str(tmp_path) not in server.get("search").text
    assert [link for link in stored["links"] if link["rel"] == "license"] == links[1:]
