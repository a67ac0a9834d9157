"""What HTTP asks of a server, and what readers without a key cannot do to it: over both backends."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from tests.catalog.conftest import Describe
from tests.catalog.server.conftest import Server, serving, until

from modelstac.catalog import Query
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.backends.api.http import Api
from modelstac.catalog.errors import CatalogError, StorageError
from modelstac.catalog.items.writing import write_item
from modelstac.cli.keeping.settings import settings_of

NAME = "convlstm-knmi"
ITEMS = f"collections/{NAME}/items"
VERSIONS = [f"1.{minor}.0" for minor in range(12)]


@pytest.fixture
def catalog(server: Server, describe: Describe) -> ApiCatalog:
    """Give a catalog with twelve items of one model."""
    found = ApiCatalog(server.href, key=server.key)
    found.publish_many([write_item(describe(version=version)) for version in VERSIONS])
    return found


def pages(server: Server, path: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of a search; whoever takes them may change the catalog between."""
    href: str | None = f"{server.href}/{path}"
    while href:
        answer = server.get(href.removeprefix(f"{server.href}/"))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page.get("features", page.get("collections"))
        href = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)


@pytest.mark.parametrize("act", ["change", "delete"])
@pytest.mark.parametrize("sort", ["%2Bproperties.updated", "-properties.updated", "-properties.version", "%2Bid"])
def test_a_walk_goes_on_whatever_becomes_of_the_row_where_it_is(
    server: Server, catalog: ApiCatalog, sort: str, act: str
) -> None:
    ids, found = set(catalog.ids()), []
    for page in pages(server, f"search?limit=4&sortby={sort}"):
        found += [item["id"] for item in page]
        path = f"{ITEMS}/{page[-1]['id']}"
        if act == "change":
            server.request("PATCH", path, key=True, json={"properties": {"deprecated": len(found) % 8 == 4}})
        else:
            assert server.request("DELETE", path, key=True).status_code == 204
        if len(found) > 30:
            break  # what is changed all the time is always the latest
    assert ids == set(found)


def test_a_walk_over_collections_too(server: Server, describe: Describe) -> None:
    catalog = ApiCatalog(server.href, key=server.key)
    names = [f"model-{number:02}" for number in range(9)]
    catalog.publish_many([write_item(describe(name=name)) for name in names])
    for order in ("&sortby=-title", "&sortby=-id", ""):
        found = []
        for page in pages(server, f"collections?limit=2{order}"):
            found += [collection["id"] for collection in page]
            if not order:
                server.request("DELETE", f"collections/{page[-1]['id']}", key=True)
        assert found == (names[::-1] if order.endswith("id") else names)


def test_a_page_that_ends_within_one_of_the_servers(server: Server, catalog: ApiCatalog) -> None:
    found, token = [], None
    while True:
        # A range of versions is decided here, item by item, so that pages do not end with the server's.
        page = catalog.page(Query(version="!=1.3.0", limit=3, token=token))
        found += [str(document["id"]) for document in page.documents]
        server.request("DELETE", f"{ITEMS}/{found[-3]}", key=True)
        if (token := page.next) is None:
            break
    assert sorted(found) == sorted(f"{NAME}-{version}-torch" for version in VERSIONS if version != "1.3.0")


def test_aliases_that_are_none(server: Server, catalog: ApiCatalog) -> None:
    collection = server.get(f"collections/{NAME}").json()
    wrong: tuple[Any, ...] = ("champion", ["a"], {"a/b": VERSIONS[0]}, {"champion": 3}, {"champion": "nobody"})
    for aliases in wrong:
        for method, path, body in (
            ("PATCH", f"collections/{NAME}", {"interop:aliases": aliases}),
            ("PUT", f"collections/{NAME}", collection | {"interop:aliases": aliases}),
            ("POST", "collections", collection | {"id": "another", "interop:aliases": aliases}),
        ):
            answer = server.request(method, path, key=True, json=body)
            assert answer.status_code == 400, (method, aliases, answer.text)
            assert "interop:aliases" in answer.json()["detail"]
    assert len(list(catalog.items())) == 12
    assert server.get("collections/another").status_code == 404


def test_files_that_are_not_what_an_item_says(server: Server, catalog: ApiCatalog) -> None:
    stored = server.get(f"{ITEMS}/{NAME}-1.0.0-torch").json()
    digest = stored["assets"]["model"]["file:checksum"][4:]
    never = "ab" * 32
    for asset, says in (
        ({"href": f"{server.href}/artifacts/ab/{never}/model.bin", "file:checksum": f"1220{never}"}, "is not here"),
        ({"file:checksum": f"1220{never}"}, "file:checksum"),
        ({"file:size": 8}, "file:size"),
        ({"href": f"{server.href}/artifacts/{digest}"}, "href"),
        ({"href": f"{server.href}/artifacts/{digest[:2]}/{digest}/other.bin"}, "is not here"),
    ):
        bad = json.loads(json.dumps(stored).replace("1.0.0", "7.0.0"))
        bad["assets"]["model"] |= asset
        line = json.dumps(bad)
        for path, sent in (
            (ITEMS, {"json": bad}),
            (f"collections/{NAME}/bulk_items", {"json": {"items": {bad["id"]: bad}}}),
            ("bulk_items", {"data": line, "headers": {"Content-Type": "application/x-ndjson"}}),
        ):
            answer = server.request("POST", path, key=True, **sent)
            assert answer.status_code == 400, (path, asset, answer.text)
            assert says in answer.json()["detail"], answer.text
    assert len(list(catalog.ids())) == 12


def test_more_than_anybody_asks_for(server: Server, catalog: ApiCatalog) -> None:
    ring = [[x / 1e4, 1] for x in range(20_000)]
    long = {"type": "LineString", "coordinates": ring}
    for body, says in (
        ({"ids": [f"i{number}" for number in range(60_000)]}, "ids"),
        ({"collections": [f"i{number}" for number in range(60_000)]}, "collections"),
        ({"ids": ["x" * 10_000]}, "ids"),
        ({"q": ["a " * 30_000]}, "q"),
        ({"q": ["a"] * 100}, "q"),
        ({"fields": {"include": [f"properties.a{number}" for number in range(20_000)]}}, "fields"),
        ({"sortby": [{"field": "id", "direction": "asc"}] * 50}, "sortby"),
        ({"query": {f"mlm:a{number}": {"eq": 1} for number in range(5_000)}}, "query"),
        ({"intersects": long}, "intersects"),
        ({"filter": {"op": "s_intersects", "args": [{"property": "geometry"}, long]}}, "filter"),
        ({"q": ["a" * 2_000_000]}, "body"),
    ):
        begun = time.monotonic()
        answer = server.request("POST", "search", json=body)
        assert 400 <= answer.status_code < 414, (says, answer.text[:200])
        assert says in answer.json()["detail"], answer.text[:200]
        assert time.monotonic() - begun < 10, says
    assert server.get("search").json()["numberReturned"] == 10


def test_many_who_count_at_once(server: Server, catalog: ApiCatalog) -> None:
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda _: server.get("aggregate"), range(48)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["aggregations"][0]["value"] for answer in answers} == {12}


def test_a_body_that_comes_slowly_keeps_nobody_from_writing(server: Server, catalog: ApiCatalog) -> None:
    line = json.dumps(server.get(f"{ITEMS}/{NAME}-1.0.0-torch").json() | {"id": "late"}).encode() + b"\n"
    address = urlsplit(server.href)
    head = f"POST /bulk_items HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nConnection: close\r\n"
    head += f"Content-Type: application/x-ndjson\r\nContent-Length: {len(line) * 2000}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + line * 1500)
        time.sleep(0.5)
        begun = time.monotonic()
        catalog.deprecate(f"{NAME}-1.0.0-torch")
        assert time.monotonic() - begun < 10
    assert catalog.get(f"{NAME}-1.0.0-torch").properties["deprecated"]


def test_head_wherever_get_is(server: Server, catalog: ApiCatalog) -> None:
    item = f"{ITEMS}/{NAME}-1.0.0-torch"
    paths = ["", "conformance", "collections", f"collections/{NAME}", ITEMS, item, "search", "queryables"]
    for path in [*paths, f"collections/{NAME}/queryables", "aggregate", "aggregations", "healthz", "api", "metrics"]:
        got, head = server.get(path), server.request("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers.get("etag") == got.headers.get("etag")
        if path != "metrics":
            assert head.headers["content-length"] == got.headers["content-length"], path
    assert server.request("HEAD", f"{ITEMS}/nobody").status_code == 404
    assert server.request("POST", "healthz").status_code == 405


def test_what_is_null_is_null_again_wherever_it_is(server: Server, catalog: ApiCatalog) -> None:
    item = server.get(f"{ITEMS}/{NAME}-1.3.0-torch").json()
    item["id"], item["properties"]["version"] = f"{NAME}-3.0.0-torch", "3.0.0"
    item["properties"]["mlm:hyperparameters"] = {"rmse": 1, "note": None}
    item["assets"]["model"] |= {"more": None, "deep": [{"a": None, "b": [None, 1]}]}
    item["links"] = [{"rel": "cite-as", "href": "https://example.org/1", "m": None, "n": {"a": None}}]
    item |= {"foreign": None, "other": {"a": None, "b": [None, {"c": None}]}}
    answer = server.request("POST", ITEMS, key=True, json=item)
    assert answer.status_code == 201, answer.text
    # Others around it change the links, and a patch the rest.
    newer = item | {"id": f"{NAME}-4.0.0-torch", "properties": item["properties"] | {"version": "4.0.0"}}
    assert server.request("POST", ITEMS, key=True, json=newer).status_code == 201
    catalog.deprecate(item["id"])
    for wanted in (item, newer):
        for found in (
            server.get(f"{ITEMS}/{wanted['id']}").json(),
            server.get(f"search?ids={wanted['id']}").json()["features"][0],
        ):
            assert found["assets"] == wanted["assets"]
            assert found["properties"]["mlm:hyperparameters"] == {"rmse": 1, "note": None}
            assert (found["foreign"], found["other"]) == (None, wanted["other"])
            assert wanted["links"][0] in found["links"]
            assert {"predecessor-version"} <= {link["rel"] for link in found["links"]}
    missing = server.request("DELETE", f"{ITEMS}/nobody", key=True)
    assert (missing.status_code, missing.json()["detail"]) == (404, f"no item 'nobody' in collection '{NAME}'")


def test_what_is_not_allowed_says_all_that_is(server: Server, catalog: ApiCatalog) -> None:
    item = f"{ITEMS}/{NAME}-1.0.0-torch"
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
    wanted = {
        "": "GET, HEAD",
        "search": "GET, HEAD, POST",
        "collections": "GET, HEAD, POST",
        f"collections/{NAME}": "GET, HEAD, PUT, PATCH, DELETE",
        ITEMS: "GET, HEAD, POST",
        item: "GET, HEAD, PUT, PATCH, DELETE",
        f"collections/{NAME}/bulk_items": "POST",
        "bulk_items": "POST",
        f"artifacts/ab/{'ab' * 32}/x": "GET, HEAD, PUT",
        f"forms/{item}": "GET, HEAD",
        f"models/{NAME}": "GET, HEAD",
        "catalogs": "GET, HEAD, POST",
    }
    for path, allowed in wanted.items():
        answer = server.request("OPTIONS", path)
        assert (answer.status_code, answer.headers["allow"], answer.content) == (204, f"{allowed}, OPTIONS", b""), path
        for method in methods:
            if method not in allowed.split(", "):
                answer = server.request(method, path, key=True)
                assert (answer.status_code, answer.headers["allow"]) == (405, f"{allowed}, OPTIONS"), (method, path)
    preflight = {"Origin": "https://example.org", "Access-Control-Request-Method": "PUT"}
    assert "PUT" in server.request("OPTIONS", item, headers=preflight).headers["access-control-allow-methods"]
    assert server.request("OPTIONS", "nowhere").status_code == 404


def test_an_entity_tag_is_of_one_encoding(server: Server, catalog: ApiCatalog) -> None:
    path = f"{ITEMS}/{NAME}-1.0.0-torch"
    tags = {}
    for encoding in ("identity", "gzip", "br"):
        answer = server.get(path, headers={"Accept-Encoding": encoding})
        assert answer.headers.get("content-encoding", "identity") == encoding
        tags[encoding] = answer.headers["etag"]
        again = server.get(path, headers={"Accept-Encoding": encoding, "If-None-Match": tags[encoding]})
        assert (again.status_code, again.headers["etag"]) == (304, tags[encoding])
    assert len(set(tags.values())) == 3
    patch = {"properties": {"deprecated": True}}
    assert server.request("PATCH", path, key=True, json=patch, headers={"If-Match": tags["gzip"]}).status_code == 204
    assert server.request("PATCH", path, key=True, json=patch, headers={"If-Match": tags["br"]}).status_code == 412


def test_a_part_of_a_file_is_of_the_file(server: Server) -> None:
    import hashlib

    data = b"compressible " * 10_000
    digest = hashlib.sha256(data).hexdigest()
    path = f"artifacts/{digest[:2]}/{digest}/model.txt"
    assert server.request("PUT", path, key=True, data=data).status_code in {200, 201}
    for encoding in ("gzip", "br", "gzip, br"):
        answer = server.get(path, headers={"Accept-Encoding": encoding, "Range": "bytes=100-9999"})
        assert (answer.status_code, answer.content) == (206, data[100:10_000])
        assert "content-encoding" not in answer.headers
        assert answer.headers["content-length"] == "9900"


def test_ids_that_are_no_names_and_names_of_other_alphabets(server: Server, describe: Describe) -> None:
    ApiCatalog(server.href, key=server.key).publish(write_item(describe()))
    collection = server.get(f"collections/{NAME}").json()
    for name in (".", ".."):
        answer = server.request("POST", "collections", key=True, json=collection | {"id": name})
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidItemError")
    for name in ("модель", "モデル", "naïve-é"):
        answer = server.request("POST", "collections", key=True, json=collection | {"id": name})
        assert answer.status_code == 201, answer.text
        assert answer.headers["Location"] == f"{server.href}/collections/{quote(name)}"
        assert server.get(f"collections/{quote(name)}").json()["id"] == name
        assert server.get(f"collections/{quote(name)}/items").json()["features"] == []
        assert server.request("DELETE", f"collections/{quote(name)}", key=True).status_code == 204


def test_a_client_that_goes_away_is_no_fault_of_the_server(server: Server, catalog: ApiCatalog) -> None:
    address = urlsplit(server.href)
    before = len(server.lines())
    for path in (ITEMS, "bulk_items", f"artifacts/ab/{'ab' * 32}/x.bin", "search"):
        method = "PUT" if path.startswith("artifacts") else "POST"
        kind = "application/x-ndjson" if path == "bulk_items" else "application/json"
        head = f"{method} /{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(f"{head}Content-Type: {kind}\r\nContent-Length: 500\r\n\r\n{{".encode())
    until(lambda: len([line for line in server.lines()[before:] if "status" in line]) >= 4)
    assert not [line for line in server.lines()[before:] if line.get("status") == 500 or line["level"] == "error"]


@pytest.fixture
def busy() -> Iterator[tuple[str, list[float]]]:
    """Give a server that answers, and wants to be asked again in a second, with the times at which it is asked."""
    asked: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            self._answer(200, {"type": "Catalog", "stac_version": "1.1.0", "id": "x", "description": "x"} | _api(here))

        def do_HEAD(self) -> None:
            self._answer(404, {})

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(time.monotonic())
            self._answer(503 if len(asked) < 3 else 201, {"detail": "busy"}, {"Retry-After": "1"})

        def do_POST(self) -> None:
            self.do_PUT()

        def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in (
                {"Content-Length": str(len(data)), "Content-Type": "application/json"} | (headers or {})
            ).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def _api(here: str) -> dict[str, Any]:
    links = [{"rel": "search", "href": f"{here}/search", "method": "POST"}, {"rel": "self", "href": here}]
    return {"conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"], "links": links}


def test_a_client_waits_as_long_as_it_is_told(busy: tuple[str, list[float]], tmp_path: Any) -> None:
    href, asked = busy
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    api = Api(href, "key")
    assert api.upload(file, f"1220{'ab' * 32}").startswith(href)
    assert len(asked) == 3
    assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(asked))
    asked.clear()
    api.send("POST", "collections", {})
    assert len(asked) == 3
    assert asked[-1] - asked[0] > 1.8


def test_what_does_not_answer_is_said_with_its_reason() -> None:
    for href, says in (
        ("http://127.0.0.1:1", "refused"),
        ("http://nobody.invalid", "its name is unknown"),
    ):
        with pytest.raises(StorageError, match=f"^{re.escape(href)} does not answer: .*{says}"):
            ApiCatalog(href)


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"Host": "a.example:8443", "X-Forwarded-Proto": "https"}, "https://a.example:8443"),
        ({"X-Forwarded-Host": "a.example", "X-Forwarded-Port": "8443"}, "http://a.example:8443"),
        ({"X-Forwarded-Host": "a.example:8443", "X-Forwarded-Port": "8443"}, "http://a.example:8443"),
        ({"X-Forwarded-Host": "a.example, in:80", "X-Forwarded-Proto": "https,http"}, "https://a.example"),
        ({"Forwarded": 'for=192.0.2.1;Proto=https;host="[2001:db8::1]:444", host=in'}, "https://[2001:db8::1]:444"),
        ({"Host": "a.example", "X-Forwarded-Host": '"><script>', "X-Forwarded-Proto": "x"}, "http://a.example"),
    ],
)
def test_addresses_are_those_that_the_client_asked(server: Server, headers: dict[str, str], address: str) -> None:
    answer = server.get("search", headers=headers).json()
    assert [link["href"] for link in answer["links"] if link["rel"] == "self"] == [f"{address}/search"]


def test_below_a_path_that_a_proxy_takes_off_or_leaves(tmp_path: Path, describe: Describe) -> None:
    arguments = ("--catalog", str(tmp_path / "models.sqlite"))
    with serving(tmp_path, *arguments, MODELSTAC_ROOT_PATH="stac/v1/", MODELSTAC_MAX_BODY="90000") as server:
        here = f"{server.href}/stac/v1"
        found = ApiCatalog(here, key=server.key)
        found.publish_many([write_item(describe(version=version)) for version in VERSIONS[:3]])
        data = bytes(100_000)
        digest = hashlib.sha256(data).hexdigest()
        sent = server.request("PUT", f"stac/v1/artifacts/{digest[:2]}/{digest}/a.bin", key=True, data=data)
        assert sent.status_code == 201, sent.text
        for path in "search", "collections", ITEMS, "stac/v1/search", "stac/v1/collections", f"stac/v1/{ITEMS}":
            links = server.get(path, params={"limit": 1}).json()["links"]
            assert [link["href"] for link in links if not link["href"].startswith(f"{here}/")] == []
        assert len(list(pages(server, "search?limit=2"))) == 2
        assert server.get("collections/", allow_redirects=False).headers["Location"] == f"{here}/collections"
        assert [item.id for item in found.search(version=">1.0")] == [f"{NAME}-1.{minor}.0-torch" for minor in (1, 2)]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6: a kernel with it")
def test_it_listens_on_addresses_of_ipv6(tmp_path: Path) -> None:
    with serving(tmp_path, "--catalog", str(tmp_path / "models.sqlite"), "--host", "::1") as server:
        assert server.href.startswith("http://[::1]:")
        assert ApiCatalog(server.href).search() == []


def test_a_list_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_CORS_ORIGINS", "https://a.example")
    with pytest.raises(CatalogError, match="setting MODELSTAC_CORS_ORIGINS: this is no JSON"):
        settings_of()
