"""What two catalogs say of one collection: copied, merged, and kept where both said something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelstac.catalog import Catalog, open_catalog
from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.increments import sync_on
from modelstac.catalog.items.collections.merging import merged
from modelstac.catalog.items.collections.widening import reaching, widened
from modelstac.catalog.items.identity import FROM_ITEMS
from modelstac.catalog.messages import Message, Note
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import NEWER, TORCH, Examples
from modelstac.catalog.testing.describing import told, written

NAME = "convlstm-knmi"
TAKE = "(--theirs takes that of the source)"


def describe(catalog: Catalog, name: str = NAME, **changes: Any) -> None:
    catalog.change_collection(name, lambda here: {**(here or written(name)), **changes})


def pair(tmp_path: Path) -> tuple[Catalog, Catalog]:
    return open_catalog(tmp_path / "a", create=True), open_catalog(tmp_path / "b.sqlite", create=True)


def test_collections_come_over_as_they_are_through_every_kind(tmp_path: Path, bucket: str) -> None:
    first = open_catalog(tmp_path / "first", create=True)
    describe(first)
    describe(first, "empty", description="no items yet")
    first.publish_many(Examples(tmp_path / "made").various())
    first.change_collection("unet", lambda here: {**(here or {}), "title": "By hand"})
    before, wanted = first, {name: told(first, name) for name in (NAME, "empty", "unet", "pacific")}
    for place in (tmp_path / "second.sqlite", f"{bucket}/third", tmp_path / "fourth"):
        after = open_catalog(place, create=True)
        for _ in range(2):
            sync(before, after)
            assert {name: told(after, name) for name in wanted} == wanted
        before = after


def test_what_changed_on_one_side_since_the_last_copy_is_known(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    source.publish(Examples(tmp_path / "made").item())
    describe(source, keywords=["one", "two"])
    sync_on(source, target, tmp_path / "state")
    describe(source, description="theirs", keywords=["two", "three"], title="theirs", license="MIT")
    describe(target, title="ours", keywords=["one", "two", "four"], note="ours", license="MIT")
    heard: list[Message] = []
    sync_on(source, target, tmp_path / "state", report=heard.append)
    found = told(target)
    assert (found["description"], found["title"], found["license"], found["note"]) == ("theirs", "ours", "MIT", "ours")
    assert found["keywords"] == ["two", "four", "three"]
    assert [m.text for m in heard if isinstance(m, Note)] == [
        f"collection '{NAME}': title differs from the source, and stays as it is {TAKE}"
    ]
    sync_on(source, target, tmp_path / "state", theirs=True)
    assert told(target) == found | {"title": "theirs"}
    describe(target, title="theirs")
    heard.clear()
    sync_on(source, target, tmp_path / "state", report=heard.append)
    assert not [m for m in heard if isinstance(m, Note)]


def test_what_was_not_taken_is_copied_once_it_can_be(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    source.publish(Examples(tmp_path / "made").item())
    sync_on(source, target, tmp_path / "state")
    place = tmp_path / "a" / NAME / "collection.json"
    good = json.loads(place.read_text()) | {"license": "MIT"}
    place.write_text(json.dumps(good | {"title": 5}))
    assert sync_on(source, target, tmp_path / "state").synced.untold == (NAME,)
    place.write_text(json.dumps(good))
    assert sync_on(source, target, tmp_path / "state").synced.untold == ()
    assert told(target)["license"] == "MIT"


def test_without_a_state_nothing_that_was_said_is_lost(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    examples = Examples(tmp_path / "made")
    for catalog in (source, target):
        describe(catalog)
        catalog.publish(examples.item())
    describe(source, license="MIT", theirs=1, keywords=["a"])
    describe(target, title="ours", ours=1, keywords=["b"])
    heard: list[Message] = []
    sync(source, target, report=heard.append)
    found = told(target)
    assert (found["license"], found["title"], found["theirs"], found["ours"]) == ("CC-BY-4.0", "ours", 1, 1)
    assert found["keywords"] == ["b", "a"]
    (note,) = (m.text for m in heard if isinstance(m, Note))
    assert note == f"collection '{NAME}': license, title differ from the source, and stay as they are {TAKE}"
    sync(source, target, theirs=True, report=heard.append)
    found = told(target)
    assert (found["license"], found["title"], found["theirs"], found["ours"]) == ("MIT", "Nowcasts", 1, 1)
    assert found["keywords"] == ["b", "a"]


def test_what_was_made_from_items_gives_way_to_what_people_wrote(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    target.publish(Examples(tmp_path / "made").item())
    describe(source)
    source.publish(Examples(tmp_path / "made").item())
    sync(source, target)
    found = told(target)
    assert (found["description"], found["license"], found["more"]) == (
        "Written by *people*.",
        "CC-BY-4.0",
        {"of": ["others"]},
    )


def test_a_description_that_somebody_wrote_here_is_not_that_of_the_items_there(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    examples = Examples(tmp_path / "made")
    source.publish(examples.item(description="One."))
    sync(source, target)
    assert told(target)["description"] == "One."
    target.change_collection(NAME, lambda here: {**(here or {}), "description": "Mine."})
    source.publish(examples.item(version="1.1.0", description="Two."))
    sync(source, target)
    assert (told(source)["description"], told(target)["description"]) == ("Two.", "Mine.")
    source.change_collection(NAME, lambda here: {**(here or {}), "description": "Theirs."})
    sync(source, target)
    assert told(target)["description"] == "Theirs."
    target.publish(examples.item(version="1.2.0", description="Three."))
    assert told(target)["description"] == "Theirs."


def test_a_description_in_a_folder_is_kept_that_was_written_by_hand(tmp_path: Path) -> None:
    examples = Examples(tmp_path / "made")
    folder = open_catalog(tmp_path / "folder", create=True)
    folder.publish(examples.item(description="One."))
    (path,) = (tmp_path / "folder").rglob("collection.json")

    def write(**fields: object) -> None:
        path.write_text(json.dumps({k: v for k, v in (json.loads(path.read_text()) | fields).items() if v is not None}))

    write(**{FROM_ITEMS: None})  # of an earlier version
    folder.publish(examples.item(version="1.1.0", description="Two."))
    assert told(folder)["description"] == "Two."
    write(description="By hand.")
    folder.publish(examples.item(version="1.2.0", description="Three."))
    assert told(folder)["description"] == "By hand."
    write(**{FROM_ITEMS: None, "description": "Two."})
    folder.change_collection(NAME, lambda here: {**(here or {}), "description": "Changed."})
    folder.publish(examples.item(version="1.3.0", description="Four."))
    assert told(folder)["description"] == "Changed."


def test_rules_of_aliases_are_copied_after_the_aliases(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    source.publish_many(Examples(tmp_path / "made").various())
    source.set_alias(NAME, "champion", NEWER)
    source.protect_alias(NAME, "champion", ["self_test", "scores"])
    sync(source, target)
    assert target.aliases(NAME) == {"champion": NEWER}
    found = {document["id"]: document for document in target.collection_documents()}
    assert found[NAME]["interop:alias_rules"] == {"champion": ["self_test", "scores"]}
    target.protect_alias(NAME, "champion", ["signature"])
    sync(source, target)
    found = {document["id"]: document for document in target.collection_documents()}
    assert found[NAME]["interop:alias_rules"] == {"champion": ["signature", "self_test", "scores"]}


def test_a_file_beside_a_collection_is_named_by_where_it_is(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    describe(source, assets={"picture": {"href": "./p.png"}}, links=[{"rel": "about", "href": "./README.md"}])
    sync(source, target)
    found = told(target)
    assert found["assets"]["picture"]["href"] == str(tmp_path / "a" / NAME / "p.png")
    assert found["links"][0]["href"] == str(tmp_path / "a" / NAME / "README.md")
    describe(source, license="MIT")
    kept = json.loads((tmp_path / "a" / NAME / "collection.json").read_text())
    assert (kept["assets"]["picture"]["href"], kept["links"][-1]["href"]) == ("./p.png", "./README.md")


def test_collections_of_others_that_are_none_are_named(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    describe(source)
    describe(source, "secret", links=[{"rel": "about", "href": "https://user:word@example.org/a"}])
    odd: dict[str, dict[str, Any]] = {
        "..": {},
        "no-extent": {"extent": None},
        "list": {"assets": [1]},
        "of-5": {"title": 5},
    }
    odd |= {"later": {"stac_version": "9.9.9"}, "pieces": {"assets": {"a": 5, "b": {"href": 7}}}}
    links = []
    for number, (name, changes) in enumerate(odd.items()):
        (tmp_path / "a" / f"{number}.json").write_text(json.dumps(written(name) | changes))
        links.append({"rel": "child", "href": f"./{number}.json"})
    root = json.loads((tmp_path / "a" / "catalog.json").read_text())
    (tmp_path / "a" / "catalog.json").write_text(json.dumps(root | {"links": root["links"] + links}))
    heard: list[Message] = []
    sync(open_catalog(tmp_path / "a"), target, report=heard.append)
    notes = [message.text for message in heard if isinstance(message, Note)]
    assert {name for name in odd if any(f"collection '{name}' says is not copied: " in note for note in notes)} == {
        *odd
    }
    assert sorted(document["id"] for document in target.collection_documents()) == [NAME, "secret"]
    assert told(target, "secret")["links"] == [{"rel": "about", "href": "https://example.org/a"}]


def test_merging_is_idempotent_and_keeps_lists_that_are_values(tmp_path: Path) -> None:
    here = written() | {"cube:dimensions": {"x": {"extent": [0, 1]}}}
    theirs = written() | {"cube:dimensions": {"x": {"extent": [0, 2]}}, "stac_version": "1.1.0"}
    once, kept = merged(here, theirs)
    assert (once["cube:dimensions"], kept) == (here["cube:dimensions"], ["cube:dimensions"])
    assert merged(once, theirs) == (once, kept)
    assert merged(here, theirs, here)[0]["cube:dimensions"] == theirs["cube:dimensions"]
    older = written() | {
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/item-assets/v1.0.0/schema.json"],
    }
    assert merged(written(), older) == (written() | {"stac_extensions": []}, [])
    with pytest.raises(InvalidItemError, match=f"^collection '{NAME}' takes no items"):
        merged(here, written() | {"extent": {"spatial": 3}})


def test_an_extent_that_holds_what_comes_is_left_as_it_is() -> None:
    extent = written()["extent"]
    assert reaching(extent, [[0, 45, 1, 46]], [["2012-01-01T00:00:00Z", "2013-01-01T00:00:00Z"]]) == extent
    # As times, not as texts: half a second is after none, and midnight an hour to the east is earlier.
    early, late = "2010-01-01T00:00:00+01:00", "2012-01-01T00:00:00.5Z"
    moments = [["2009-12-31T23:30:00Z", late], [early, "2012-01-01T00:00:00Z"]]
    found = reaching({"spatial": {"bbox": []}, "temporal": {"interval": []}}, [[0, 1, 2, 3]], moments)
    assert found["temporal"]["interval"] == [[early, late]]


def test_an_item_without_place_and_time_is_everywhere_in_what_was_made_from_items_alone() -> None:
    item = {"properties": {"datetime": None, "mlm:framework": "ONNX"}, "bbox": None, "links": []}
    assert widened(written(), item)["extent"] == written()["extent"]
    assert widened(written(), item)["summaries"]["mlm:framework"] == ["ONNX"]
    ours = written() | {"summaries": {"version": ["1.0.0"]}}
    assert widened(ours, item)["extent"]["spatial"]["bbox"][0] == [-180, -90, 180, 90]


def test_a_state_without_collections_is_read(tmp_path: Path) -> None:
    source, target = pair(tmp_path)
    source.publish(Examples(tmp_path / "made").item())
    sync_on(source, target, tmp_path / "state")
    state = json.loads((tmp_path / "state").read_text())
    assert state.pop("collections").keys() == {NAME}
    (tmp_path / "state").write_text(json.dumps(state))
    assert sync_on(source, target, tmp_path / "state").synced.present == 1
    assert target.get(TORCH).id == TORCH
