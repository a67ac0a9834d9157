"""Copies that go on: they read what changed, and know what is gone, from every kind of catalog."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.test_sync import content, others, write_catalog

from modelstac.catalog import Catalog, increments, open_catalog
from modelstac.catalog.errors import CatalogError, ItemExistsError
from modelstac.catalog.increments import sync_on
from modelstac.catalog.messages import Note
from modelstac.catalog.testing import NEWER, ONNX, TORCH, Examples


@pytest.fixture(params=["folder", "file"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    found = open_catalog(tmp_path / ("first" if request.param == "folder" else "first.sqlite"), create=True)
    found.publish_many(Examples(tmp_path / "made").various())
    found.set_alias("convlstm-knmi", "champion", ONNX)
    return found


@pytest.fixture
def target(tmp_path: Path) -> Catalog:
    return open_catalog(tmp_path / "second.sqlite", create=True)


def test_only_what_changed_is_read_again(
    source: Catalog, target: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.json"
    first = sync_on(source, target, state)
    assert (len(first.synced.copied), first.synced.aliases) == (9, ("convlstm-knmi@champion",))
    assert content(target) == content(source)
    assert sync_on(source, target, state).synced.present == 9  # all of it is within the overlap
    time.sleep(1.1)  # moments in items have whole seconds
    later = json.loads(state.read_text())
    later["until"] = datetime.now(UTC).replace(microsecond=0).isoformat()
    state.write_text(json.dumps(later))
    monkeypatch.setattr(increments, "OVERLAP", timedelta(0))
    nothing = sync_on(source, target, state)
    assert (nothing.synced.copied, nothing.synced.present, nothing.gone) == ((), 0, ())
    source.deprecate(TORCH)
    source.publish(Examples(tmp_path / "new").item(version="9.0.0"))
    source.set_alias("convlstm-knmi", "champion", NEWER)
    done = sync_on(source, target, state)
    assert len(done.synced.copied) == 1
    assert 1 <= done.synced.present < 9  # those that the version extension links anew may be among them
    assert done.synced.aliases == ("convlstm-knmi@champion",)
    assert content(target) == content(source)


def test_what_is_gone_is_told_and_removed_when_asked(source: Catalog, target: Catalog, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    own = target.publish(Examples(tmp_path / "own").item(version="8.0.0"))
    sync_on(source, target, state)
    newest = max(item.id for item in source.items() if item.collection_id == "convlstm-knmi" and item.id not in (ONNX,))
    source.delete(newest)
    told = sync_on(source, target, state)
    assert (told.gone, told.deleted) == ((newest,), ())
    assert target.find(newest) is not None
    target.set_alias("convlstm-knmi", "kept", newest)
    notes: list[Any] = []
    kept = sync_on(source, target, state, delete=True, report=notes.append)
    assert (kept.gone, kept.deleted) == ((newest,), ())
    assert "kept: item" in str([note for note in notes if "kept" in str(note)])
    target.set_alias("convlstm-knmi", "kept", None)
    assert sync_on(source, target, state, delete=True).deleted == (newest,)
    assert target.find(newest) is None
    assert target.find(own.id) is not None  # it never was at the source
    assert sync_on(source, target, state, delete=True).gone == ()


def test_what_is_new_is_copied_whenever_it_says_that_it_changed(tmp_path: Path) -> None:
    folder, state = tmp_path / "others", tmp_path / "state.json"
    target = open_catalog(tmp_path / "copy.sqlite", create=True)
    documents = [others(number, "a") for number in (1, 2, 3)]
    for document, moment in zip(documents, ("2026-11-01", "2020-01-01", "2031-01-01"), strict=True):
        document["properties"]["updated"] = f"{moment}T00:00:00Z"
    for count, copied in ((1, ("item-1",)), (3, ("item-2", "item-3")), (3, ())):
        shutil.rmtree(folder, ignore_errors=True)
        write_catalog(folder, {"a": documents[:count]})
        assert sync_on(open_catalog(folder), target, state, artifacts=False).synced.copied == copied
    assert sorted(target.ids()) == ["item-1", "item-2", "item-3"]


def test_what_was_copied_and_is_lost_at_the_target_is_named(tmp_path: Path) -> None:
    source, place = open_catalog(tmp_path / "a.sqlite", create=True), tmp_path / "copy"
    state, made, notes = tmp_path / "state.json", Examples(tmp_path / "made"), list[Any]()
    source.publish(made.item(name="rain"))
    sync_on(source, open_catalog(place, create=True), state)
    shutil.copytree(place, tmp_path / "backup")
    source.publish_many([made.item(name="rain", version=f"1.{minor}.0") for minor in (1, 2)])
    sync_on(source, open_catalog(place), state)
    shutil.rmtree(place)
    (tmp_path / "backup").rename(place)
    told = json.loads(state.read_text()) | {"until": "2031-01-01T00:00:00Z"}  # days after they were copied
    state.write_text(json.dumps(told))
    for named in ("rain/rain-1.1.0-torch and 1 more had been copied and are not in", None):
        notes.clear()
        done = sync_on(source, open_catalog(place), state, report=notes.append)
        assert (done.synced.copied, done.gone) == ((), ())
        found = [one.text for one in notes if isinstance(one, Note)]
        assert found[0].startswith(named) if named else found == []
    state.unlink()
    assert len(sync_on(source, open_catalog(place), state).synced.copied) == 2


def test_what_could_not_be_read_is_copied_once_it_can(
    source: Catalog, target: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, readable = tmp_path / "state.json", source.readable
    with monkeypatch.context() as shifting:  # as pages by their numbers do, in the first copy
        shifting.setattr(source, "readable", lambda report: list(readable(report))[2:])
        assert len(sync_on(source, target, state).synced.copied) == 9
    folder = tmp_path / "others"
    documents = [others(1, "a"), others(2, "a")]
    for document in documents:
        document["properties"]["updated"] = "2020-01-01T00:00:00Z"
    write_catalog(folder, {"a": documents})
    whole = (folder / "a" / "1.json").read_text()
    copy, state = open_catalog(tmp_path / "copy.sqlite", create=True), tmp_path / "another.json"
    for text, copied in (("{", ("item-1",)), ("{", ()), (whole, ("item-2",)), (whole, ())):
        (folder / "a" / "1.json").write_text(text)
        assert sync_on(open_catalog(folder), copy, state, artifacts=False).synced.copied == copied


def test_what_was_deleted_and_made_anew_is_replaced_when_asked(
    source: Catalog, target: Catalog, tmp_path: Path
) -> None:
    state, made, notes = tmp_path / "state.json", Examples(tmp_path / "new"), list[Any]()
    first = source.publish(made.item(version="7.0.0", title="One"))
    sync_on(source, target, state)
    source.delete(first.id)
    source.publish(made.item(version="7.0.0", title="Another"))
    target.set_alias("convlstm-knmi", "kept", first.id)
    for delete in (False, True):
        with pytest.raises(ItemExistsError, match="with other content"):
            sync_on(source, target, state, delete=delete, report=notes.append)
        assert target.get(first.id).properties["title"] == "One"
    assert "kept: item" in str(notes)
    target.set_alias("convlstm-knmi", "kept", None)
    done = sync_on(source, target, state, delete=True)
    assert (done.synced.copied, done.gone, done.deleted) == ((first.id,), (first.id,), (first.id,))
    assert target.get(first.id).properties["title"] == "Another"
    assert content(target) == content(source)
    assert sync_on(source, target, state, delete=True).gone == ()


def test_a_copy_that_fails_leaves_the_state(source: Catalog, target: Catalog, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    sync_on(source, target, state)
    before = state.read_bytes()
    made = Examples(tmp_path / "odd")
    source.publish(made.item(version="7.0.0", title="One"))
    target.publish(made.item(version="7.0.0", title="Another"))
    with pytest.raises(ItemExistsError):
        sync_on(source, target, state)
    assert state.read_bytes() == before


def test_copies_with_one_state_run_one_after_the_other(source: Catalog, tmp_path: Path) -> None:
    state, place = tmp_path / "state.json", tmp_path / "copy.sqlite"
    open_catalog(place, create=True)

    def go_on(_: int) -> int:
        return len(sync_on(open_catalog(source.href), open_catalog(place), state).synced.copied)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(go_on, range(4))) == [0, 0, 0, 9]
    assert set(json.loads(state.read_text())["items"]) == set(source.references())


def test_what_a_list_left_out_is_not_gone(
    source: Catalog, target: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.json"
    sync_on(source, target, state)
    source.delete(NEWER)
    there = sorted(source.references())
    monkeypatch.setattr(source, "references", lambda: iter(there[3:]))  # as pages by their numbers shift
    assert sync_on(source, target, state, delete=True).deleted == (NEWER,)
    assert sorted(target.references()) == there


def test_a_state_of_something_else_is_refused(source: Catalog, target: Catalog, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    sync_on(source, target, state)
    with pytest.raises(CatalogError, match="name another file"):
        sync_on(target, source, state)
    (tmp_path / "link").symlink_to(tmp_path)
    for way in ("link", "made/.."):  # the same by another name
        places = [open_catalog(tmp_path / way / Path(one.href).name) for one in (source, target)]
        assert sync_on(places[0], places[1], state).synced.copied == ()
    state.write_text("{}")
    with pytest.raises(CatalogError, match="is no state of a copy"):
        sync_on(source, target, state)


def rewrite(folder: Path, place: str, **properties: Any) -> None:
    document = json.loads((folder / place).read_text())
    document["properties"] |= properties
    (folder / place).write_text(json.dumps(document))


@pytest.mark.parametrize("name", ["copy.sqlite", "copy"])
def test_one_id_in_two_collections_is_two_items(tmp_path: Path, name: str) -> None:
    folder, state, notes = tmp_path / "others", tmp_path / "state.json", list[Any]()
    old = "2021-01-01T00:00:00Z"
    both: list[dict[str, Any]] = [others(1, "a"), others(1, "b")]
    for document in both:
        document["properties"]["updated"] = old
    write_catalog(folder, {"a": [both[0]], "b": [both[1], others(2, "b", bbox=[3, 54, 7, 50])]})
    source, target = open_catalog(folder), open_catalog(tmp_path / name, create=True)

    def go_on(*, delete: bool = False) -> Any:
        return sync_on(open_catalog(folder), target, state, delete=delete, artifacts=False, report=notes.append)

    assert sorted(source.references()) == ["a/item-1", "b/item-1"]
    assert go_on().synced.copied == ("item-1", "item-1")
    assert "bbox" in str(notes), "what is odd is named, and ends nothing"
    assert sorted(target.references()) == ["a/item-1", "b/item-1"]
    # One of them alone changes.
    now = datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    rewrite(folder, "b/0.json", deprecated=True, updated=now)
    assert go_on().synced.present == 2  # the other is within the overlap
    assert [bool(target.get(f"{one}/item-1").properties.get("deprecated")) for one in "ab"] == [False, True]
    # One of them alone goes; not while something of the source cannot be read.
    (folder / "b" / "0.json").unlink()
    collection = json.loads((folder / "b" / "collection.json").read_text())
    links = collection["links"]
    collection["links"] = links[1:]
    (folder / "b" / "collection.json").write_text(json.dumps(collection))
    assert go_on(delete=True).gone == ()
    assert "nothing is taken for gone" in str(notes[-1])
    collection["links"] = []
    (folder / "b" / "collection.json").write_text(json.dumps(collection))
    done = go_on(delete=True)
    assert (done.gone, done.deleted) == (("b/item-1",), ("b/item-1",))
    assert list(target.references()) == ["a/item-1"]
