"""What collections say: kept as people wrote it, whatever is published into them, and changed in one step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.collections import merging
from modelstac.catalog.items.identity import FROM_ITEMS
from modelstac.catalog.testing.examples import NEWER, TORCH, Examples
from modelstac.catalog.testing.fixtures import Filled

_WIDER = {"type": "Polygon", "coordinates": [[[5, 50], [30, 50], [30, 55], [5, 50]]]}


def written(name: str = "convlstm-knmi") -> dict[str, Any]:
    """Return a collection that people wrote: with what no item says."""
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": name,
        "title": "Nowcasts",
        "description": "Written by *people*.",
        "license": "CC-BY-4.0",
        "keywords": ["rain"],
        "providers": [{"name": "KNMI", "roles": ["producer"], "url": "https://example.org"}],
        "extent": {
            "spatial": {"bbox": [[-10, 40, 0, 20, 60, 100], [0, 50, 0, 1, 51, 9], [2, 50, 0, 3, 51, 9]]},
            "temporal": {"interval": [["2010-01-01T00:00:00Z", None]]},
        },
        "summaries": {"gsd": {"minimum": 1, "maximum": 2}, "platform": [f"p{number}" for number in range(40)]},
        "assets": {"picture": {"href": "https://example.org/p.png", "roles": ["thumbnail"], "note": [1, {"a": None}]}},
        "item_assets": {"model": {"roles": ["mlm:model"], "title": "Weights"}},
        "more": {"of": ["others"]},
        "links": [{"rel": "license", "href": "https://example.org/license", "title": "L", "hreflang": "en"}],
    }


def told(catalog: Catalog, name: str = "convlstm-knmi") -> dict[str, Any]:
    """Return what a collection says."""
    found = {document["id"]: document for document in catalog.collection_documents()}
    return merging.said(found[name], catalog.href)


class Describing(Filled):
    """The tests."""

    def test_a_collection_that_people_wrote_is_as_they_wrote_it(self, catalog: Catalog) -> None:
        catalog.change_collection("convlstm-knmi", lambda _: written())
        assert told(catalog) == written()
        assert [found.id for found in catalog.collections()] == ["convlstm-knmi"]
        assert list(catalog.ids()) == []

    def test_what_is_published_into_it_changes_no_word_of_it(self, catalog: Catalog, examples: Examples) -> None:
        catalog.change_collection("convlstm-knmi", lambda _: written())
        catalog.publish(examples.item())
        catalog.publish(examples.item(version="1.2.0", geometry=_WIDER))
        catalog.delete(TORCH)
        found = told(catalog)
        extent, summaries = found.pop("extent"), found.pop("summaries")
        wanted = written()
        assert extent["spatial"]["bbox"] == [[-10, 40, 30, 60], *wanted.pop("extent")["spatial"]["bbox"][1:]]
        assert extent["temporal"]["interval"] == [["2010-01-01T00:00:00Z", None]]
        models = {name: values for name, values in summaries.items() if name.startswith("mlm:")}
        assert "PyTorch" in models["mlm:framework"]
        assert summaries == wanted.pop("summaries") | models
        assert found == wanted

    def test_a_description_is_that_of_the_newest_item_until_somebody_writes_another(
        self, catalog: Catalog, examples: Examples
    ) -> None:
        def publish(version: str) -> Any:
            catalog.publish(examples.item(version=version, description=f"Of {version}."))
            return told(catalog)["description"]

        assert [publish("1.0.0"), publish("1.2.0")] == ["Of 1.0.0.", "Of 1.2.0."]
        written = {key: value for key, value in told(catalog).items() if key != FROM_ITEMS} | {"description": "Mine."}
        catalog.change_collection("convlstm-knmi", lambda _: written)  # by somebody who knows nothing of that field
        assert publish("1.3.0") == "Mine."
        catalog.delete(TORCH)
        found = told(catalog)
        assert (found["description"], found["summaries"]["version"]) == ("Mine.", ["1.2.0", "1.3.0"])
        assert found[FROM_ITEMS] == "Of 1.3.0."
        catalog.change_collection("convlstm-knmi", lambda here: {**(here or {}), "description": "Of 1.3.0."})
        assert publish("1.4.0") == "Of 1.4.0."

    def test_a_change_leaves_items_aliases_and_rules_alone(self, filled: Catalog) -> None:
        filled.protect_alias("convlstm-knmi", "best", ["proved"])
        filled.set_alias("convlstm-knmi", "champion", NEWER)
        before = sorted(filled.references())
        filled.change_collection("convlstm-knmi", lambda here: {**(here or {}), "license": "MIT", "keywords": ["new"]})
        assert sorted(filled.references()) == before
        assert filled.aliases("convlstm-knmi") == {"champion": NEWER}
        assert filled.get(NEWER).id == NEWER
        found = {document["id"]: document for document in filled.collection_documents()}["convlstm-knmi"]
        assert (found["license"], found["keywords"]) == ("MIT", ["new"])
        assert found["interop:alias_rules"] == {"best": ["proved"]}

    @pytest.mark.parametrize("name", ["", ".", "..", "../outside", "a/b", "/outside", "\0", "a b", "x" * 300])
    def test_a_name_that_leads_elsewhere_is_refused(self, catalog: Catalog, name: str) -> None:
        with pytest.raises(InvalidItemError):
            catalog.change_collection(name, lambda _: written(name))
        assert list(catalog.collection_documents()) == []

    @pytest.mark.parametrize("changes", [{"extent": None}, {"title": 5}, {"assets": [1]}, {"license": None}])
    def test_what_is_no_collection_is_refused(self, catalog: Catalog, changes: dict[str, Any]) -> None:
        catalog.change_collection("convlstm-knmi", lambda _: written())
        for name in ("convlstm-knmi", "another"):
            with pytest.raises(InvalidItemError, match=next(iter(changes))):
                catalog.change_collection(name, lambda _, name=name: written(name) | changes)  # type: ignore[misc]
        assert [found["id"] for found in catalog.collection_documents()] == ["convlstm-knmi"]
        assert told(catalog) == written()

    def test_a_change_that_fails_changes_nothing(self, filled: Catalog) -> None:
        before = told(filled)

        def fail(_: Any) -> Any:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            filled.change_collection("convlstm-knmi", fail)
        with pytest.raises(ZeroDivisionError):
            filled.change_collection("another", fail)
        assert told(filled) == before
        assert "another" not in {document["id"] for document in filled.collection_documents()}

    def test_many_who_change_it_at_once_lose_nothing(self, catalog: Catalog) -> None:
        catalog.change_collection("convlstm-knmi", lambda _: written())

        def add(word: str) -> None:
            catalog.change_collection("convlstm-knmi", lambda here: {**here, "keywords": [*here["keywords"], word]})  # type: ignore[dict-item,index]

        words = [f"word-{number}" for number in range(8)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(add, words))
        assert sorted(told(catalog)["keywords"]) == sorted(["rain", *words])
