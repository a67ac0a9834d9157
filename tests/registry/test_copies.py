"""Model files that lie elsewhere, too, as their item says (``alternate``): read where the first place has none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.registry.foreign_items import item
from tests.registry.http_server import serving
from tests.registry.test_foreign import IMAGES, asset, doubling, run, write

import modelstac
from modelstac.catalog.errors import DownloadError, IntegrityError, NotFoundError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))
    monkeypatch.setenv("MODELSTAC_CACHE", str(tmp_path / "cache"))  # what other tests fetched has the same digest


def document(folder: Path, href: str, *copies: str) -> dict[str, Any]:
    """Write an item whose file lies at several places, with its checksum."""
    data = doubling(folder / "model.onnx").read_bytes()
    fields = {
        "file:checksum": "1220" + hashlib.sha256(data).hexdigest(),
        "alternate": {f"copy {n}": {"href": copy} for n, copy in enumerate(copies)},
    }
    return item("others-model", "1.5.2", {"model": asset(href, **fields)}, mlm_framework="ONNX")


@pytest.mark.parametrize("main", ["./gone.onnx", "http://127.0.0.1:9/model.onnx", "ftp://127.0.0.1/model.onnx"])
def test_a_copy_is_read_where_the_file_cannot_be_had(tmp_path: Path, main: str) -> None:
    found = write(tmp_path, document(tmp_path, main, "http://127.0.0.1:9/copy.onnx", "./model.onnx"))
    result, said = run(found)
    np.testing.assert_array_equal(result, 2 * IMAGES)
    assert any("cannot be had where it lies: its copy" in text for text in said)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises((NotFoundError, DownloadError, OSError), match=r"gone.onnx|127.0.0.1:9/model.onnx|ftp://"):
        modelstac.load(found)


def test_a_copy_is_held_against_the_checksum_and_helps_no_wrong_file(tmp_path: Path) -> None:
    doubling(tmp_path / "other.onnx", 3.0)
    for main, copy in (("./gone.onnx", "./other.onnx"), ("./other.onnx", "./model.onnx")):
        with pytest.raises(IntegrityError, match=r"other.onnx of item 'others-model' is not the published file"):
            modelstac.load(write(tmp_path, document(tmp_path, main, copy)))


def test_an_item_from_elsewhere_has_no_copy_on_this_machine(tmp_path: Path) -> None:
    here = tmp_path / "model.onnx"
    found = document(tmp_path, "http://127.0.0.1:9/model.onnx", str(here), f"file://{here}")
    with serving(json.dumps(found).encode()) as server, pytest.raises(DownloadError, match=r"127.0.0.1:9"):
        modelstac.load(f"{server.url}/good/item.json")
