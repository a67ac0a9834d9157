"""Somebody else's STAC API, here stac-fastapi-pgstac as it comes, with items that were not made by modelstac."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pypgstac.db import PgstacDB
from pypgstac.load import Loader, Methods
from tests.catalog.server import postgres
from tests.catalog.server.conftest import environment
from tests.registry.foreign_items import item, weights

from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import NotFoundError, StorageError
from modelstac.catalog.items.collections.widening import new_collection, widened
from modelstac.catalog.search.query import Query
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import Examples, Meaning, said_items
from modelstac.catalog.testing.describing import told, written
from modelstac.catalog.testing.meanings import NAME


@contextmanager
def stock(url: str, folder: Path, **more: str) -> Iterator[str]:
    """Run stac-fastapi-pgstac as its own documentation does."""
    parts, log = urlsplit(url), folder / "stock.log"
    known = {"PGHOST": parts.hostname, "PGPORT": parts.port, "PGUSER": parts.username, "PGPASSWORD": parts.password}
    variables = {name: str(value) for name, value in known.items()} | {"PGDATABASE": parts.path.lstrip("/")} | more
    command = [sys.executable, "-m", "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app", "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment(**variables), stdout=file, stderr=file)
    try:
        until = time.monotonic() + 120
        while not (found := re.search(r"running on (http://[\w.:]+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield found[1]
    finally:
        process.terminate()
        process.wait(20)


SPELLED = {"one": ("pytorch", "2.1.2+cu121"), "two": ("PyTorch", "2.8.0"), "three": ("torch", "1.13.1")}


@pytest.fixture(scope="module")
def catalog(cluster: postgres.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    collection = {"type": "Collection", "id": "others", "stac_version": "1.1.0", "extent": extent, "links": []}
    made = [
        item(name, "1.3.0", {"model": weights()}, mlm_framework=framework, mlm_framework_version=version)
        for name, (framework, version) in SPELLED.items()
    ]
    made.append(item("four", "1.5.0", {"model": weights()}, mlm_framework="ONNX", title="Of roofs"))
    with cluster.database() as url:
        loader = Loader(PgstacDB(dsn=url))
        loader.load_collections(iter([collection | {"description": "theirs", "license": "other"}]), Methods.insert)
        loader.load_items(iter(made), Methods.insert)
        loader.db.close()
        with stock(url, tmp_path_factory.mktemp("stock")) as href:
            found = open_catalog(href)
            assert isinstance(found, ApiCatalog)
            yield found


@pytest.fixture(scope="module")
def stock_that_was_told(cluster: postgres.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    made = said_items(Examples(tmp_path_factory.mktemp("made") / "files"))
    items = [found.to_dict(transform_hrefs=False) for found in made]
    collection = widened(new_collection(NAME, items[0]["properties"]), *items) | {"links": []}
    with cluster.database() as url:
        loader = Loader(PgstacDB(dsn=url))
        loader.load_collections(iter([collection]), Methods.insert)
        loader.load_items(iter(items), Methods.insert)
        loader.db.close()
        with stock(url, tmp_path_factory.mktemp("meaning")) as href:
            yield ApiCatalog(href)


class TestTheMeaningOfASearch(Meaning):
    """What stock stac-fastapi-pgstac says, asked through our client, is what every catalog of ours says."""

    @pytest.fixture
    def told(self, stock_that_was_told: Catalog) -> Catalog:
        return stock_that_was_told


def test_one_id_in_two_collections(cluster: postgres.Cluster, tmp_path: Path) -> None:
    made = said_items(Examples(tmp_path / "files"))[0].to_dict(transform_hrefs=False)
    with cluster.database() as url:
        loader = Loader(PgstacDB(dsn=url))
        for name in ("one", "two"):
            collection = widened(new_collection(name, made["properties"]), made)
            loader.load_collections(iter([collection | {"links": []}]), Methods.insert)
            loader.load_items(iter([made | {"collection": name}]), Methods.insert)
        loader.db.close()
        with stock(url, tmp_path) as href:
            catalog = ApiCatalog(href)
            first = catalog.page(Query(limit=1))
            second = catalog.page(Query(limit=1, token=first.next))
            assert second.next is None
            assert [page.documents[0]["collection"] for page in (first, second)] == ["one", "two"]
            found = catalog.page(Query(sortby="version")).documents
            assert sorted(document["collection"] for document in found) == ["one", "two"]
            assert len(catalog.page(Query(sortby="version", collections="two")).documents) == 1


def test_models_are_found_by_framework_version_place_and_words(catalog: Catalog) -> None:
    def ids(**wanted: object) -> list[str]:
        return sorted(found.id for found in catalog.search(**wanted))

    for spelling in ("PyTorch", "pytorch", "Torch"):
        assert ids(framework=spelling) == ["one", "three", "two"]
        assert ids(framework=spelling, framework_version=">=2,<3") == ["one", "two"]
    assert ids(task="segmentation", framework="onnx") == ["four"]
    assert ids(text="roofs") == ["four"]
    assert ids(filter="\"mlm:framework\" = 'torch'") == ["three"]
    assert ids(bbox=(0, 40, 1, 41)) == ["four", "one", "three", "two"]
    assert ids(bbox=(100, 0, 101, 1)) == []
    assert [found.id for found in catalog.search(sortby="-title", framework="onnx")] == ["four"]
    pages = [catalog.page(query) for query in _pages(catalog)]
    assert sorted(document["id"] for page in pages for document in page.documents) == ["one", "three", "two"]


def _pages(catalog: Catalog) -> Iterator[object]:
    from modelstac.catalog import Query

    query = Query(framework="torch", limit=2)
    while True:
        yield query
        token = catalog.page(query).next
        if token is None:
            return
        query = query.changed(token=token)


def test_an_unknown_id_names_the_nearest(catalog: Catalog) -> None:
    assert catalog.get("three").id == "three"
    with pytest.raises(NotFoundError, match="three"):
        catalog.get("thre")


def test_a_server_that_is_not_there() -> None:
    href = f"http://127.0.0.1:{postgres.free_port()}"
    with pytest.raises(StorageError, match="does not answer: the connection is refused"):
        open_catalog(href)


def test_copies_into_an_api_that_takes_writes_and_out_again(cluster: postgres.Cluster, tmp_path: Path) -> None:
    first, back = (open_catalog(tmp_path / name, create=True) for name in ("first", "back.sqlite"))
    first.change_collection(NAME, lambda _: written(NAME))
    first.change_collection("empty", lambda _: written("empty"))
    items = said_items(Examples(tmp_path / "made"))
    for found in items:
        for key, asset in found.assets.items():
            asset.href = f"https://example.org/{found.id}/{key}"
    first.publish_many(items)
    first.set_alias(NAME, "champion", items[0].id)
    first.protect_alias(NAME, "champion", ["proved"])
    first.deprecate(items[1].id)
    with cluster.database() as url, stock(url, tmp_path, ENABLE_TRANSACTIONS_EXTENSIONS="TRUE") as href:
        there = ApiCatalog(href)
        for before, after in ((first, there), (there, back)):
            done = sync(before, after, artifacts=False)
            assert (len(done.copied), done.aliases) == (len(items), (f"{NAME}@champion",))
            again = sync(before, after, artifacts=False)
            assert (again.copied, again.present, again.aliases) == ((), len(items), ())
            assert (told(after, NAME), told(after, "empty")) == (told(first, NAME), written("empty"))
            assert after.get(items[1].id).properties["deprecated"] is True
    rules = {found["id"]: found.get("interop:alias_rules") for found in back.collection_documents()}
    assert rules == {NAME: {"champion": ["proved"]}, "empty": None}
    back.set_alias(NAME, "champion", None)
    assert back.aliases(NAME) == {}


@contextmanager
def paging(way: str) -> Iterator[str]:
    """Serve five items by pages of two: a next link says what it changes (merge), a header, or all in an address."""
    made = [item(f"model-{number}", "1.5.0", {"model": weights()}) for number in range(5)]
    rest = "https://api.stacspec.org/v1.0.0/"
    landing = {"type": "Catalog", "stac_version": "1.1.0", "id": "theirs", "description": "theirs", "links": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def answer(self, document: Any, status: int = 200) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def search(self, given: Any) -> None:
            page = int(given.get("page", self.headers.get("X-Page", 0)))
            found = made if given.get("collections") in (["others"], "others") else []
            link: Any = {"rel": "next", "method": "POST", "href": "search", "body": {"page": page + 1}, "merge": True}
            if way == "headers":
                link = link | {"headers": {"X-Page": str(page + 1)}, "body": {}}
            elif way == "address":
                link = {"rel": "next", "href": f"/search?collections=others&page={page + 1}"}
            links = [link] if 2 * page + 2 < len(found) else []
            self.answer({"type": "FeatureCollection", "features": found[2 * page : 2 * page + 2], "links": links})

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/search":
                return self.search({name: found[0] for name, found in parse_qs(parts.query).items()})
            conforms = {"conformsTo": [f"{rest}core", f"{rest}item-search"]}
            return self.answer(landing | conforms) if parts.path == "/" else self.answer({}, 404)

        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer({}, 405) if way == "address" else self.search(given)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("way", ["merge", "headers", "address"])
def test_pages_are_followed_in_every_way_that_the_specification_knows(way: str) -> None:
    with paging(way) as href:
        there = open_catalog(href)
        assert [found.id for found in there.search(collections="others")] == [f"model-{n}" for n in range(5)]
        found, token = [], None
        while True:
            page = there.page(Query(collections=("others",), limit=3, token=token))
            found += [document["id"] for document in page.documents]
            if (token := page.next) is None:
                break
        assert found == [f"model-{n}" for n in range(5)]
