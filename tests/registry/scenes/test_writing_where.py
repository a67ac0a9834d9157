"""Where items of results go: into static catalogs of other tools, and a server of any items."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
from tests.catalog.server.conftest import serving
from tests.registry.scenes.in_memory import class_map
from tests.registry.scenes.reading_models import model, scene_item, tensor, tif, whole

from modelstac.catalog import open_catalog
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.catalog.items.validation import offline_validator
from modelstac.catalog.sync import sync
from modelstac.registry.scenes.reading.opening import from_api
from modelstac.registry.scenes.writing.write import write

WHEN = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)


@pytest.fixture
def static(tmp_path: Path) -> Iterator[Path]:
    """Give a catalog that pystac wrote, of one collection with the item of a map."""
    write([class_map(patch=300)], tmp_path / "map.tif", overviews=False, when=WHEN)
    item = pystac.Item.from_file(tmp_path / "map.json")
    item.make_asset_hrefs_absolute()
    extent = pystac.Extent(pystac.SpatialExtent([item.bbox or []]), pystac.TemporalExtent([[WHEN, None]]))
    maps = pystac.Collection("maps", "Maps of land cover", extent)
    maps.add_item(item)
    catalog = pystac.Catalog("results", "Maps")
    catalog.add_child(maps)
    catalog.normalize_and_save(str(tmp_path / "static"), pystac.CatalogType.SELF_CONTAINED)
    return tmp_path / "static"


def test_a_static_catalog_of_pystac_holds_it_and_is_searched(static: Path) -> None:
    [item] = pystac.Catalog.from_file(str(static / "catalog.json")).get_items(recursive=True)
    item.validate(validator=offline_validator())
    assert Path(str(item.assets["map"].get_absolute_href())).is_file()
    assert [found.id for found in open_catalog(static).items()] == ["map"]


def test_it_is_copied_to_a_server_that_takes_any_item(static: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "files").mkdir()
    stores = ("--catalog", str(tmp_path / "served.sqlite"), "--artifacts", str(tmp_path / "files"))
    with serving(tmp_path, *stores, MODELSTAC_ITEMS="any") as server:
        monkeypatch.setenv("MODELSTAC_KEY", server.key)
        done = sync(open_catalog(static), open_catalog(server.href))
        assert done.copied == ("map",)
        found = open_catalog(server.href).get("map")
        assert found.properties["proj:code"] == "EPSG:32633"
        again = sync(open_catalog(static), open_catalog(server.href))
        assert (again.copied, again.present) == ((), 1)


def test_a_scene_of_such_a_server_is_searched_and_read_with_a_scale(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "files").mkdir()
    values = np.random.default_rng(0).integers(1, 10_000, (1, 40, 50)).astype(np.uint16)
    path = tif(tmp_path / "B04.tif", values, names=["B04"])
    asset = {"href": str(path), "eo:bands": [{"name": "B04"}], "file:checksum": multihash(sha256(path))}
    item = pystac.Item.from_dict(scene_item(tmp_path, {"B04": asset}))
    item.collection_id = "scenes"
    item.add_link(pystac.Link("collection", "./collection.json", "application/json"))
    stores = ("--catalog", str(tmp_path / "served.sqlite"), "--artifacts", str(tmp_path / "files"))
    with serving(tmp_path, *stores, MODELSTAC_ITEMS="any") as server:
        monkeypatch.setenv("MODELSTAC_KEY", server.key)
        open_catalog(server.href).publish_many([item])
        asked = {"collections": ["scenes"], "datetime": "2023-06-01/2023-06-02"}
        with from_api(server.href, model(tensor(["B04"])), **asked, scale=0.5, offset=2) as found:
            np.testing.assert_array_equal(whole(found).values, values * 0.5 + 2)
            assert any("times 0.5 plus 2" in note for note in found.notes)
