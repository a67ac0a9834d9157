"""Where artifacts are: in a bucket of the server's, or left where they were; and copies to and from an API."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import obstore
import pytest
from obstore.store import from_url
from tests.catalog.server.conftest import Server, run, serving
from tests.catalog.test_sync import content

from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import NEWER, ONNX, TORCH, Examples

DATA = b"weights"
PLACE = f"{hashlib.sha256(DATA).hexdigest()[:2]}/{hashlib.sha256(DATA).hexdigest()}/model.bin"


def test_artifacts_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    arguments = ("--catalog", str(tmp_path / "models.sqlite"), "--artifacts", f"{bucket}/files")
    with serving(tmp_path, *arguments) as server:
        catalog = ApiCatalog(server.href, key=server.key)
        item = catalog.publish(Examples(tmp_path / "made").item())
        path = item.assets["model"].href.removeprefix(f"{server.href}/")
        assert path == f"artifacts/{PLACE}"
        assert bytes(obstore.get(from_url(bucket), f"files/{PLACE}").bytes()) == DATA
        assert server.get(path).content == DATA
        part = server.get(path, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, DATA[2:5])
        data = b"in two parts"
        other = hashlib.sha256(data).hexdigest()
        address = f"artifacts/{other[:2]}/{other}/part.bin"
        for start, end, status in ((0, 5, 202), (5, len(data), 201)):
            headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
            sent = server.request("PUT", address, key=True, data=data[start:end], headers=headers)
            assert sent.status_code == status, sent.text
        assert server.get(address).content == data
        done = run("gc", *arguments, "--older-than", "0")
        assert done.returncode == 0, done.stderr
        assert (server.get(address).status_code, server.get(path).status_code) == (404, 200)


def test_by_reference_leaves_files_where_they_are(server: Server, tmp_path: Path, bucket: str) -> None:
    item = Examples(tmp_path / "made").item()
    document = item.to_dict(transform_hrefs=False)
    for key, name in (("model", "model.bin"), ("metrics", "metrics.json")):
        obstore.put(from_url(bucket), f"mine/{name}", (tmp_path / "made" / name).read_bytes())
        document["assets"][key]["href"] = f"{bucket}/mine/{name}"
    file = tmp_path / "item.json"
    file.write_text(json.dumps(document))
    arguments = ("publish", file, "--catalog", server.href, "--by-reference")
    done = run(*arguments, MODELSTAC_KEY=server.key)
    assert done.returncode == 0, done.stderr
    [found] = server.get("search").json()["features"]
    assert {asset["href"] for asset in found["assets"].values()} == {
        f"{bucket}/mine/model.bin",
        f"{bucket}/mine/metrics.json",
    }
    document["assets"]["model"]["href"] = str(tmp_path / "made" / "model.bin")
    file.write_text(json.dumps(document))
    refused = run(*arguments, MODELSTAC_KEY=server.key)
    assert (refused.returncode, "on this machine only" in refused.stderr) == (2, True)


def test_sync_to_an_api_and_back(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_KEY", server.key)
    first = open_catalog(tmp_path / "first", create=True)
    first.publish_many(Examples(tmp_path / "made").various())
    first.deprecate(ONNX)
    first.set_alias("convlstm-knmi", "champion", NEWER)

    def interrupt(message: object) -> None:
        if ONNX in str(message):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(first, open_catalog(server.href), at_a_time=3, report=interrupt)
    half = len(list(open_catalog(server.href).ids()))
    assert 0 < half < 9
    again = run("sync", str(tmp_path / "first"), server.href, "--json", MODELSTAC_KEY=server.key)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["present"] == half
    assert content(open_catalog(server.href)) == content(first)
    with pytest.raises(KeyboardInterrupt):
        sync(open_catalog(server.href), open_catalog(tmp_path / "back.sqlite", create=True), report=interrupt)
    back = run("sync", server.href, str(tmp_path / "back.sqlite"), "--json")
    assert back.returncode == 0, back.stderr
    assert 0 < json.loads(back.stdout)["present"] < 9
    second = open_catalog(tmp_path / "back.sqlite")
    assert content(second) == content(first)
    assert Path(second.get(TORCH).assets["model"].href).read_bytes() == DATA
