"""Copies between all kinds of catalogs, there and back."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import from_url

from modelstac.catalog import Catalog, Query, open_catalog
from modelstac.catalog.errors import IntegrityError, ItemExistsError
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.items.identity import immutable_content
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.messages import Message, Note, Started
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import NEWER, ONNX, TORCH, Examples


def content(catalog: Catalog) -> dict[str, object]:
    items = {
        item.id: immutable_content(item) | {"deprecated": item.properties.get("deprecated")} for item in catalog.items()
    }
    return items | {"aliases": {c.id: catalog.aliases(c.id) for c in catalog.collections()}}


def test_there_and_back_through_every_kind(tmp_path: Path, bucket: str) -> None:
    first = open_catalog(tmp_path / "first", create=True)
    examples = Examples(tmp_path / "made")
    first.publish_many(examples.various())
    first.deprecate(ONNX)
    first.set_alias("convlstm-knmi", "champion", NEWER)
    shutil.rmtree(tmp_path / "made")
    before = first
    for place in (tmp_path / "second.sqlite", f"{bucket}/third", tmp_path / "fourth.sqlite", tmp_path / "fifth"):
        after = open_catalog(place, create=True)
        done = sync(before, after)
        assert (len(done.copied), done.present, done.aliases) == (9, 0, ("convlstm-knmi@champion",))
        assert content(after) == content(first)
        done = sync(before, after)
        assert (done.copied, done.present, done.aliases) == ((), 9, ())
        before = after
    artifact = read_item(before.get(TORCH)).artifact
    assert isinstance(artifact, Path)
    assert artifact.read_bytes() == b"weights"
    assert artifact.name == "model.bin"


def test_what_is_derived_from_a_deleted_item_is_copied(tmp_path: Path, bucket: str) -> None:
    before = open_catalog(tmp_path / "first", create=True)
    before.publish_many(Examples(tmp_path / "made").various())
    before.delete(TORCH)
    first, notes = content(before), list[Message]()
    for place in (tmp_path / "second.sqlite", f"{bucket}/third", tmp_path / "fourth"):
        after = open_catalog(place, create=True)
        assert len(sync(before, after, report=notes.append).copied) == 8
        assert sync(before, after).present == 8
        assert content(after) == first
        assert read_item(after.get(ONNX)).sources[0].item_id == TORCH
        before = after
    said = [note.text for note in notes if isinstance(note, Note)]
    assert f"{ONNX} is derived from {TORCH}, which is not in {tmp_path / 'first'} any more" in said


def test_environments_verified_later_are_copied_too(tmp_path: Path) -> None:
    source, target = (open_catalog(tmp_path / name, create=True) for name in ("a.sqlite", "b"))
    source.publish_many(Examples(tmp_path / "made").various())
    sync(source, target)
    here, there = ({"python": version, "packages": {"onnxruntime": "1.22.1"}} for version in ("3.11", "3.12"))
    target.add_verified(ONNX, [there])
    source.add_verified(ONNX, [here])
    sync(source, target)
    assert target.get(ONNX).properties["interop:verified"] == [there, here]


def test_an_interrupted_sync_goes_on(tmp_path: Path, bucket: str) -> None:
    source, target = open_catalog(bucket, create=True), open_catalog(tmp_path / "b", create=True)
    source.publish_many(Examples(tmp_path / "made").various())

    def interrupt(message: object) -> None:
        if ONNX in str(message):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(source, target, report=interrupt)
    half = len(list(target.ids()))
    assert 0 < half < 9
    done = sync(source, target)
    assert (len(done.copied), done.present) == (9 - half, half)


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_what_the_source_deletes_and_publishes_meanwhile_is_of_the_next_copy(
    tmp_path: Path, bucket: str, place: str
) -> None:
    source = open_catalog(bucket if place == "bucket" else tmp_path / "a", create=True)
    target, examples, notes = open_catalog(tmp_path / "b.sqlite", create=True), Examples(tmp_path / "made"), []
    old, kept, new = (examples.item(name="rain", version=f"{major}.0.0") for major in (1, 2, 3))
    source.publish_many([old, kept])

    def change(message: Message) -> None:
        if isinstance(message, Started) and message.task.startswith("sync"):  # its items are read by now
            source.delete(old.id)
            source.publish(new)
            source.set_alias("rain", "champion", new.id)
        notes.extend([message.text] if isinstance(message, Note) else [])

    done = sync(source, target, report=change)
    assert (done.copied, done.aliases, list(target.ids())) == ((kept.id,), (), [kept.id])
    first, second = notes
    assert first.startswith(f"{old.id} is left out: it was deleted from ")
    assert second.startswith("alias rain@champion is left as it was")
    done = sync(source, target)
    assert (done.copied, done.aliases) == ((new.id,), ("rain@champion",))
    assert content(target) == content(source)


def test_what_needs_no_download_is_copied_many_at_a_time(tmp_path: Path) -> None:
    source, target = (open_catalog(tmp_path / name, create=True) for name in ("a.sqlite", "b.sqlite"))
    examples = Examples(tmp_path / "made")
    items = [examples.item(version=f"1.{minor}.0") for minor in range(1200)]
    for item in items:
        for key, asset in item.assets.items():
            asset.href = f"https://example.org/{item.id}/{key}"
    source.publish_many(items)
    source.deprecate("convlstm-knmi-1.10.0-torch")
    seen: list[str] = []

    def interrupt(message: object) -> None:
        seen.append(str(message))
        if len(seen) > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(source, target, artifacts=False, report=interrupt)
    assert len(list(target.ids())) == 1000
    done = sync(source, target, artifacts=False)
    assert (len(done.copied), done.present) == (200, 1000)
    assert content(target) == content(source)


def test_large_files_are_not_copied_many_at_a_time(tmp_path: Path) -> None:
    source, target = (open_catalog(tmp_path / name, create=True) for name in ("a.sqlite", "b.sqlite"))
    large = tmp_path / "model.bin"
    large.write_bytes(bytes(40 << 20))
    examples = Examples(tmp_path / "made")
    source.publish_many([examples.item(version=f"1.{minor}.0", artifact=large) for minor in range(3)])

    def interrupt(message: object) -> None:
        if TORCH.replace("1.0.0", "1.1.0") in str(message):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(source, target, report=interrupt)
    assert len(list(target.ids())) == 2
    done = sync(source, target)
    assert (len(done.copied), done.present) == (1, 2)


def test_other_content_and_other_bytes_are_refused(tmp_path: Path, bucket: str) -> None:
    source, target = open_catalog(bucket, create=True), open_catalog(tmp_path / "b.sqlite", create=True)
    source.publish(Examples(tmp_path / "one").item())
    target.publish(Examples(tmp_path / "two").item(parameters=7))
    with pytest.raises(ItemExistsError, match="mlm:total_parameters"):
        sync(source, target)
    target.delete(TORCH)
    _, asset = next(iter(source.get(TORCH).assets.items()))
    obstore.put(from_url(bucket), asset.href.removeprefix(f"{bucket}/"), b"WEIGHTS")
    with pytest.raises(IntegrityError, match="not the published file"):
        sync(source, target)
    assert target.find(TORCH) is None


def others(number: int, collection: str, **changes: Any) -> dict[str, Any]:
    """Return somebody else's model, without a link to its collection, as many are."""
    layout = {"shape": [-1, 3], "dim_order": ["batch", "channel"], "data_type": "float32"}
    said = {
        "datetime": "2020-06-01T00:00:00Z",
        "mlm:name": f"model {number}",
        "mlm:architecture": "UNet",
        "mlm:tasks": ["classification"],
        "mlm:input": [{"name": "image", "bands": [], "input": layout}],
        "mlm:output": [{"name": "class", "tasks": ["classification"], "result": layout}],
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/mlm/v1.6.0/schema.json"],
        "id": f"item-{number}",
        "collection": collection,
        "geometry": None,
        "properties": said,
        "assets": {"model": {"href": "https://example.org/m.onnx", "roles": ["mlm:model"]}},
        "links": [],
    } | changes


def write_catalog(folder: Path, items: dict[str, list[dict[str, Any]]]) -> None:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    for name, documents in items.items():
        (folder / name).mkdir(parents=True)
        links = [{"rel": "item", "href": f"./{number}.json"} for number in range(len(documents))]
        collection = {"type": "Collection", "stac_version": "1.0.0", "id": name, "description": name, "links": links}
        collection |= {"license": "other", "extent": extent}
        (folder / name / "collection.json").write_text(json.dumps(collection))
        for number, document in enumerate(documents):
            (folder / name / f"{number}.json").write_text(json.dumps(document))
    links = [{"rel": "child", "href": f"./{name}/collection.json"} for name in items]
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "others", "description": "o", "links": links}
    (folder / "catalog.json").write_text(json.dumps(root))


def test_odd_items_of_others_are_named_and_the_rest_is_copied(tmp_path: Path) -> None:
    legacy = {
        "stac_extensions": ["https://stac-extensions.github.io/ml-model/v1.0.0/schema.json"],
        "properties": {"datetime": "2020-06-01T00:00:00Z", "ml-model:type": "ml-model"},
    }
    items = [others(1, "a"), others(2, "a", **legacy), others(3, "a", bbox=[3, 54, 7, 50])]
    write_catalog(tmp_path / "others", {"a": items, "b": [others(1, "b")]})
    heard: list[Message] = []
    target = open_catalog(tmp_path / "ours.sqlite", create=True)
    done = sync(open_catalog(tmp_path / "others"), target, artifacts=False, report=heard.append)
    notes = [message.text for message in heard if isinstance(message, Note)]
    assert len(notes) == 1
    assert "bbox: [3, 54, 7, 50] is not west, south, east, north" in notes[0]
    found = {(d["collection"], d["id"]) for d in target.page(Query()).documents}
    assert found == {("a", "item-1"), ("a", "item-2"), ("b", "item-1")}
    assert len(done.copied) == 3
    again = sync(open_catalog(tmp_path / "others"), target, artifacts=False)
    assert (again.copied, again.present) == ((), 3)


def test_files_of_others_that_nobody_can_verify_stay_where_they_are(tmp_path: Path, bucket: str) -> None:
    obstore.put(from_url(bucket), "there.onnx", b"weights")
    there, gone = ({"href": f"{bucket}/{name}.onnx", "roles": ["mlm:model"]} for name in ("there", "gone"))
    digest = {"file:checksum": multihash(hashlib.sha256(b"weights").hexdigest())}
    items = [
        others(1, "a", assets={"model": there}),
        others(2, "a", assets={"model": gone | digest}),
        others(3, "a", assets={"model": there | digest}),
    ]
    write_catalog(tmp_path / "others", {"a": items})
    heard: list[Message] = []
    target = open_catalog(tmp_path / "ours", create=True)
    done = sync(open_catalog(tmp_path / "others"), target, report=heard.append)
    assert done.copied == ("item-1", "item-3")
    kept, dead = (message.text for message in heard if isinstance(message, Note))
    assert "item 'item-1': asset 'model'" in kept
    assert "no name or checksum" in kept
    assert "item-2 is left out: no file gone.onnx" in dead
    assert target.get("item-1").assets["model"].href == f"{bucket}/there.onnx"
    assert Path(target.get("item-3").assets["model"].href).read_bytes() == b"weights"
    again = sync(open_catalog(tmp_path / "others"), target)
    assert (again.copied, again.present) == ((), 2)


def test_an_item_of_elsewhere_takes_no_file_of_this_machine(tmp_path: Path, bucket: str) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_bytes(b"not for others")
    model = {"roles": ["mlm:model"], "file:checksum": multihash(hashlib.sha256(kept.read_bytes()).hexdigest())}
    obstore.put(from_url(bucket), "net.onnx", kept.read_bytes())
    here, there = (model | {"href": href} for href in (kept.as_uri(), f"{bucket}/net.onnx"))
    items = [others(1, "a", assets={"model": here}), others(2, "a", assets={"model": there})]
    write_catalog(tmp_path / "others", {"a": items})
    for path in (tmp_path / "others").rglob("*.json"):
        obstore.put(from_url(bucket), path.relative_to(tmp_path / "others").as_posix(), path.read_bytes())
    heard: list[Message] = []
    done = sync(open_catalog(bucket), open_catalog(tmp_path / "ours", create=True), report=heard.append)
    assert done.copied == ("item-2",)
    (note,) = (message.text for message in heard if isinstance(message, Note))
    assert "item-1 is left out" in note
    assert "a file of this machine" in note
