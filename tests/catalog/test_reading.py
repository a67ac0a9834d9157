"""The search index beside a static catalog: what readers on the web and on an object store read, and believe."""

from __future__ import annotations

import contextlib
import functools
import gzip
import http.server
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelstac.catalog import StaticCatalog, open_catalog
from modelstac.catalog.backends.objects import ObjectCatalog
from modelstac.catalog.backends.tree import INDEX
from modelstac.catalog.testing import Examples

ONNX = "convlstm-knmi-1.0.0-onnx-from-torch"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Give a folder with a catalog, and the address at which it is on the web; the user's cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = StaticCatalog(tmp_path / "site", create=True)
    folder.publish_many(Examples(tmp_path / "made").various())
    asked: list[str] = []

    class Noting(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the names are the base class's
            asked.append(self.path)

    handler = functools.partial(Noting, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(folder, f"http://127.0.0.1:{server.server_port}/catalog.json", asked)
        server.shutdown()


@dataclass(frozen=True)
class Site:
    folder: StaticCatalog
    address: str
    asked: list[str]

    def searched(self, **fields: Any) -> tuple[list[str], int]:
        """Search as somebody who has no index yet, and count the items that were read for it."""
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)
        return self.searched_again(**fields)

    def searched_again(self, **fields: Any) -> tuple[list[str], int]:
        self.asked.clear()
        found = [item.id for item in open_catalog(self.address).search(**fields)]
        return found, sum(path.count("/") == 3 for path in self.asked)


def test_an_index_beside_the_catalog_saves_reading_it(site: Site, tmp_path: Path) -> None:
    assert site.searched(framework="ONNX") == ([ONNX], 9 + 1)
    site.folder.write_index()
    assert site.searched(framework="ONNX") == ([ONNX], 1), "the item that is found, and no other"
    site.folder.publish(Examples(tmp_path / "made").item(version="9.0.0"))
    assert site.searched(version="9.0.0") == (["convlstm-knmi-9.0.0-torch"], 2), "the new one, and the one found"
    assert site.searched_again(framework="ONNX") == ([ONNX], 1)
    # What the index does not know of an item is seen when it is looked at, also by those who have the index.
    site.folder.deprecate(ONNX)
    assert site.searched(framework="ONNX", deprecated=False) == ([], 2)
    site.folder.delete(ONNX)
    assert site.searched_again(framework="ONNX")[0] == []
    assert set(site.searched_again()[0]) == set(site.folder.ids())


def test_a_bad_index_beside_the_catalog_is_not_used(site: Site) -> None:
    site.folder.write_index()
    path = Path(site.folder.href) / INDEX
    good = path.read_bytes()
    file = path.with_suffix("")
    file.write_bytes(gzip.decompress(good))
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TRIGGER sly AFTER DELETE ON aliases BEGIN DELETE FROM items; END")
    for bad in (b"", good[:500], gzip.compress(b"no database"), gzip.compress(file.read_bytes())):
        path.write_bytes(bad)
        assert site.searched(framework="ONNX") == ([ONNX], 9 + 1)
    path.write_bytes(good)
    assert site.searched(framework="ONNX") == ([ONNX], 1)


def test_an_index_in_a_bucket_serves_others_until_documents_change(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    catalog = open_catalog(bucket, create=True)
    assert isinstance(catalog, ObjectCatalog)
    catalog.publish_many(Examples(tmp_path / "made").various())
    catalog.write_index()
    catalog.write_index()
    catalog.deprecate(ONNX)
    shutil.rmtree(tmp_path / "cache")
    read: list[str] = []
    other = Noted(bucket, read)
    assert [item.id for item in other.search(deprecated=True)] == [ONNX]
    assert [path for path in read if path.endswith(f"{ONNX}.json")] == [p for p in read if p.count("/") == 3]


class Noted(ObjectCatalog):
    """Notes what is read."""

    def __init__(self, href: str, read: list[str]) -> None:
        self._noted = read
        super().__init__(href)

    def _read(self, path: str) -> bytes | None:
        self._noted.append(path)
        return super()._read(path)
