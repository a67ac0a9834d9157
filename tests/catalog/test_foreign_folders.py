"""Folder catalogs that other tools, and people, have changed: read, searched, published beside, and nothing dropped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pystac
import pytest
from tests.catalog.test_sync import others, write_catalog

from modelstac.catalog import Query, StaticCatalog
from modelstac.catalog.errors import NotFoundError
from modelstac.catalog.items.documents import VERSION_RELS
from modelstac.catalog.testing import NEWER, TORCH, Examples

NAME = "convlstm-knmi"


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    return Examples(tmp_path / "made")


@pytest.fixture
def root(tmp_path: Path, examples: Examples) -> Path:
    folder = tmp_path / "catalog"
    StaticCatalog(folder, create=True).publish_many(examples.various())
    return folder


def changed(path: Path, change: Any) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def versions(item: pystac.Item) -> dict[str, str]:
    """Return the ids of the documents that an item's version links lead to, whatever they are called."""
    links = [link for link in item.links if link.rel in VERSION_RELS]
    return {str(f.rel): json.loads(Path(str(f.get_href(transform_href=False))).read_text())["id"] for f in links}


def held(root: Path, examples: Examples, *, ids: int = 9) -> None:
    """Assert that a catalog has what it had, finds it, and takes one more item without losing any."""
    catalog = StaticCatalog(root)
    before = {item.id for item in catalog.items()}
    assert len(before) == ids
    assert sorted(catalog.ids()) == sorted(before)
    assert {item.id for item in catalog.search()} == before
    assert catalog.get(NEWER).id == NEWER
    catalog.publish(examples.item(version="9.0.0"))
    catalog.deprecate(NEWER)
    again = StaticCatalog(root)
    assert {item.id for item in again.items()} == {*before, f"{NAME}-9.0.0-torch"}
    assert [item.id for item in again.search(deprecated=True)] == [NEWER]
    assert versions(again.get(f"{NAME}-9.0.0-torch"))["predecessor-version"] == f"{NAME}-1.10.0-torch"
    assert versions(again.get(TORCH))["successor-version"] == NEWER
    again.set_alias(NAME, "champion", NEWER)
    assert again.get(f"{NAME}@champion").id == NEWER
    again.set_alias(NAME, "champion", None)
    again.delete(NEWER)
    assert {item.id for item in StaticCatalog(root).items()} == {*before, f"{NAME}-9.0.0-torch"} - {NEWER}


@pytest.mark.parametrize("kind", ["ABSOLUTE_PUBLISHED", "RELATIVE_PUBLISHED", "SELF_CONTAINED"])
def test_links_by_pystac(root: Path, examples: Examples, kind: str) -> None:
    catalog = pystac.Catalog.from_file(str(root / "catalog.json"))
    catalog.normalize_hrefs(str(root))
    catalog.save(pystac.CatalogType[kind])
    if kind == "ABSOLUTE_PUBLISHED":
        [item] = [f for f in json.loads((root / "unet/collection.json").read_text())["links"] if "2.0.0" in f["href"]]
        assert item["href"].startswith("/")
    held(root, examples)


def test_files_that_pystac_laid_elsewhere(root: Path, examples: Examples) -> None:
    catalog = pystac.Catalog.from_file(str(root / "catalog.json"))
    strategy = pystac.layout.TemplateLayoutStrategy(item_template="${version}/item-${interop:variant}.json")
    catalog.normalize_hrefs(str(root), strategy=strategy)
    catalog.save(pystac.CatalogType.SELF_CONTAINED)
    for old in {path.parent for path in root.glob("*/*-*/*-*.json")}:
        for left in old.glob("*.json"):
            if left.stem == old.name:
                left.unlink()
    held(root, examples)


def test_links_to_the_address_that_it_is_served_from(root: Path, examples: Examples) -> None:
    address = "https://models.example.org/eo"

    def published(document: Any, here: str) -> None:
        for link in document["links"]:
            if not link["href"].startswith("http"):
                path = (root / here).parent / link["href"]
                link["href"] = f"{address}/{path.resolve().relative_to(root.resolve())}"
        document["links"].append({"rel": "self", "href": f"{address}/{here}"})

    for path in root.rglob("*.json"):
        if path.name != "metrics.json":
            here = str(path.relative_to(root))
            changed(path, lambda document, here=here: published(document, here))
    held(root, examples)


@pytest.mark.parametrize("how", ["renamed", "linked", "by two names"])
def test_a_folder_of_a_model_that_is_elsewhere(root: Path, examples: Examples, how: str, tmp_path: Path) -> None:
    if how == "linked":
        shutil.move(root / NAME, tmp_path / "disk")
        (root / NAME).symlink_to(tmp_path / "disk")
    elif how == "by two names":
        (root / "weather").mkdir()
        (root / "weather" / NAME).symlink_to(root / NAME)
        (root / "weather" / "back").symlink_to(root)
        changed(root / "catalog.json", lambda d: _replaced(d, f"./{NAME}/", f"./weather/{NAME}/"))
    else:
        (root / NAME).rename(root / "rain")
        changed(root / "catalog.json", lambda d: _replaced(d, f"./{NAME}/", "./rain/"))
    held(root, examples)
    assert len(list(root.rglob("collection.json"))) == (2 if how == "linked" else 3)


def test_catalogs_between(root: Path, examples: Examples) -> None:
    (root / "weather" / "radar").mkdir(parents=True)
    shutil.move(root / NAME, root / "weather" / "radar" / NAME)
    changed(root / "catalog.json", lambda d: _replaced(d, f"./{NAME}/collection.json", "./weather/catalog.json"))
    for place, child in (("weather", "./radar/index.json"), ("weather/radar/index.json", f"./{NAME}/collection.json")):
        path = root / place / "catalog.json" if place == "weather" else root / place
        links = [{"rel": "child", "href": child}]
        path.write_text(
            json.dumps(
                {"type": "Catalog", "stac_version": "1.1.0", "id": path.stem, "description": "x", "links": links}
            )
        )
    # A collection below a collection, too.
    shutil.move(root / "pacific", root / "unet" / "pacific")
    changed(root / "catalog.json", lambda d: d.update(links=[f for f in d["links"] if "pacific" not in f["href"]]))
    child = {"rel": "child", "href": "./pacific/collection.json"}
    changed(root / "unet/collection.json", lambda d: d["links"].append(child))
    held(root, examples)
    assert {collection.id for collection in StaticCatalog(root).collections()} == {NAME, "unet", "pacific"}


def test_items_in_the_root_and_files_of_other_names(root: Path, examples: Examples) -> None:
    scene = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "geometry": {"type": "Point", "coordinates": [5, 52]},
        "bbox": [5, 52, 5, 52],
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "links": [],
        "assets": {"data": {"href": "./data.tif"}},  # without a checksum, and not even there
    }
    for number, place in enumerate(("one.json", "two.json", "deeper/one.json")):
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).write_text(json.dumps(scene | {"id": f"scene-{number}"}))
        link = {"rel": "item", "href": f"./{place}"}
        changed(root / "catalog.json", lambda d, link=link: d["links"].append(link))
    held(root, examples, ids=12)
    catalog = StaticCatalog(root)
    assert catalog.get("scene-1").assets["data"].href == str(root / "data.tif")
    assert {collection.id for collection in catalog.collections()} == {NAME, "unet", "pacific"}
    catalog.delete("scene-0")
    assert {path.name for path in root.iterdir()} >= {"two.json", "deeper", "unet", "catalog.json"}
    assert not (root / "one.json").exists()
    assert {"scene-1", "scene-2"} <= set(StaticCatalog(root).ids())
    with pytest.raises(NotFoundError):
        catalog.get("scene-0")


def test_items_that_share_a_folder_are_deleted_one_by_one(root: Path) -> None:
    folder = root / "unet" / "unet-2.0.0-torch"
    shutil.copy(root / "unet/unet-2.1.0-torch/unet-2.1.0-torch.json", folder / "unet-2.1.0-torch.json")
    changed(root / "unet/collection.json", lambda d: _replaced(d, "./unet-2.1.0-torch/", "./unet-2.0.0-torch/"))
    StaticCatalog(root).delete("unet-2.0.0-torch")
    [left] = StaticCatalog(root).search(collections="unet")
    assert left.id == "unet-2.1.0-torch"
    assert Path(left.assets["model"].href).is_file()


def test_a_collection_that_no_link_leads_to_is_not_overwritten(root: Path, examples: Examples) -> None:
    changed(root / "catalog.json", lambda d: d.update(links=[f for f in d["links"] if NAME not in f["href"]]))
    assert len(list(StaticCatalog(root).items())) == 3
    StaticCatalog(root).publish(examples.item(version="9.0.0"))
    assert len(list(StaticCatalog(root).items())) == 10


def test_a_folder_that_holds_something_else_is_left_alone(root: Path, examples: Examples) -> None:
    other = root / NAME / f"{NAME}-9.0.0-torch" / "notes.txt"
    other.parent.mkdir()
    other.write_text("mine")
    StaticCatalog(root).publish(examples.item(version="9.0.0"))
    assert other.read_text() == "mine"
    assert StaticCatalog(root).get(f"{NAME}-9.0.0-torch").id == f"{NAME}-9.0.0-torch"


def _replaced(document: Any, before: str, after: str) -> None:
    for link in document["links"]:
        link["href"] = link["href"].replace(before, after)


def test_half_a_character_is_carried_as_it_was_found(root: Path, examples: Examples) -> None:
    changed(root / NAME / "collection.json", lambda d: d.update(note="Rain \ud83c"))
    [file] = root.glob(f"*/{NEWER}/{NEWER}.json")
    changed(file, lambda d: d["properties"].update({"note": "\udf27"}))
    catalog = StaticCatalog(root)
    catalog.publish(examples.item(version="9.0.0"))
    catalog.deprecate(NEWER)
    assert json.loads((root / NAME / "collection.json").read_text())["note"] == "Rain \ud83c"
    properties = json.loads(file.read_text())["properties"]
    assert (properties["note"], properties["deprecated"]) == ("\udf27", True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes and devices")
@pytest.mark.parametrize("where", ["catalog.json", f"{NAME}/collection.json"])
def test_links_to_what_is_no_file(root: Path, examples: Examples, where: str) -> None:
    rel = "child" if where == "catalog.json" else "item"
    folder = (root / where).parent
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    (folder / "round.json").symlink_to("round.json")
    odd = ("./\ud800/item.json", "./\0.json", f"./{'a' * 5_000}.json", "./pipe.json", "./folder.json", "./round.json")
    changed(root / where, lambda d: d["links"].extend({"rel": rel, "href": href} for href in (*odd, "/dev/zero")))
    catalog = StaticCatalog(root)
    assert len(list(catalog.search())) == 9
    assert len(catalog.page(Query()).notes) >= len(odd)
    assert catalog.get(NEWER).id == NEWER
    catalog.publish(examples.item(version="9.0.0"))
    assert len(list(StaticCatalog(root).search())) == 10
    links = {link["href"] for link in json.loads((root / where).read_text())["links"]}
    assert links >= {*odd, "/dev/zero"}


def test_a_collection_of_a_version_that_is_none(root: Path) -> None:
    changed(root / "pacific/collection.json", lambda d: d.update(stac_version="\0x"))
    assert NAME in {collection.id for collection in StaticCatalog(root).collections()}
    assert len(list(StaticCatalog(root).search())) >= 8


def test_a_link_to_another_place_is_named_by_its_address(root: Path) -> None:
    for href in ("https://example.org/eo/collection.json", "s3://bucket/eo/collection.json"):
        changed(root / "catalog.json", lambda d, href=href: d["links"].append({"rel": "child", "href": href}))
    notes = StaticCatalog(root).page(Query(fields=("id",))).notes
    assert len(notes) == 2
    said = "is left out: it is in another place than this catalog: open that one by its own address"
    assert notes[0] == f"https://example.org/eo/collection.json {said}"
    assert len(StaticCatalog(root).search()) == 9


def test_ids_with_what_stands_between_a_collection_and_an_id(tmp_path: Path) -> None:
    ids = ["org/model", "model@main", "S2 L2A:1"]
    write_catalog(tmp_path / "others", {"a": [others(number, "a", id=one) for number, one in enumerate(ids)]})
    catalog = StaticCatalog(tmp_path / "others")
    assert [catalog.get(one).id for one in (*ids, "a/org/model")] == [*ids, "org/model"]
    with pytest.raises(NotFoundError, match="no item 'org/other'"):
        catalog.get("org/other")
