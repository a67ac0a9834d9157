"""Bad items and requests are refused with a problem document that names the field; nothing stays, nothing leaks."""

from __future__ import annotations

import copy
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.catalog.conftest import Describe
from tests.catalog.server.conftest import ROOT, Server, until

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.errors import CatalogError, StorageError
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.server.watching.problems import of_error
from modelstac.catalog.terminal import harmless

CORPUS = Path(__file__).with_name("corpus")
NAME, ID = "convlstm-knmi", "convlstm-knmi-9.0.0-torch"
ITEMS = f"collections/{NAME}/items"
# What would tell of the inside: code, statements, places.
INSIDE = ("Traceback", 'File "', "SELECT ", "sqlite", "asyncpg", "psycopg", "pgstac", "/tmp", ".py", str(ROOT))
SQL = (
    "'; DROP TABLE items; --",
    "1 OR 1=1",
    "' UNION SELECT document FROM items --",
    "$$; SELECT pg_sleep(9); $$",
    "\"\\')",
)
JSON = {"Content-Type": "application/json"}
PARAMETERS = (
    *("ids", "collections", "bbox", "intersects", "datetime", "limit", "filter", "filter-lang", "filter-crs", "query"),
    *("sortby", "fields", "q", "token", "aggregations"),
)


@pytest.fixture
def seeded(server: Server, describe: Describe) -> Iterator[Server]:
    """Give a server with one item, which must be all that it has in the end."""
    ApiCatalog(server.href, key=server.key).publish(write_item(describe()))
    before = everything(server)
    yield server
    assert everything(server) == before


def everything(server: Server) -> Any:
    items = server.get("search", params={"limit": 1000}).json()["features"]
    return items, server.get("collections").json()["collections"]


def refused(answer: requests.Response, says: str, sent: str = "") -> None:
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json", answer.text[:300]
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert says.lower() in problem["detail"].lower(), problem["detail"]
    assert len(answer.content) < 3000
    said = answer.text.replace(json.dumps(sent)[1:-1], "") if sent else answer.text
    assert [word for word in INSIDE if word in said] == []


def changed(item: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    item = copy.deepcopy(item)
    item["id"], item["properties"]["version"] = ID, "9.0.0"
    for path in case.get("remove", ()):
        *above, last = path.split(".")
        place = item
        for part in above:
            place = place[part]
        del place[last]
    for path, value in case.get("set", {}).items():
        *above, last = path.split(".")
        place = item
        for part in above:
            place = place[part]
        place[last] = value
    for name, value in case.get("append", {}).items():
        item[name].append(value)
    return item


def test_bad_items(seeded: Server) -> None:
    [item] = seeded.get("search").json()["features"]
    failed = []
    for case in json.loads((CORPUS / "items.json").read_text()):
        bad, good = changed(item, case), changed(item, {})
        good["id"], good["properties"]["version"] = ID.replace("9.0.0", "8.0.0"), "8.0.0"
        for path, body in (
            (ITEMS, bad),
            (ITEMS, {"type": "FeatureCollection", "features": [good, bad]}),
            (
                f"collections/{NAME}/bulk_items",
                {"items": {str(one.get("id")).replace("\0", ""): one for one in (good, bad)}},
            ),
        ):
            try:
                refused(seeded.request("POST", path, key=True, json=body), case["says"])
            except AssertionError as error:
                failed.append(f"{case['why']} at {path}: {error}")
    assert failed == []


def test_bad_searches(seeded: Server) -> None:
    failed = []
    for case in json.loads((CORPUS / "searches.json").read_text()):
        for path in ("search",) if {"json", "body"} & case.keys() else ("search", ITEMS):
            headers = {"Content-Type": "application/json"} | case.get("headers", {})
            if "json" in case or "body" in case:
                body = case.get("body") or json.dumps(case["json"])
                answer = seeded.request("POST", path, data=body, headers=headers)
            else:
                query = case.get("raw") or urllib.parse.urlencode(case["query"])
                if path == ITEMS and {"ids", "intersects"} & case.get("query", {}).keys():
                    continue  # no parameters of this route
                answer = seeded.get(f"{path}?{query}")
            try:
                refused(answer, case["says"])
            except AssertionError as error:
                failed.append(f"{case['why']} at {path}: {error}")
    assert failed == []


def test_half_a_character_is_searched_for_nowhere(seeded: Server) -> None:
    half = {"op": "=", "args": [{"property": "title"}, "\ud800"]}
    for body in (
        *({"ids": ["\ud800"]}, {"collections": ["\udfff"]}, {"q": "\ud800a"}, {"token": "\ud800"}, {"x\ud800": 1}),
        *({"filter": half}, {"filter": "title = '\ud800'"}, {"sortby": "-\ud800"}, {"fields": {"include": ["\ud800"]}}),
        *({"query": {"title": {"eq": "\ud800"}}}, {"datetime": "\ud800"}, {"intersects": {"type": "\ud800"}}),
    ):
        for path in ("search", "aggregate"):
            refused(seeded.request("POST", path, json=body), "half of a character")
    # Both halves are one, however they are written.
    assert seeded.request("POST", "search", data='{"ids": ["\\ud834\\udd1e"]}', headers=JSON).json()["features"] == []


def test_a_whole_number_that_would_be_rounded_is_refused(seeded: Server) -> None:
    item = json.dumps(seeded.get(ITEMS).json()["features"][0] | {"id": "long"})
    lines = {"Content-Type": "application/x-ndjson"}
    for number in (2**64, -(2**63) - 1, 10**300):
        text = item.replace('"mlm:total_parameters":', f'"n":{number},"mlm:total_parameters":')
        assert str(number) in text
        for path, sent in ((ITEMS, {}), ("bulk_items", {"headers": lines})):
            answer = seeded.request("POST", path, key=True, data=text, **sent)
            assert answer.status_code == 400, answer.text
            assert "beyond 64 bits" in answer.json()["detail"], answer.text
    patch = f'{{"properties":{{"interop:scores":{{"rmse":{10**20}}}}}}}'
    assert (
        "beyond 64 bits"
        in seeded.request("PATCH", f"{ITEMS}/{NAME}-1.0.0-torch", key=True, data=patch).json()["detail"]
    )


def test_a_patch_is_what_its_type_says(seeded: Server) -> None:
    [item] = seeded.get("search").json()["features"]
    one = {"op": "add", "path": "/properties/deprecated", "value": True}  # an operation that is no list of them
    for kind, patch, words in (
        ("application/json-patch+json", one, "expected a list of operations, found dict"),
        ("application/merge-patch+json", [one], "expected a JSON object, found list"),
    ):
        for path in (f"{ITEMS}/{item['id']}", f"collections/{NAME}"):
            headers = {"Content-Type": kind}
            refused(seeded.request("PATCH", path, key=True, data=json.dumps(patch), headers=headers), words)


def test_reading_what_needs_a_key_says_so(seeded: Server) -> None:
    answer = seeded.get("audit")
    refused(answer, "a key is needed: send 'Authorization: Bearer KEY'")
    assert answer.status_code == 401


def test_a_collection_that_is_there_is_named(seeded: Server) -> None:
    collection = seeded.get(f"collections/{NAME}").json()
    collection = {name: value for name, value in collection.items() if name != "links"} | {"links": []}
    answer = seeded.request("POST", "collections", key=True, json=collection)
    refused(answer, f"there is a collection '{NAME}': change it by PUT or PATCH")
    assert answer.status_code == 409


def test_sql_in_every_parameter(seeded: Server) -> None:
    for path in ("search", "collections", ITEMS, "aggregate", f"collections/{NAME}/aggregate"):
        for name in PARAMETERS:
            for value in SQL:
                answer = seeded.get(path, params={name: value})
                if answer.status_code != 200:
                    refused(answer, "", sent=value)
                elif name in {"ids", "collections", "q"} and path == "search":
                    assert answer.json()["features"] == []
    for value in SQL:
        quoted = urllib.parse.quote(value, safe="")
        for path in (f"collections/{quoted}", f"{ITEMS}/{quoted}", f"collections/{quoted}/items"):
            refused(seeded.get(path), "", sent=value)
            refused(seeded.request("DELETE", path.removesuffix("/items"), key=True), "", sent=value)


def test_bodies_that_are_too_much(seeded: Server) -> None:
    [item] = seeded.get("search").json()["features"]
    good = json.dumps(changed(item, {}))
    deep: dict[str, Any] = {}
    for _ in range(150):
        deep = {"a": deep}
    bodies: tuple[tuple[bytes, str], ...] = (
        (b"{", "JSON"),
        (b"", "JSON"),
        (b"null", "JSON object"),
        (good.encode("utf-16"), "JSON"),
        (good.replace(ID, "\\ud800").encode(), "JSON"),
        (good.encode().replace(ID.encode(), b"\xff"), "UTF-8"),
        (good.replace("1234", "NaN").encode(), "JSON"),
        (good.replace("1234", "-Infinity").encode(), "JSON"),
        (good.replace("1234", "1e400").encode(), "JSON"),
        (good.replace("1234", "9" * 40).encode(), "64 bits"),
        (b"[" * 100_000, "JSON"),
        (json.dumps(changed(item, {"set": {"properties.interop:job": deep}})).encode(), "nested"),
        (json.dumps(changed(item, {"set": {"id": "a" * 10_000}})).encode(), "id"),
    )
    for body, says in bodies:
        headers = {"Content-Type": "application/geo+json"}
        refused(seeded.request("POST", ITEMS, key=True, data=body, headers=headers), says)
    xml = {"Content-Type": "application/xml"}
    assert seeded.request("POST", ITEMS, key=True, data=good, headers=xml).status_code == 415
    large = b'{"type": "' + b"x" * 50_000_000 + b'"}'
    for body in (large, iter([large[i : i + 1_000_000] for i in range(0, len(large), 1_000_000)])):
        headers = {"Content-Type": "application/json"}
        answer = seeded.request("POST", ITEMS, key=True, data=body, headers=headers)
        assert answer.status_code == 413
        refused(answer, "body")
    assert seeded.get("search", params={"limit": 10**30}).json()["numberReturned"] == 1
    refused(seeded.request("POST", "search", json={"filter": deep}), "")
    refused(seeded.get("search", params={"filter": "(" * 5000}), "filter")


def test_writes_without_a_key_that_is_known(seeded: Server) -> None:
    [item] = seeded.get("search").json()["features"]
    collection = seeded.get(f"collections/{NAME}").json()
    for headers in ({}, {"Authorization": "Bearer msk_wrong"}, {"Authorization": f"Token {seeded.key}"}):
        for method, path, body in (
            ("POST", "collections", collection | {"id": "other"}),
            ("PUT", f"collections/{NAME}", collection | {"title": "changed"}),
            ("PATCH", f"collections/{NAME}", {"title": "changed"}),
            ("DELETE", f"collections/{NAME}", None),
            ("POST", ITEMS, changed(item, {})),
            ("POST", f"collections/{NAME}/bulk_items", {"items": {ID: changed(item, {})}}),
            ("PUT", f"{ITEMS}/{item['id']}", item),
            ("PATCH", f"{ITEMS}/{item['id']}", {"properties": {"deprecated": True}}),
            ("DELETE", f"{ITEMS}/{item['id']}", None),
            ("PUT", f"artifacts/00/{'0' * 64}/x", None),
        ):
            answer = seeded.request(method, path, json=body, headers=headers)
            assert answer.status_code == 401, (method, path)
            refused(answer, "key")


@pytest.mark.parametrize("path", [f"collections/{NAME}", f"{ITEMS}/{NAME}-1.0.0-torch"])
def test_patches_that_break_a_document(seeded: Server, path: str) -> None:
    for patch in (
        {"type": None},
        {"id": "other"},
        {"links": None, "stac_version": 3},
        [{"op": "remove", "path": "/type"}],
        [{"op": "replace", "path": "/no/such/place", "value": 1}],
        [{"op": "dance", "path": "/id"}],
        [{"path": "/id"}],
        [1],
        {"stac_version": "1.1.0", "a": {"b": 1}} if "items" in path else {"extent": 1},
        [{"op": "copy", "from": "", "path": "/a"}] * 200,
        [{"op": "add", "path": "/title", "value": "x"}] * 1001,
        [{"op": "add", "path": "/properties", "value": []}],
    ):
        if "collections" in path and path.endswith(NAME) and "properties" in str(patch):
            continue  # a collection may have any other field
        refused(seeded.request("PATCH", path, key=True, json=patch), "")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("cannot write /srv/models/catalog.sqlite: no space left", "cannot write …/catalog.sqlite: no space left"),
        ("no catalog at '/srv'", "no catalog at '…/srv'"),
        (r"cannot read C:\data\models\x.json: denied", "cannot read …/x.json: denied"),
        ("cannot reach https://bucket.example/models/x", "cannot reach https://bucket.example/models/x"),
    ],
)
@pytest.mark.parametrize("kind", [StorageError, CatalogError])
def test_no_place_of_the_servers_machine_is_told(said: str, told: str, kind: type[Exception]) -> None:
    answer = of_error(kind(said))
    assert answer.status_code == 503
    assert json.loads(answer.body)["detail"] == told


def test_a_log_holds_nothing_that_acts_on_a_terminal(seeded: Server) -> None:
    seeded.get("collections/%C2%9B31m%E2%80%AEgnp%1B[2J")
    until(lambda: "\\u009b31m\\u202egnp\\u001b[2J" in seeded.log.read_text())
    assert (text := seeded.log.read_text()) == harmless(text)
