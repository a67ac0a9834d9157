"""Artifacts go up once, by their SHA-256, in parts if need be, and come down whole or in parts."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.catalog.conftest import Describe
from tests.catalog.server.conftest import Server, run

from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.errors import InvalidItemError, UnauthorizedError
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import TORCH, Examples

DATA = bytes(range(256)) * 8192
DIGEST = hashlib.sha256(DATA).hexdigest()
PATH = f"artifacts/{DIGEST[:2]}/{DIGEST}/model.bin"


def test_an_upload_goes_on_where_it_ended(running: Server) -> None:
    assert running.request("PUT", PATH, data=DATA).status_code == 401
    half = len(DATA) // 2
    first = {"Content-Range": f"bytes 0-{half - 1}/{len(DATA)}"}
    begun = running.request("PUT", PATH, key=True, data=DATA[:half], headers=first)
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (202, str(half))
    assert running.request("HEAD", PATH).headers["Upload-Offset"] == str(half)
    assert running.get(PATH).status_code == 404
    gap = {"Content-Range": f"bytes {half + 1}-{len(DATA) - 1}/{len(DATA)}"}
    assert running.request("PUT", PATH, key=True, data=DATA[half + 1 :], headers=gap).status_code == 412
    rest = {"Content-Range": f"bytes {half}-{len(DATA) - 1}/{len(DATA)}"}
    assert running.request("PUT", PATH, key=True, data=DATA[half:], headers=rest).status_code == 201
    assert running.request("PUT", PATH, key=True, data=DATA).status_code == 200
    found = running.get(PATH)
    assert found.content == DATA
    digest = base64.b64encode(bytes.fromhex(DIGEST)).decode()
    assert found.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    part = running.get(PATH, headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, DATA[1000:2000])
    assert running.get(PATH, headers={"Range": "bytes=-10"}).content == DATA[-10:]
    assert running.get(PATH, headers={"Range": f"bytes={len(DATA)}-"}).status_code == 416
    for ignored in ("bytes=9-3", "bytes=0-1,4-5", "bytes=-", "items=0-1", f"bytes={'9' * 5000}-"):
        assert running.get(PATH, headers={"Range": ignored}).status_code == 200, ignored[:20]
    for outside in (f"bytes={len(DATA)}-{len(DATA) + 5}", "bytes=-0"):
        assert running.get(PATH, headers={"Range": outside}).status_code == 416, outside
    whole = running.get(PATH, headers={"Range": f"bytes=0-{10**17}"})
    assert (whole.status_code, whole.content) == (206, DATA)
    for tags in (found.headers["ETag"], "*", f'"other", W/{found.headers["ETag"]}'):
        assert running.get(PATH, headers={"If-None-Match": tags}).status_code == 304
    other = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert running.get(PATH, headers=other).status_code == 200


def test_bytes_that_are_others_are_not_kept(running: Server) -> None:
    other = f"artifacts/00/{'0' * 64}/model.bin"
    answer = running.request("PUT", other, key=True, data=b"something else")
    assert (answer.status_code, answer.json()["code"]) == (422, "IntegrityError")
    assert running.get(other).status_code == 404
    assert running.request("PUT", "artifacts/00/xyz/model.bin", key=True, data=b"x").status_code == 400
    assert running.request("PUT", f"artifacts/00/{'0' * 64}/..%2f..%2fx", key=True, data=b"x").status_code in {400, 404}


def test_uploads_of_another_length(running: Server) -> None:
    data = b"0123456789"
    digest = hashlib.sha256(data + running.href.encode()).hexdigest()  # of no bytes that are sent
    path = f"artifacts/{digest[:2]}/{digest}/part.bin"

    def put(content: str, body: bytes) -> int:
        return running.request("PUT", path, key=True, data=body, headers={"Content-Range": content}).status_code

    assert put("bytes 0-4/10", data[:3]) == 202  # less than was said: it goes on after what came
    assert running.request("HEAD", path).headers["Upload-Offset"] == "3"
    assert put("bytes 3-9/5", data[3:]) == 413  # more than there is in all
    assert put(f"bytes 0-9/{10**15}", data) == 413  # more than the server takes
    for content in ("bytes */10", "bytes 0-9/*", "bytes a-b/c", "items 0-9/10"):
        assert put(content, data) == 400, content
    assert put("bytes 0-9/10", data) == 422  # complete, and not what the address names
    assert running.request("HEAD", path).headers["Upload-Offset"] == "0"
    assert running.get(path).status_code == 404


def test_published_files_are_on_the_server(server: Server, describe: Describe) -> None:
    with pytest.raises(UnauthorizedError):
        ApiCatalog(server.href, key="wrong").publish(write_item(describe()))
    catalog = ApiCatalog(server.href, key=server.key)
    item = catalog.publish(write_item(describe()))
    href = item.assets["model"].href
    assert href.startswith(f"{server.href}/artifacts/")
    assert server.get(href.removeprefix(f"{server.href}/")).content == b"weights"
    with pytest.raises(InvalidItemError, match="this machine only"):
        ApiCatalog(server.href, key=server.key, by_reference=True).publish(write_item(describe(version="2.0.0")))


def test_the_server_takes_no_files_of_its_own_machine(server: Server, describe: Describe) -> None:
    catalog = ApiCatalog(server.href, key=server.key)
    document = catalog.publish(write_item(describe())).to_dict(transform_hrefs=False)
    document["id"] = document["id"].replace("1.0.0", "1.0.1")
    document["properties"]["version"] = "1.0.1"
    for href in ("/etc/passwd", "file:///etc/passwd", "../keys.json", "artifacts/../keys.json"):
        document["assets"]["model"]["href"] = href
        answer = server.request("POST", "collections/convlstm-knmi/items", key=True, json=document)
        assert answer.status_code == 400, href
    assert [item.id for item in catalog.items()] == [TORCH]


def test_what_no_item_names_is_collected(embedded_server: Server, describe: Describe) -> None:
    embedded_server.clear()
    ApiCatalog(embedded_server.href, key=embedded_server.key).publish(write_item(describe()))
    assert embedded_server.request("PUT", PATH, key=True, data=DATA).status_code in {200, 201}
    catalog = embedded_server.log.parent / "models.sqlite"
    kept = run("gc", "--catalog", catalog)
    assert (kept.returncode, kept.stdout.split()[0]) == (0, "0"), kept.stderr
    done = run("gc", "--catalog", catalog, "--older-than", "0")
    assert done.returncode == 0, done.stderr
    assert embedded_server.get(PATH).status_code == 404
    [item] = embedded_server.get("search").json()["features"]
    assert embedded_server.get(item["assets"]["model"]["href"].removeprefix(f"{embedded_server.href}/")).ok


def test_where_there_is_no_catalog_nothing_is_collected(tmp_path: Path) -> None:
    """Of a catalog that lies elsewhere, or is called otherwise, no item could name any file."""
    file = tmp_path / "models.artifacts" / PATH.removeprefix("artifacts/")
    file.parent.mkdir(parents=True)
    file.write_bytes(DATA)
    done = run("gc", "--catalog", tmp_path / "models.sqlite", "--older-than", "0")
    assert done.returncode == 2
    assert f"no catalog at {tmp_path / 'models.sqlite'}" in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


@pytest.mark.parametrize("name", ["my model.bin", "Modèle (1)#?.bin", "模型+@=&.bin", "m" * 200])
def test_files_keep_the_names_that_people_give(server: Server, tmp_path: Path, name: str) -> None:
    item = Examples(tmp_path / "made").item()
    item.assets["model"].href = str(Path(item.assets["model"].href).rename(tmp_path / name))
    catalog = ApiCatalog(server.href, key=server.key)
    for _ in range(2):
        found = catalog.publish(item)
    href = found.assets["model"].href
    assert re.fullmatch(r"[!-~]+", href), "an address has no spaces and no letters beyond ASCII"
    answer = server.get(href.removeprefix(f"{server.href}/"))
    assert answer.content == (tmp_path / name).read_bytes()
    assert unquote(answer.headers["Content-Disposition"]).endswith(f"''{name}")
    shown = escape(f'"../{href.removeprefix(f"{server.href}/")}"', quote=False)
    assert shown.replace("'", "&#39;") in server.get(f"models/{found.collection_id}").text
    catalog.deprecate(found.id)
    assert catalog.get(found.id).assets["model"].href == href
    sync(catalog, open_catalog(tmp_path / "copy", create=True))
    assert [path.read_bytes() for path in (tmp_path / "copy").rglob(name.replace("?", "[?]"))] == [answer.content]


@pytest.mark.parametrize("name", [".hidden", "100%25", "a%5Cb", "%E2%82%AC" * 86, "a%0Ab"])
def test_names_that_no_folder_keeps_are_refused(running: Server, name: str) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    answer = running.request("PUT", f"artifacts/{digest[:2]}/{digest}/{name}", key=True, data=b"")
    assert (answer.status_code, "give the file another name" in answer.json()["detail"]) == (400, True)
