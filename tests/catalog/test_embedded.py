"""The embedded catalog: writers that are killed, files that are something else, files beside it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import modelstac
from modelstac.catalog import ModelDescription, open_catalog
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.errors import CatalogError, InvalidItemError
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.testing import TORCH, Examples

Describe = Callable[..., ModelDescription]
PROGRAM = Path(__file__).with_name("publish_process.py")


def test_writers_that_are_killed_lose_nothing_that_they_acknowledged(describe: Describe, tmp_path: Path) -> None:
    file = tmp_path / "models.sqlite"
    EmbeddedCatalog(file, create=True)
    processes = []
    for number in range(4):
        fields = [
            describe(variant=f"v{number}", version=f"1.{minor}.0").model_dump(mode="json") for minor in range(200)
        ]
        (tmp_path / f"{number}.json").write_text(json.dumps(fields))
        command = [sys.executable, str(PROGRAM), str(file), str(tmp_path / f"{number}.json")]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    chance = random.Random(0)
    acknowledged: set[str] = set()
    for process in processes:
        assert process.stdout is not None
        acknowledged.add(process.stdout.readline().strip())
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        acknowledged |= set(process.communicate()[0].split("\n")[:-1])
    catalog = open_catalog(file)
    stored = {item.id: item for item in catalog.items()}
    assert 4 <= len(acknowledged) < 800
    assert acknowledged <= stored.keys()
    for item in stored.values():
        validate(item)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(catalog.search(collections="convlstm-knmi", text="convlstm")) == len(stored)
    assert catalog.publish(write_item(describe(variant="later"))).id == "convlstm-knmi-1.0.0-later"


def test_a_bad_item_among_thousands_is_named_and_takes_all_back(tmp_path: Path) -> None:
    examples = Examples(tmp_path / "made")
    items = [examples.item(version=f"1.{minor}.0") for minor in range(1200)]
    for item in items:
        for key, asset in item.assets.items():
            asset.href = f"https://example.org/{item.id}/{key}"
    # Those before it are written by then.
    items[1100].properties["mlm:total_parameters"] = -1
    catalog = EmbeddedCatalog(tmp_path / "models.sqlite", create=True)
    with pytest.raises(InvalidItemError, match=r"convlstm-knmi-1\.1100\.0-torch.*parameters"):
        catalog.publish_many(items)
    assert (list(catalog.ids()), list(catalog.collections())) == ([], [])
    items[1100].properties["mlm:total_parameters"] = 1
    assert len(catalog.publish_many(items)) == len(list(catalog.ids())) == 1200


def test_the_file_and_its_folder_can_be_moved_and_deleting_takes_the_last_file(tmp_path: Path) -> None:
    catalog = EmbeddedCatalog(tmp_path / "models.sqlite", create=True)
    examples = Examples(tmp_path / "made")
    catalog.publish_many([examples.item(), examples.item(version="1.1.0")])
    catalog.close()
    (tmp_path / "moved").mkdir()
    for name in ("models.sqlite", "models.artifacts"):
        shutil.move(tmp_path / name, tmp_path / "moved" / name)
    moved = EmbeddedCatalog(tmp_path / "moved" / "models.sqlite")
    file = Path(moved.get(TORCH).assets["model"].href)
    assert file.read_bytes() == b"weights"
    moved.delete(TORCH)
    assert file.is_file(), "the other version has the same bytes"
    moved.delete("convlstm-knmi-1.1.0-torch")
    assert not file.exists()


def test_a_file_of_the_first_layout_is_renewed_when_it_is_opened(describe: Describe, tmp_path: Path) -> None:
    file = tmp_path / "models.sqlite"
    EmbeddedCatalog(file, create=True).publish(write_item(describe(keywords=("radar", "é"))))
    first = sqlite3.connect(file)
    first.executescript("DROP TABLE keywords; DROP INDEX items_framework_bounds; PRAGMA user_version = 1")
    first.close()
    catalog = EmbeddedCatalog(file)
    for wanted, number in (("('é')", 1), ("('é', 'radar')", 1), ("('Radar')", 0)):
        assert len(catalog.search(filter=f"a_contains(keywords, {wanted})")) == number, wanted
    catalog.delete("convlstm-knmi-1.0.0-torch")
    with catalog.database.read() as connection:
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        assert (layout, connection.execute("SELECT * FROM keywords").fetchall()) == (3, [])


def test_files_that_are_no_catalog_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("this is a text and no database at all, however long it may be" * 20)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE mine (a)")
    other.commit()
    other.close()
    EmbeddedCatalog(tmp_path / "newer.sqlite", create=True)
    newer = sqlite3.connect(tmp_path / "newer.sqlite")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    for name, message in (
        ("text.sqlite", "is no catalog"),
        ("other.sqlite", "but no catalog"),
        ("newer.sqlite", "update modelstac"),
        ("nothing.sqlite", "publish into it first"),
        ("nowhere/models.sqlite", "publish into it first"),
    ):
        with pytest.raises(CatalogError, match=message):
            open_catalog(tmp_path / name)
    with pytest.raises(CatalogError, match="no folder"):
        open_catalog(tmp_path / "nowhere" / "models.sqlite", create=True)


def test_sqlite_is_pythons_own_after_tensorflow_was_imported(tmp_path):
    code = """
import tensorflow
from modelstac.catalog import open_catalog
catalog = open_catalog({path!r}, create=True)
print(len(catalog.search()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code.format(path=str(tmp_path / "models.sqlite"))],
        env=os.environ | {"PYTHONPATH": str(Path(modelstac.__file__).parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["0"], done.stderr
