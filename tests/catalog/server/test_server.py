"""The API as any HTTP client sees it, over the embedded file and over pgstac: the same answers."""

from __future__ import annotations

import json
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pystac_client
import pytest
from tests.catalog.conftest import Describe
from tests.catalog.server.conftest import Server, run, until

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.items.writing import write_item

NAME = "convlstm-knmi"
ITEMS = f"collections/{NAME}/items"


@pytest.fixture
def seeded(running: Server, describe: Describe) -> Server:
    """Give a server with three items of one model, for tests that only read."""
    if not running.seeded:
        running.clear()
        items = [
            describe(),
            describe(version="1.1.0", title="A later one", geometry=POINT, keywords=("radar",)),
            describe(variant="onnx", format="onnx", framework_version="1.22.0", entrypoint=None),
        ]
        ApiCatalog(running.href, key=running.key).publish_many([write_item(description) for description in items])
        running.seeded = True
    return running


@pytest.fixture
def full(seeded: Server) -> Server:
    """Give the same for tests that write."""
    seeded.seeded = False
    return seeded


POINT = {"type": "Point", "coordinates": [100.0, 10.0]}
BOX = "4,50,6,52"
FIRST, LATER, ONNX = f"{NAME}-1.0.0-torch", f"{NAME}-1.1.0-torch", f"{NAME}-1.0.0-onnx"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [ONNX, FIRST, LATER]),
        ({"ids": LATER}, [LATER]),
        ({"collections": "nothing"}, []),
        ({"bbox": BOX}, [ONNX, FIRST]),
        ({"bbox": "4,50,0,6,52,100"}, [ONNX, FIRST]),
        ({"intersects": json.dumps(POINT)}, [LATER]),
        ({"datetime": "2010-08-26T01:00:00Z/.."}, [ONNX, FIRST, LATER]),
        ({"datetime": "2011-01-01T00:00:00Z"}, []),
        ({"filter": "\"mlm:framework\" = 'ONNX'"}, [ONNX]),
        ({"filter": "casei(\"mlm:framework\") = casei('pytorch') AND version > '1.0.0'"}, [LATER]),
        ({"filter": "a_contains(\"mlm:tasks\", ('regression')) AND S_INTERSECTS(geometry, POINT(100 10))"}, [LATER]),
        ({"filter": "\"mlm:framework\" = 'PyTorch'", "query": '{"version": {"eq": "1.0.0"}}'}, [FIRST]),
        ({"query": '{"mlm:framework": {"startsWith": "Py"}}'}, [FIRST, LATER]),
        ({"q": "later"}, [LATER]),
        ({"q": "RADAR frames"}, [ONNX, FIRST, LATER]),
        ({"q": "later,nowcasting tocrh"}, [LATER]),
        ({"q": "later,onnx"}, [ONNX, LATER]),
        ({"datetime": "2010-08-26t01:00:00z/.."}, [ONNX, FIRST, LATER]),
        ({"sortby": "-properties.version,+id"}, [LATER, ONNX, FIRST]),
    ],
)
def test_search(seeded: Server, parameters: dict[str, str], expected: list[str]) -> None:
    found = seeded.get("search", params=parameters)
    assert found.status_code == 200, found.text
    assert [item["id"] for item in found.json()["features"]] == expected
    # By POST: the same.
    body: dict[str, Any] = dict(parameters)
    for name in ("ids", "collections", "q"):
        if name in body:
            body[name] = body[name].split(",")
    for name in ("intersects", "query"):
        if name in body:
            body[name] = json.loads(body[name])
    if "bbox" in body:
        body["bbox"] = [float(part) for part in body["bbox"].split(",")]
    if "sortby" in body:
        body["sortby"] = [{"field": "properties.version", "direction": "desc"}, {"field": "id", "direction": "asc"}]
    if "filter" in body:
        import cql2

        body["filter"] = cql2.parse_text(body["filter"]).to_json()
    posted = seeded.request("POST", "search", json=body)
    assert posted.status_code == 200, posted.text
    assert [item["id"] for item in posted.json()["features"]] == expected


def test_pages_go_on_and_belong_to_their_search(seeded: Server) -> None:
    first = seeded.get("search", params={"limit": 2}).json()
    [link] = [found for found in first["links"] if found["rel"] == "next"]
    second = seeded.get(link["href"].removeprefix(f"{seeded.href}/")).json()
    assert [item["id"] for page in (first, second) for item in page["features"]] == [ONNX, FIRST, LATER]
    assert not [found for found in second["links"] if found["rel"] == "next"]
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(link["href"]).query)["token"][0]
    for parameters in ({"token": token, "q": "later"}, {"token": "next:x:y"}, {"token": "%%%"}):
        assert seeded.get("search", params=parameters).status_code == 400


def test_fields(seeded: Server) -> None:
    found = seeded.get("search", params={"ids": FIRST, "fields": "properties.mlm:framework,-links"}).json()["features"][
        0
    ]
    assert found == {"id": FIRST, "collection": NAME, "properties": {"mlm:framework": "PyTorch"}}


def test_a_page_says_of_an_item_what_its_own_address_says(full: Server, describe: Describe) -> None:
    odd = describe(
        version="2.0.0",
        description='It has "links":[] and "assets":{} in its text — and others.',
        hyperparameters={"links": ["a"], "assets": {"b": 1}},
    )
    ApiCatalog(full.href, key=full.key).publish(write_item(odd))
    changed = full.request("PATCH", f"collections/{NAME}", key=True, json={"interop:aliases": {"champion": LATER}})
    assert changed.status_code == 200, changed.text
    features = full.get("search").json()["features"]
    assert [item["id"] for item in features] == [ONNX, FIRST, LATER, f"{NAME}-2.0.0-torch"]
    assert features == [full.get(f"{ITEMS}/{item['id']}").json() for item in features]


def test_links_aliases_and_other_versions(full: Server) -> None:
    changed = full.request("PATCH", f"collections/{NAME}", key=True, json={"interop:aliases": {"champion": FIRST}})
    assert changed.status_code == 200, changed.text
    item = full.get(f"{ITEMS}/{FIRST}").json()
    assert item["properties"]["interop:aliases"] == ["champion"]
    links = {found["rel"]: found["href"] for found in item["links"]}
    assert links["self"] == f"{full.href}/{ITEMS}/{FIRST}"
    assert links["successor-version"] == links["latest-version"] == f"{full.href}/{ITEMS}/{LATER}"
    assert full.get(links["latest-version"].removeprefix(f"{full.href}/")).json()["id"] == LATER
    assert full.request("DELETE", f"{ITEMS}/{FIRST}", key=True).status_code == 409


def test_a_change_expects_what_was_read(full: Server) -> None:
    read = full.get(f"collections/{NAME}")
    tag = read.headers["ETag"]
    assert full.get(f"collections/{NAME}", headers={"If-None-Match": tag}).status_code == 304
    change = {"json": {"title": "New"}, "headers": {"If-Match": tag}, "key": True}
    assert full.request("PATCH", f"collections/{NAME}", **change).status_code == 200
    assert full.request("PATCH", f"collections/{NAME}", **change).status_code == 412


def test_of_two_who_change_what_they_read_one_is_told(full: Server) -> None:
    pointed = {"json": {"interop:aliases": {"champion": FIRST}}, "key": True}
    assert full.request("PATCH", f"collections/{NAME}", **pointed).status_code == 200
    path = f"{ITEMS}/{FIRST}"
    tag = full.get(path).headers["ETag"]
    assert full.get(path, headers={"If-None-Match": f'"x", W/{tag}'}).status_code == 304

    def change(expires: str) -> int:
        patch = {"properties": {"expires": expires}}
        return full.request("PATCH", path, key=True, json=patch, headers={"If-Match": f'"x", {tag}'}).status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(change, [f"2030-01-0{day}T00:00:00Z" for day in range(1, 5)]))
    assert statuses == [204, 412, 412, 412]
    read = full.get(path)
    assert read.json()["properties"]["interop:aliases"] == ["champion"]
    assert read.headers["ETag"] != tag
    later = f"{ITEMS}/{LATER}"
    assert full.request("DELETE", later, key=True, headers={"If-Match": tag}).status_code == 412
    current = {"If-Match": full.get(later).headers["ETag"]}
    assert full.request("DELETE", later, key=True, headers=current).status_code == 204


def test_what_somebody_changed_meanwhile_is_not_deleted(full: Server) -> None:
    [item] = [found for found in full.get("search").json()["features"] if found["id"] == LATER]
    path = f"{ITEMS}/{LATER}"
    with ThreadPoolExecutor(2) as threads:
        for day in range(10, 20):
            matching = {"If-Match": full.get(path).headers["ETag"]}
            patch = {"properties": {"expires": f"2030-01-{day}T00:00:00Z"}}
            deleted = threads.submit(full.request, "DELETE", path, key=True, headers=matching)
            changed = threads.submit(full.request, "PATCH", path, key=True, json=patch, headers=matching)
            statuses = deleted.result().status_code, changed.result().status_code
            assert statuses in {(204, 404), (412, 204)}
            if statuses[0] == 204:
                assert full.request("POST", ITEMS, key=True, json=item).status_code == 201
    there = full.get(path)
    for absent in ("*", there.headers["ETag"]):
        put = full.request("PUT", path, key=True, json=there.json(), headers={"If-None-Match": absent})
        assert put.status_code == 412
    stale = {"If-Match": '"x"'}
    assert full.request("DELETE", f"collections/{NAME}", key=True, headers=stale).status_code == 412
    assert full.get(path).status_code == 200


def test_every_operation_has_an_id_of_its_own(seeded: Server) -> None:
    paths = seeded.get("api").json()["paths"].values()
    found = [operation["operationId"] for path in paths for operation in path.values()]
    assert not [name for name in found if found.count(name) > 1]
    assert not [line for line in seeded.lines() if line["logger"] == "py.warnings"]


def test_what_is_published_stays(full: Server) -> None:
    item = full.get(f"{ITEMS}/{FIRST}").json()
    assert full.request("POST", ITEMS, key=True, json=item).status_code == 200
    item["properties"]["mlm:total_parameters"] = 7
    for method, path in (("POST", ITEMS), ("PUT", f"{ITEMS}/{FIRST}")):
        answer = full.request(method, path, key=True, json=item)
        assert answer.status_code == 409
        assert "mlm:total_parameters" in answer.json()["detail"]
    patch = [{"op": "add", "path": "/properties/deprecated", "value": True}]
    shown = {"Prefer": "return=representation"}
    changed = full.request("PATCH", f"{ITEMS}/{FIRST}", key=True, json=patch, headers=shown)
    assert changed.json()["properties"]["deprecated"] is True, changed.text
    again = full.request("PATCH", f"{ITEMS}/{FIRST}", key=True, json=patch)
    assert (again.status_code, again.content) == (204, b"")
    whole = full.get(f"{ITEMS}/{FIRST}", headers={"Accept-Encoding": "identity"})
    assert again.headers["ETag"] == whole.headers["ETag"]
    assert full.request("PATCH", f"{ITEMS}/{FIRST}", key=True, json={"properties": {"deprecated": None}}).ok
    assert not [line for line in full.lines() if line["logger"] == "py.warnings"]


def test_many_are_stored_all_or_none(full: Server, describe: Describe) -> None:
    good = full.get(f"{ITEMS}/{FIRST}").json()
    items = {}
    for version in ("2.0.0", "2.1.0"):
        item = json.loads(json.dumps(good).replace("1.0.0", version))
        items[item["id"]] = item
    broken = items | {"bad": good | {"id": "bad", "properties": {}}}
    for path, body in (
        (ITEMS, {"type": "FeatureCollection", "features": list(broken.values())}),
        (f"collections/{NAME}/bulk_items", {"items": broken}),
    ):
        assert full.request("POST", path, key=True, json=body).status_code == 400
        assert full.get("search", params={"limit": 1000}).json()["numberReturned"] == 3
    stored = full.request("POST", f"collections/{NAME}/bulk_items", key=True, json={"items": items})
    assert stored.json() == {"received": 2, "success": 2, "skipped": 0, "errors": []}


def test_an_upsert_changes_what_is_there_and_adds_the_rest(full: Server) -> None:
    before = full.get(f"{ITEMS}/{FIRST}").json()
    fresh = json.loads(json.dumps(before).replace("1.0.0", "2.0.0"))
    old = before | {"properties": before["properties"] | {"deprecated": True}}
    path, many = f"collections/{NAME}/bulk_items", {"items": {one["id"]: one for one in (old, fresh)}}
    assert full.request("POST", path, key=True, json=many).json()["skipped"] == 1
    assert "deprecated" not in full.get(f"{ITEMS}/{FIRST}").json()["properties"]
    answer = full.request("POST", path, key=True, json=many | {"method": "upsert"})
    assert answer.json() == {"received": 2, "success": 2, "skipped": 0, "errors": []}
    assert full.get(f"{ITEMS}/{FIRST}").json()["properties"]["deprecated"] is True
    assert full.get(f"{ITEMS}/{FIRST}").json()["properties"]["created"] == before["properties"]["created"]
    # What is fixed of one that is published: nothing of the others is stored.
    other = fresh | {"properties": fresh["properties"] | {"deprecated": True}}
    fixed = old | {"properties": old["properties"] | {"license": "Apache-2.0"}}
    many = {"items": {one["id"]: one for one in (other, fixed)}, "method": "upsert"}
    assert full.request("POST", path, key=True, json=many).status_code == 409
    assert "deprecated" not in full.get(f"{ITEMS}/{fresh['id']}").json()["properties"]


def test_facets(seeded: Server) -> None:
    found = seeded.get("aggregate", params={"aggregations": "total_count,framework_frequency,task_frequency"}).json()
    by_name = {aggregation["name"]: aggregation for aggregation in found["aggregations"]}
    assert by_name["total_count"]["value"] == 3
    counts = {b["key"]: b["frequency"] for b in by_name["framework_frequency"]["buckets"]}
    assert counts == {"PyTorch": 2, "ONNX": 1}
    assert seeded.get(f"collections/{NAME}/aggregate", params={"bbox": BOX}).json()["aggregations"][0]["value"] == 2
    wanted = {
        "aggregations": "total_count",
        "filter": "mlm:framework = 'PyTorch'",
        "query": '{"version": {"eq": "1.0.0"}}',
    }
    body = {"aggregations": ["total_count"], "filter": wanted["filter"], "query": {"version": {"eq": "1.0.0"}}}
    for answer in (seeded.get("aggregate", params=wanted), seeded.request("POST", "aggregate", json=body)):
        assert [one["value"] for one in answer.json()["aggregations"]] == [1]
    found = seeded.get("aggregate", params={"aggregations": "total_count", "q": "nowhere"}).json()
    assert found["aggregations"][0]["value"] == 0


def test_collections_are_searched(seeded: Server) -> None:
    for parameters, expected in (
        ({"q": "radar"}, [NAME]),
        ({"bbox": "-60,-60,-50,-50"}, []),
        ({"q": "zzz"}, []),
        ({"q": "zzz,radar"}, [NAME]),
    ):
        found = seeded.get("collections", params=parameters).json()
        assert [collection["id"] for collection in found["collections"]] == expected


def test_pystac_client_walks_and_searches(seeded: Server) -> None:
    client = pystac_client.Client.open(seeded.href)
    assert [collection.id for collection in client.get_collections()] == [NAME]
    assert {item.id for item in client.get_items(recursive=True)} == {FIRST, LATER, ONNX}
    search = client.search(filter={"op": "=", "args": [{"property": "mlm:framework"}, "PyTorch"]}, limit=1)
    assert [item.id for item in search.items()] == [FIRST, LATER]
    assert "mlm:framework" in seeded.get("queryables").json()["properties"]


def test_writes_need_a_key_that_is_known(running: Server) -> None:
    keys = running.log.parent / "keys.json"
    assert running.key not in keys.read_text()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {running.key}"}):
        for method, path in (("POST", "collections"), ("DELETE", f"collections/{NAME}"), ("POST", ITEMS)):
            answer = running.request(method, path, json={}, headers=headers)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert answer.headers["content-type"] == "application/problem+json"
    made = run("keys", "--keys", keys, "add", "guest").stdout.strip()
    headers = {"Authorization": f"Bearer {made}"}
    assert running.request("POST", "collections", json={}, headers=headers).status_code == 400
    assert run("keys", "--keys", keys, "revoke", "guest").returncode == 0
    assert running.request("POST", "collections", json={}, headers=headers).status_code == 401


def test_a_browser_on_another_page_may_read_and_write(running: Server) -> None:
    headers = {"Origin": "https://browser.example", "Access-Control-Request-Method": "PATCH"}
    headers["Access-Control-Request-Headers"] = "authorization,if-match,content-type"
    allowed = running.request("OPTIONS", "search", headers=headers)
    assert allowed.status_code == 200
    assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
    read = running.get("", headers={"Origin": "https://browser.example"})
    assert read.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in read.headers["Access-Control-Expose-Headers"]


def test_requests_are_counted_and_logged_by_their_id(running: Server) -> None:
    assert running.get("healthz", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    assert running.get("healthz", headers={"X-Request-ID": "a\tb" * 30}).headers["X-Request-ID"] != "mine-1"
    assert 'modelstac_requests_total{method="GET",route="/healthz",status="200"}' in running.get("metrics").text
    until(lambda: any(line.get("id") == "mine-1" for line in running.lines()))
    [line] = [line for line in running.lines() if line.get("id") == "mine-1"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/healthz", 200)
