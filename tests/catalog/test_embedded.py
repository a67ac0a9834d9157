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
from typing import Any

import pytest

import modelstac
from modelstac.catalog import ModelDescription, Query, open_catalog
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.errors import CatalogError, InvalidItemError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.search.sql import rows
from modelstac.catalog.search.sql.search import Search
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


_BEFORE = """
CREATE TABLE items_before (key INTEGER PRIMARY KEY, id TEXT NOT NULL{unique}, collection TEXT NOT NULL REFERENCES
    collections (id), variant TEXT, version_key TEXT, first INTEGER, last INTEGER, document TEXT NOT NULL);
INSERT INTO items_before SELECT key, id, collection, variant, version_key, first, last, document FROM items;
DROP TABLE items;
ALTER TABLE items_before RENAME TO items;
CREATE INDEX items_time ON items (first, last, id);
CREATE INDEX items_framework ON items (json_extract(document, '$.properties."mlm:framework"') COLLATE NOCASE, id);
PRAGMA user_version = {layout};
"""


@pytest.mark.parametrize("layout", [1, 2, 3])
def test_a_file_of_an_earlier_layout_is_renewed_when_it_is_opened(
    describe: Describe, tmp_path: Path, layout: int
) -> None:
    def content(file: Path) -> tuple[list[tuple[str, ...]], ...]:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            of_items = "SELECT name, sql FROM sqlite_schema WHERE tbl_name IN ('items', 'keywords') AND type = 'index'"
            statements = (f"{of_items} ORDER BY name", "SELECT * FROM items ORDER BY id", "SELECT * FROM keywords")
            return tuple(connection.execute(statement).fetchall() for statement in statements)

    file = tmp_path / "models.sqlite"
    new = EmbeddedCatalog(file, create=True)
    new.publish(write_item(describe(keywords=("radar", "é"))))
    new.publish(write_item(describe(version="1.10.0", keywords=())))
    new.close()
    expected = content(file)
    with contextlib.closing(sqlite3.connect(file)) as before:
        before.executescript(_BEFORE.format(unique=" UNIQUE" if layout < 3 else "", layout=layout))
        if layout == 1:
            before.execute("DROP TABLE keywords")
    catalog = EmbeddedCatalog(file)
    for wanted, number in (("('é')", 1), ("('é', 'radar')", 1), ("('Radar')", 0)):
        assert len(catalog.search(filter=f"a_contains(keywords, {wanted})")) == number, wanted
    found = catalog.page(Query(framework="pytorch", framework_version=">=2,<3", sortby="-version", limit=1))
    assert [document["properties"]["version"] for document in found.documents] == ["1.10.0"]
    catalog.close()
    assert content(file) == expected
    catalog.delete("convlstm-knmi-1.0.0-torch")
    with catalog.database.read() as connection:
        (renewed,) = connection.execute("PRAGMA user_version").fetchone()
        assert (renewed, connection.execute("SELECT * FROM keywords").fetchall()) == (4, [])


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


def _made(chance: random.Random, number: int) -> Document:
    """Return an item as others may have written it, with few different values so that many are equal."""
    x, y = chance.randrange(-170, 170, 20), chance.randrange(-80, 80, 20)
    properties: dict[str, Any] = {
        "datetime": f"202{chance.randrange(4)}-01-01T00:00:00Z",
        "mlm:framework": chance.choice(("PyTorch", "pytorch", "Keras", "ONNX")),
        "mlm:framework_version": f"2.{chance.randrange(4)}.0",
        "mlm:tasks": ["regression"] if chance.random() < 0.7 else ["classification"],
        "keywords": chance.sample(("radar", "optical", "rain"), 2),
        "title": chance.choice(("Rain from radar", "Clouds", "A radar's rain, anew")),
        "mlm:total_parameters": chance.choice((10, 2000, 1e6)),
    }
    for name, values in (("version", "123"), ("created", "4567"), ("updated", "456")):
        if chance.random() < 0.7:
            of_name = "{}.0.0" if name == "version" else "2026-01-0{}T00:00:00Z"
            properties[name] = of_name.format(chance.choice(values)) if chance.random() < 0.95 else ["a", "list"]
    box = [x, y, x + 10, y + 10] if chance.random() < 0.9 else [175, y, -175, y + 10]
    named = {"id": f"item-{number % 280}", "collection": f"model-{number // 280}"}
    geometry = {"type": "Point", "coordinates": box[:2]}
    return named | {"geometry": geometry, "bbox": box, "properties": properties, "links": [], "assets": {}}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"framework": "pytorch"},
        {"framework": "PyTorch", "framework_version": ">=2.1,<2.3"},
        {"task": "regression", "parameters": ">=2000"},
        {"text": "radar rain"},
        {"text": "cl"},
        {"text": "clouds, anew"},
        {"text": "item-12"},
        {"bbox": (-180, -90, 10, 90)},
        {"bbox": (60, -80, -100, 80)},
        {"datetime": "2021-06-01/2022-06-01"},
        {"filter": "\"mlm:framework\" = 'Keras' OR version = '2.0.0'"},
        {"filter": "a_contains(keywords, ('radar', 'rain')) AND \"mlm:framework\" < 'P'"},
        {"filter": "S_INTERSECTS(geometry, BBOX(-180, -90, 10, 90))"},
    ],
    ids=str,
)
def test_the_first_of_an_order_are_those_of_the_whole(fields: dict[str, Any], tmp_path: Path) -> None:
    chance = random.Random(1)
    catalog = EmbeddedCatalog(tmp_path / "models.sqlite", create=True)
    statements: list[str] = []
    with catalog.database.write() as connection:
        rows.insert(connection, [_made(chance, number) for number in range(400)])
    connection.set_trace_callback(statements.append)
    for sortby in ((), "-version", "-datetime", "-created", ("-updated", "id"), "created", "-id", ("-version", "-id")):
        query = Query(**fields, sortby=sortby)
        whole, _ = Search(connection, query).rows()
        paged: list[int] = []
        page = query.changed(limit=7)
        while page is not None:
            search = Search(connection, page)
            found, token = search.rows()
            assert search.count() == len(whole)
            paged += found
            page = None if token is None else page.changed(token=token)
        assert paged == whole, sortby
    # Both ways to a page were gone.
    assert any(" AS walked " in statement for statement in statements) == (fields != {"text": "item-12"})
    assert any(" LIMIT 8" in statement and " AS walked " not in statement for statement in statements)
