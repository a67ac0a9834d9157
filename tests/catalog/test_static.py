from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pystac
import pytest

from modelstac.catalog import StaticCatalog, open_catalog
from modelstac.catalog.errors import (
    CatalogError,
    IntegrityError,
    InvalidItemError,
    InvalidQueryError,
    ItemExistsError,
    NotFoundError,
    StorageError,
)
from modelstac.catalog.items.description import ExtraAsset, ModelDescription, Source
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.validation import offline_validator, validate
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Advanced, Finished, Message, Started

Describe = Callable[..., ModelDescription]

TORCH = "convlstm-knmi-1.0.0-torch"
KERAS = "convlstm-knmi-1.0.0-keras-tensorflow"
ONNX = "convlstm-knmi-1.0.0-onnx-from-torch"
OTHER = "unet-2.0.0-torch"


@pytest.fixture
def catalog(describe: Describe, tmp_path: Path) -> StaticCatalog:
    """Return a catalog of four items in two collections."""
    made = StaticCatalog(tmp_path / "catalog", create=True)
    made.publish(write_item(describe()))
    made.publish(
        write_item(
            describe(
                variant="keras-tensorflow",
                format="keras",
                framework_version="3.15.1",
                backend="tensorflow",
                backend_version="2.19.1",
                entrypoint=None,
            )
        )
    )
    made.publish(
        write_item(
            describe(
                variant="onnx-from-torch",
                format="onnx",
                framework_version="1.22.0",
                entrypoint=None,
                sources=(Source(item_id=TORCH),),
            )
        )
    )
    made.publish(
        write_item(
            describe(
                name="unet",
                version="2.0.0",
                framework_version="2.6.0",
                geometry={"type": "Point", "coordinates": [100, 10]},
                keywords=("segmentation",),
            )
        )
    )
    return made


def tree(folder: Path) -> dict[str, str]:
    """Return path and digest of every file that is not hidden."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.relative_to(folder).as_posix().startswith("."))
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_get_returns_what_was_published_with_files_that_can_be_read(catalog: StaticCatalog, describe: Describe) -> None:
    item = catalog.get(TORCH)
    read = read_item(item)
    made = describe()
    assert isinstance(read.artifact, Path)
    assert read.artifact.read_bytes() == b"weights"
    assert read.artifact.is_relative_to(catalog.href)
    same = {"artifact": made.artifact, "assets": made.assets, "checksum": None, "size": None}
    assert read.model_copy(update=same) == made
    assert item.get_self_href() == f"{catalog.href}/convlstm-knmi/{TORCH}/{TORCH}.json"


def test_pystac_walks_and_validates_the_whole_catalog_offline(catalog: StaticCatalog) -> None:
    root = pystac.Catalog.from_file(f"{catalog.href}/catalog.json")
    assert {item.id for item in root.get_items(recursive=True)} == {TORCH, KERAS, ONNX, OTHER}
    for stac_object in [root, *root.get_children(), *root.get_items(recursive=True)]:
        stac_object.validate(validator=offline_validator())
        validate(stac_object)


def test_the_catalog_is_self_contained(catalog: StaticCatalog, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "made")
    moved = tmp_path / "elsewhere with a space" / "catalog"
    moved.parent.mkdir()
    Path(catalog.href).rename(moved)
    for document in moved.rglob("*.json"):
        assert str(tmp_path) not in document.read_text()
    item = open_catalog(moved).get(ONNX)
    source = item.get_links("derived_from")[0].get_absolute_href()
    assert source == f"{moved}/convlstm-knmi/{TORCH}/{TORCH}.json"
    assert Path(source).is_file()
    assert Path(item.assets["model"].href).read_bytes() == b"weights"


def test_a_collection_covers_its_items(catalog: StaticCatalog) -> None:
    collections = {collection.id: collection for collection in catalog.collections()}
    assert collections.keys() == {"convlstm-knmi", "unet"}
    found = collections["convlstm-knmi"]
    assert found.title == "ConvLSTM rain nowcasting"
    assert found.extent.spatial.bboxes == [[0, 49, 10, 55]]
    assert found.summaries.lists["mlm:framework"] == ["PyTorch", "Keras", "ONNX"]
    assert found.keywords == ["nowcasting", "radar"]
    assert [provider.name for provider in found.providers or ()] == ["KNMI"]
    assert found.license == "MIT"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [KERAS, ONNX, TORCH, OTHER]),
        ({"framework": "PyTorch"}, [TORCH, OTHER]),
        ({"framework": "PyTorch", "framework_version": ">=2.7,<3"}, [TORCH]),
        ({"backend": "tensorflow", "backend_version": ">=2.19"}, [KERAS]),
        ({"bbox": (99, 9, 101, 11)}, [OTHER]),
        ({"datetime": "2010-08-26"}, [KERAS, ONNX, TORCH, OTHER]),
        ({"datetime": "2011-01-01/.."}, []),
        ({"text": "segmentation"}, [OTHER]),
        ({"format": "onnx"}, [ONNX]),
        ({"framework": "JAX"}, []),
        ({"limit": 2}, [KERAS, ONNX]),
    ],
)
def test_search(catalog: StaticCatalog, fields: dict[str, Any], expected: list[str]) -> None:
    assert [item.id for item in catalog.search(**fields)] == expected


def test_an_unknown_framework_names_the_nearest(catalog: StaticCatalog) -> None:
    with pytest.raises(InvalidQueryError, match="unknown framework 'PyTroch': did you mean 'PyTorch'"):
        catalog.search(framework="PyTroch")


def test_an_unknown_id_names_the_nearest(catalog: StaticCatalog) -> None:
    with pytest.raises(NotFoundError, match=f"no item 'convlstm-knmi-1.0.0-tocrh' in .*did you mean '{TORCH}'"):
        catalog.get("convlstm-knmi-1.0.0-tocrh")


def test_publishing_the_same_again_changes_nothing(catalog: StaticCatalog, describe: Describe) -> None:
    before = tree(Path(catalog.href))
    again = catalog.publish(write_item(describe()))
    assert again.to_dict(transform_hrefs=False) == catalog.get(TORCH).to_dict(transform_hrefs=False)
    assert catalog.publish(catalog.get(ONNX)).id == ONNX
    assert tree(Path(catalog.href)) == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"parameters": 7}, "mlm:total_parameters"),
        ({"geometry": {"type": "Point", "coordinates": [5, 50]}}, "bbox, geometry"),
        ({"sources": (Source(href="https://example.org/data"),)}, "sources"),
        ({"assets": {}}, "asset metrics"),
        ({"license": "Apache-2.0"}, "license"),
    ],
)
def test_an_id_with_other_content_is_refused(
    catalog: StaticCatalog, describe: Describe, changes: dict[str, Any], named: str
) -> None:
    before = tree(Path(catalog.href))
    with pytest.raises(ItemExistsError) as caught:
        catalog.publish(write_item(describe(**changes)))
    assert f"with other content ({named})" in str(caught.value)
    assert tree(Path(catalog.href)) == before


def test_an_id_with_other_bytes_is_refused(catalog: StaticCatalog, describe: Describe) -> None:
    made = describe()
    assert isinstance(made.artifact, Path)
    made.artifact.write_bytes(b"others")
    with pytest.raises(ItemExistsError, match=r"other content \(asset model\)"):
        catalog.publish(write_item(made))


def test_a_file_that_changes_before_it_is_copied_is_refused(catalog: StaticCatalog, describe: Describe) -> None:
    before = tree(Path(catalog.href))
    made = describe(version="1.1.0")
    item = write_item(made)
    assert isinstance(made.artifact, Path)
    made.artifact.write_bytes(b"changed")
    with pytest.raises(IntegrityError, match="changed after it was described"):
        catalog.publish(item)
    assert tree(Path(catalog.href)) == before
    assert not list((Path(catalog.href) / ".staging").iterdir())


def test_a_file_that_is_gone_is_named(catalog: StaticCatalog, describe: Describe) -> None:
    made = describe(version="1.1.0")
    item = write_item(made)
    assert isinstance(made.artifact, Path)
    made.artifact.unlink()
    with pytest.raises(StorageError, match=r"model\.bin.*no such file"):
        catalog.publish(item)


def test_an_invalid_item_is_not_published(catalog: StaticCatalog, describe: Describe) -> None:
    before = tree(Path(catalog.href))
    item = write_item(describe(version="1.1.0"))
    item.properties["mlm:rmse"] = 0.9
    with pytest.raises(InvalidItemError, match="mlm:rmse"):
        catalog.publish(item)
    assert tree(Path(catalog.href)) == before


def test_a_source_must_be_there(catalog: StaticCatalog, describe: Describe) -> None:
    before = tree(Path(catalog.href))
    with pytest.raises(NotFoundError, match=r"did you mean .*Publish the source of 'convlstm-knmi-1.1.0-torch' first"):
        catalog.publish(write_item(describe(version="1.1.0", sources=(Source(item_id="convlstm-knmi-1.0.1-torch"),))))
    assert tree(Path(catalog.href)) == before
    away = Source(item_id="convlstm-knmi-1.0.1-torch", href="https://example.org/convlstm-knmi-1.0.1-torch.json")
    published = catalog.publish(write_item(describe(version="1.1.0", sources=(away,))))
    assert read_item(published).sources[0].href == away.href


@pytest.mark.parametrize("name", ["metrics/model.bin", "metrics/convlstm-knmi-1.1.0-torch.json", "metrics/.lock"])
def test_file_names_that_collide_are_refused(
    catalog: StaticCatalog, describe: Describe, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text("{}")
    extra = ExtraAsset(path=path, media_type="application/json")
    with pytest.raises(InvalidItemError, match="needs another file name"):
        catalog.publish(write_item(describe(version="1.1.0", assets={"extra": extra})))


def test_names_with_spaces_and_remote_assets(catalog: StaticCatalog, describe: Describe, tmp_path: Path) -> None:
    path = tmp_path / "a plot #1 100%.png"
    path.write_bytes(b"png")
    remote = "https://example.org/history.csv"
    assets = {
        "thumbnail": ExtraAsset(path=path, media_type="image/png", roles=("thumbnail",)),
        "history": ExtraAsset(path=remote, media_type="text/csv", checksum="0" * 64, size=3),
    }
    published = catalog.publish(write_item(describe(version="1.1.0", assets=assets)))
    assert Path(published.assets["thumbnail"].href).read_bytes() == b"png"
    assert published.assets["history"].href == remote


def test_progress_is_reported(catalog: StaticCatalog, describe: Describe) -> None:
    heard: list[Message] = []
    catalog.publish(write_item(describe(version="1.1.0")), report=heard.append)
    task = "publish convlstm-knmi-1.1.0-torch"
    assert heard == [
        Started(task, 2),
        Advanced(task, note="model.bin"),
        Advanced(task, note="metrics.json"),
        Finished(task),
    ]


def test_a_new_catalog_is_written_by_the_first_publish(describe: Describe, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "catalog"
    catalog = open_catalog(folder, create=True)
    assert list(catalog.items()) == []
    assert list(catalog.collections()) == []
    assert not folder.exists()
    with pytest.raises(NotFoundError, match="there are none yet"):
        catalog.get(TORCH)
    catalog.publish(write_item(describe()))
    assert open_catalog(folder).get(TORCH).id == TORCH
    assert open_catalog(f"file://{folder}/catalog.json").get(TORCH).id == TORCH


def test_places_that_are_no_catalog(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("text")
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "catalog.json").write_text("{")
    item = tmp_path / "item"
    item.mkdir()
    (item / "catalog.json").write_text(json.dumps({"type": "Feature", "stac_version": "1.1.0"}))
    for place, create, message in [
        (tmp_path / "nowhere", False, "does not exist"),
        (empty, False, "is empty"),
        (file, True, "is a file, no catalog"),
        (file / "below", True, "a part of the path is a file"),
        (tmp_path, True, "is no catalog: it holds 4 other files or folders"),
        (broken, False, "is not JSON"),
        (item, False, "is no STAC Catalog"),
    ]:
        with pytest.raises(CatalogError) as caught:
            open_catalog(place, create=create)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", '{"type": "Feature", "stac_version": "1.1.0"}'])
def test_a_damaged_item_is_named(catalog: StaticCatalog, content: str) -> None:
    path = Path(catalog.href) / "convlstm-knmi" / TORCH / f"{TORCH}.json"
    path.write_text(content)
    with pytest.raises(CatalogError, match=f"{TORCH}.json is"):
        catalog.get(TORCH)


def test_the_search_index_follows_every_change(
    catalog: StaticCatalog, describe: Describe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert [item.id for item in catalog.search(architecture="convlstm", version="2.0")] == [OTHER]
    (index,) = (tmp_path / "cache").rglob("*.sqlite")
    before = index.stat().st_ino
    assert [item.id for item in catalog.search(format="onnx")] == [ONNX]
    assert index.stat().st_ino == before, "nothing changed, so nothing is built"
    # An editor changes an item behind our back.
    place = Path(catalog.href) / "unet" / OTHER / f"{OTHER}.json"
    place.write_text(place.read_text().replace('"segmentation"', '"clouds"'))
    assert [item.id for item in catalog.search(text="clouds")] == [OTHER]
    assert index.stat().st_ino != before
    catalog.deprecate(ONNX)
    assert [item.id for item in catalog.search(deprecated=True)] == [ONNX]
    index.write_bytes(b"no database")
    assert [item.id for item in catalog.search(deprecated=True)] == [ONNX]
    index.unlink()
    index.mkdir()
    assert [item.id for item in catalog.search(deprecated=True)] == [ONNX], "a cache that fails is done without"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes and devices")
@pytest.mark.parametrize("place", ["/dev/zero", "pipe"])
def test_a_link_to_a_device_or_a_pipe_is_no_document(catalog: StaticCatalog, tmp_path: Path, place: str) -> None:
    if place == "pipe":
        os.mkfifo(tmp_path / "pipe")
        place = str(tmp_path / "pipe")
    document = next(path for path in (tmp_path / "catalog").rglob(f"{TORCH}.json"))
    document.unlink()
    document.symlink_to(place)
    with pytest.raises(StorageError, match="is no file, so no document of a catalog") as raised:
        StaticCatalog(tmp_path / "catalog").get(TORCH)
    assert "\n" not in str(raised.value)
