"""Checksums of other algorithms than SHA-256, in items of others: verified before the file is pinned."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.registry.foreign_items import item
from tests.registry.http_server import serving
from tests.registry.test_foreign import IMAGES, asset, doubling, write

import modelstac
from modelstac.catalog.errors import IntegrityError, InvalidItemError
from modelstac.cli import main

# Of the table of multicodec: a code, the length in bytes, the digest.
MULTIHASHES = {
    "sha1": "1114", "sha512": "1340", "sha3_512": "1440", "sha3_384": "1530", "sha3_256": "1620", "sha3_224": "171c",
    "sha384": "2030", "sha224": "93201c", "md5": "d50110", "blake2b": "c0e40240", "blake2s": "e0e40220",
}  # fmt: skip


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the lock file of this test."""
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))
    return tmp_path / "modelstac.lock"


def published(folder: Path, checksum: str | None, href: str = "./model.onnx") -> str:
    """Write an item of somebody else's whose file has this checksum."""
    fields: dict[str, Any] = {} if checksum is None else {"file:checksum": checksum}
    return write(folder, item("others-model", "1.5.2", {"model": asset(href, **fields)}, mlm_framework="ONNX"))


@pytest.mark.parametrize("name", MULTIHASHES)
def test_a_file_is_held_against_a_checksum_of_another_algorithm(tmp_path: Path, lock: Path, name: str) -> None:
    data = doubling(tmp_path / "model.onnx").read_bytes()
    digest = hashlib.new(name, data).hexdigest()
    wrong = MULTIHASHES[name] + digest[:-4] + ("0000" if digest[-4:] != "0000" else "1111")
    with pytest.raises(IntegrityError, match=f"is not the published file: {name} is {digest}, published was"):
        modelstac.load(published(tmp_path, wrong))
    assert not lock.exists()  # nothing was pinned
    right = published(tmp_path, MULTIHASHES[name] + digest)
    for _ in range(2):
        np.testing.assert_array_equal(modelstac.load(right).predict(IMAGES), 2 * IMAGES)
    (pin,) = json.loads(lock.read_text())["files"].values()
    assert (pin["sha256"], pin["checksum"]) == (hashlib.sha256(data).hexdigest(), MULTIHASHES[name] + digest)


def test_a_pinned_file_is_held_against_what_its_item_says_later(tmp_path: Path, lock: Path) -> None:
    data = doubling(tmp_path / "model.onnx").read_bytes()
    with serving(data) as server:
        modelstac.load(published(tmp_path, None, f"{server.url}/good/model.onnx"))
        pinned = lock.read_text()
        with pytest.raises(IntegrityError, match="md5 is"):
            modelstac.load(published(tmp_path, "d50110" + "0" * 32, f"{server.url}/good/model.onnx"))
        assert lock.read_text() == pinned
        right = published(tmp_path, "d50110" + hashlib.md5(data).hexdigest(), f"{server.url}/good/model.onnx")
        np.testing.assert_array_equal(modelstac.load(right).predict(IMAGES), 2 * IMAGES)
        assert "d50110" in lock.read_text()
    (tmp_path / "model.onnx").write_bytes(doubling(tmp_path / "other.onnx", 3.0).read_bytes())
    local = published(tmp_path, "d50110" + hashlib.md5(data).hexdigest())
    with pytest.raises(IntegrityError, match="md5 is"):
        modelstac.load(local)
    told = CliRunner().invoke(main, ["lock", "update", local])
    assert told.exit_code == 2
    assert "is not the published file: md5 is" in told.stderr


@pytest.mark.parametrize("checksum", ["1114" + "0" * 39, "1115" + "0" * 42, "e10114" + "0" * 40, "d50110" + "G" * 32])
def test_what_is_no_checksum_that_is_known_here_is_refused(tmp_path: Path, checksum: str) -> None:
    doubling(tmp_path / "model.onnx")
    with pytest.raises(InvalidItemError, match="no SHA-256 multihash"):
        modelstac.load(published(tmp_path, checksum))
