"""Copies that go on: they read what changed, and know what is gone, from every kind of catalog."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.test_sync import content, others, write_catalog

from modelstac.catalog import Catalog, increments, open_catalog
from modelstac.catalog.errors import CatalogError, ItemExistsError
from modelstac.catalog.increments import sync_on
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


def test_a_state_of_something_else_is_refused(source: Catalog, target: Catalog, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    sync_on(source, target, state)
    with pytest.raises(CatalogError, match="name another file"):
        sync_on(target, source, state)
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
