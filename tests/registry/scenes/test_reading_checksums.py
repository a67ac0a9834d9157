"""Files of scenes that are not those that their items describe."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.registry.scenes.reading_models import model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.finding.checksums import MOST, check_file
from modelstac.registry.scenes.reading.opening import open_source

VALUES = np.arange(400, dtype=np.float32).reshape(20, 20)


def item(folder: Path, said: dict[str, Any]) -> Path:
    path = folder / "item.json"
    path.write_text(json.dumps(scene_item(folder, {"red": said})))
    return path


@pytest.mark.parametrize(("algorithm", "prefix"), [("sha256", "1220"), ("md5", "d50110"), ("sha512", "1340")])
def test_a_file_is_held_against_the_checksum_of_its_item(tmp_path: Path, algorithm: str, prefix: str) -> None:
    content = tif(tmp_path / "red.tif", VALUES).read_bytes()
    said = prefix + hashlib.new(algorithm, content).hexdigest()
    path = item(tmp_path, {"file:checksum": said, "file:size": len(content)})
    np.testing.assert_array_equal(whole(open_source(path, model(tensor(["red"])))).values[0], VALUES)
    tif(tmp_path / "red.tif", VALUES + 1)
    with pytest.raises(DataError, match=rf"is not the file that item 'scene' describes: its {algorithm} is "):
        open_source(path, model(tensor(["red"])))


def test_a_file_that_broke_off_is_told_by_its_size(tmp_path: Path) -> None:
    size = tif(tmp_path / "red.tif", VALUES).stat().st_size
    path = item(tmp_path, {"file:size": size + 1})
    with pytest.raises(DataError, match=f"it has {size} bytes, and file:size is {size + 1}: fetch it again"):
        open_source(path, model(tensor(["red"])))


def test_what_is_too_large_to_be_hashed_is_said(tmp_path: Path) -> None:
    with (tmp_path / "red.tif").open("wb") as file:
        file.truncate(MOST + 1)  # of nothing, which takes no room
    fields = {"file:checksum": "1220" + "0" * 64, "file:size": MOST + 1}
    assert "was not held against the file:checksum" in check_file(str(tmp_path / "red.tif"), fields, "scene")
    with pytest.raises(DataError, match="file:size is 7"):
        check_file(str(tmp_path / "red.tif"), fields | {"file:size": 7}, "scene")


def test_what_is_no_checksum_says_nothing(tmp_path: Path) -> None:
    tif(tmp_path / "red.tif", VALUES)
    for said in ({"file:checksum": "abc", "file:size": "many"}, {"file:checksum": None, "file:size": True}):
        assert open_source(item(tmp_path, said), model(tensor(["red"]))).feeds
