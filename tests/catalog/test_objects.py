"""Static catalogs on object stores: many writers, readers over HTTP, and what goes wrong."""

from __future__ import annotations

import functools
import http.server
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pystac
import pytest
from obstore.store import from_url

from modelstac.catalog import StaticCatalog, open_catalog
from modelstac.catalog.errors import (
    CatalogError,
    IntegrityError,
    ItemExistsError,
    ModelStacError,
    NotFoundError,
    StorageError,
)
from modelstac.catalog.testing import TORCH, Examples
from modelstac.registry.files.cache import Cache
from modelstac.registry.files.download import BLOCK
from modelstac.registry.files.fetch import fetch


def keys(bucket: str) -> set[str]:
    return {meta["path"] for page in obstore.list(from_url(bucket)) for meta in page}


def test_writers_of_one_id_leave_one_item_and_nothing_else(bucket: str, tmp_path: Path) -> None:
    rivals = [Examples(tmp_path / str(n)).item(parameters=n) for n in range(4)]

    def publish(item: pystac.Item) -> str:
        try:
            return str(open_catalog(bucket, create=True).publish(item).properties["mlm:total_parameters"])
        except ItemExistsError:
            return "refused"

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(publish, rivals))
    assert outcomes.count("refused") == 3
    (won,) = set(outcomes) - {"refused"}
    item = open_catalog(bucket).get(TORCH)
    assert str(item.properties["mlm:total_parameters"]) == won
    folder = str(item.get_self_href()).removeprefix(f"{bucket}/").rpartition("/")[0]
    expected = {"model.bin", "metrics.json", f"{TORCH}.json"}
    assert keys(bucket) == {"catalog.json", "convlstm-knmi/collection.json", *(f"{folder}/{name}" for name in expected)}


def test_a_copy_of_the_bucket_is_a_folder_that_pystac_walks(bucket: str, tmp_path: Path) -> None:
    open_catalog(bucket, create=True).publish_many(Examples(tmp_path / "made").various())
    store = from_url(bucket)
    for key in keys(bucket):
        target = tmp_path / "copy" / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bytes(obstore.get(store, key).bytes()))
    root = pystac.Catalog.from_file(str(tmp_path / "copy" / "catalog.json"))
    assert len(list(root.get_items(recursive=True))) == 9
    item = StaticCatalog(tmp_path / "copy").get(TORCH)
    assert Path(item.assets["model"].href).read_bytes() == b"weights"


def test_a_collection_is_one_of_pystac_that_can_be_written(bucket: str, tmp_path: Path) -> None:
    catalog = open_catalog(bucket, create=True)
    catalog.publish(Examples(tmp_path / "made").item())
    links = catalog.collection("convlstm-knmi").to_dict()["links"]
    assert {link["rel"] for link in links} >= {"self", "item"}


def test_an_item_is_deleted_while_somebody_else_deletes_another(bucket: str, tmp_path: Path) -> None:
    catalog, examples = open_catalog(bucket, create=True), Examples(tmp_path / "made")
    catalog.publish_many([examples.item(), examples.item(version="1.1.0"), examples.item(version="1.2.0")])
    # So far has the other come whose collection was read before it.
    [gone] = [key for key in keys(bucket) if key.endswith("/convlstm-knmi-1.2.0-torch.json")]
    obstore.delete(from_url(bucket), gone)
    catalog.delete(TORCH)
    assert [item.id for item in open_catalog(bucket).search()] == ["convlstm-knmi-1.1.0-torch"]


def test_a_changed_file_is_refused(bucket: str, tmp_path: Path) -> None:
    item = Examples(tmp_path / "made").item()
    (tmp_path / "made" / "model.bin").write_bytes(b"changed")
    catalog = open_catalog(bucket, create=True)
    with pytest.raises(IntegrityError, match="changed after it was described"):
        catalog.publish(item)
    assert catalog.find(TORCH) is None


def test_a_catalog_on_the_web_can_be_read_and_searched(tmp_path: Path) -> None:
    StaticCatalog(tmp_path / "site", create=True).publish_many(Examples(tmp_path / "made").various())
    handler = functools.partial(Quiet, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/catalog.json"
        catalog = open_catalog(address)
        assert [item.id for item in catalog.search(framework="ONNX")] == ["convlstm-knmi-1.0.0-onnx-from-torch"]
        href = catalog.get(TORCH).assets["model"].href
        assert href == address.replace("catalog.json", f"convlstm-knmi/{TORCH}/model.bin")
        with pytest.raises(CatalogError, match="can only be read"):
            catalog.publish(Examples(tmp_path / "made").item(version="9.0.0"))
        server.shutdown()


def test_google_is_spoken_to_in_its_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its client against a folder on the web: a blob is a file below its bucket there too.
    StaticCatalog(tmp_path / "bucket" / "models", create=True).publish(Examples(tmp_path / "made").item())
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Tagged, directory=str(tmp_path))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GOOGLE_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
        monkeypatch.setenv("GOOGLE_ALLOW_HTTP", "true")
        item = open_catalog("gs://bucket/models").get(TORCH)
        assert item.assets["model"].href == f"gs://bucket/models/convlstm-knmi/{TORCH}/model.bin"
        assert fetch(item, "model", max_bytes=1 << 20, cache=Cache(tmp_path / "cache")).data == b"weights"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


class Tagged(Quiet):
    def end_headers(self) -> None:
        self.send_header("ETag", '"tag"')
        super().end_headers()


def test_what_cannot_be_opened_says_why(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CatalogError, match=f"no catalog at {bucket}/nothing"):
        open_catalog(f"{bucket}/nothing")
    for variable in ("AWS_ENDPOINT_URL", "AZURITE_BLOB_STORAGE_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="check address"):
        open_catalog(bucket)
    with pytest.raises(ModelStacError):
        open_catalog("gopher://example.org/models")


def test_a_file_in_a_bucket_comes_through_the_cache(bucket: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * (2 * BLOCK // 256) + b"the end"  # three ranges
    (tmp_path / "model.bin").write_bytes(content)
    item = Examples(tmp_path / "made").item(artifact=tmp_path / "model.bin")
    obstore.put(from_url(bucket), "far/model.bin", content)
    item.assets["model"].href = f"{bucket}/far/model.bin"
    cache = Cache(tmp_path / "cache")
    assert fetch(item, "model", max_bytes=1 << 30, cache=cache).data == content
    obstore.delete(from_url(bucket), "far/model.bin")
    assert fetch(item, "model", max_bytes=1 << 30, cache=cache).data == content
    with pytest.raises(NotFoundError, match=rf"asset 'model' of item 'convlstm-knmi-1\.0\.0-torch' at {bucket}/.*404"):
        fetch(item, "model", max_bytes=1 << 30, cache=Cache(tmp_path / "other"))
