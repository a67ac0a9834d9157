"""Many items in one request, one a line: all or none, whatever is wrong with one of them or with the client."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pystac
import pytest
from tests.catalog.server.conftest import Server

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.errors import InvalidItemError, ItemExistsError, NotFoundError, UnauthorizedError
from modelstac.catalog.items.provenance import Source
from modelstac.catalog.testing import Examples

NAMES = ("first-model", "second-model")
LINES = {"Content-Type": "application/x-ndjson"}


def elsewhere(item: pystac.Item) -> pystac.Item:
    for key, asset in item.assets.items():
        asset.href = f"https://example.org/{item.id}/{key}"
    return item


def many(folder: Path, number: int) -> list[pystac.Item]:
    """Return items of two models in turns, whose files lie elsewhere."""
    examples = Examples(folder)
    return [elsewhere(examples.item(name=NAMES[n % 2], version=f"1.{n // 2}.0")) for n in range(number)]


def documents(items: list[pystac.Item]) -> list[dict[str, Any]]:
    return [item.to_dict(include_self_link=False, transform_hrefs=False) for item in items]


def body(found: list[Any]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in found)


def stored(server: Server) -> tuple[int, list[str]]:
    found = server.get("search", params={"limit": 1}).json()
    return len(found["features"]), [c["id"] for c in server.get("collections").json()["collections"]]


def test_a_bad_item_among_thousands_is_named_and_takes_all_back(server: Server, tmp_path: Path) -> None:
    items = many(tmp_path, 1400)
    catalog = ApiCatalog(server.href, key=server.key)
    # Those before it are in the database by then.
    items[1301].properties["mlm:total_parameters"] = -1
    with pytest.raises(InvalidItemError, match=r"second-model-1\.650\.0-torch.*parameters"):
        catalog.publish_many(items)
    assert stored(server) == (0, [])
    items[1301].properties["mlm:total_parameters"] = 1
    published = catalog.publish_many(items)
    assert len(published) == len(set(catalog.ids())) == 1400
    assert published[1301].properties["mlm:total_parameters"] == 1
    # Links reach across what was checked and stored at a time.
    links = {link.rel: link.href.rpartition("/")[2] for link in published[1198].links}
    assert links["predecessor-version"] == "first-model-1.598.0-torch"
    assert links["successor-version"] == "first-model-1.600.0-torch"
    assert links["latest-version"] == "first-model-1.699.0-torch"
    summaries = server.get("collections/first-model").json()["summaries"]
    assert len(summaries["version"]) == 700
    answer = server.request("POST", "bulk_items", key=True, data=body(documents(items)), headers=LINES)
    assert answer.json() == {"received": 1400, "success": 0, "skipped": 1400, "errors": []}


def test_other_content_under_a_known_id_takes_all_back(server: Server, tmp_path: Path) -> None:
    catalog = ApiCatalog(server.href, key=server.key)
    first, *others = many(tmp_path, 6)
    catalog.publish(first)
    first.properties["title"] = "Another one"
    with pytest.raises(ItemExistsError, match=r"first-model-1\.0\.0-torch.*title"):
        catalog.publish_many([*others, first])
    assert (list(catalog.ids()), [c.id for c in catalog.collections()]) == ([first.id], ["first-model"])


def test_an_item_may_be_derived_from_one_before_and_from_none_after(server: Server, tmp_path: Path) -> None:
    catalog = ApiCatalog(server.href, key=server.key)
    examples = Examples(tmp_path)
    source = elsewhere(examples.item(name=NAMES[1]))
    derived = elsewhere(examples.item(name=NAMES[0], sources=(Source(item_id=source.id),)))
    with pytest.raises(NotFoundError, match=source.id):
        catalog.publish_many([derived, source])
    assert stored(server) == (0, [])
    found, _ = catalog.publish_many([source, derived])
    [link] = catalog.get(derived.id).get_links("derived_from")
    assert found.id == source.id
    assert link.href == f"{server.href}/collections/{NAMES[1]}/items/{source.id}"


def test_items_by_id_are_under_their_ids(server: Server, tmp_path: Path) -> None:
    items = documents(many(tmp_path, 3))
    first, other = items[0], items[2]
    ApiCatalog(server.href, key=server.key).publish(pystac.Item.from_dict(first))
    path = f"collections/{NAMES[0]}/bulk_items"
    for sent, says in (
        ({first["id"]: first, "another": other}, f"items: the one under 'another' has the id '{other['id']}'"),
        ({"another": {name: value for name, value in other.items() if name != "id"}}, "has the id 'None'"),
        ({"another": 3}, "type: expected a STAC item"),
    ):
        answer = server.request("POST", path, key=True, json={"items": sent})
        assert answer.status_code == 400
        assert says in answer.json()["detail"], answer.text
    answer = server.request("POST", path, key=True, json={"items": {other["id"]: other}, "method": "delete"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "method: 'delete' is not one of insert, upsert")
    answer = server.request("POST", path, key=True, json={"items": {one["id"]: one for one in (first, other)}})
    assert answer.json() == {"received": 2, "success": 1, "skipped": 1, "errors": []}


def test_what_is_no_item_is_refused_by_its_line(server: Server, tmp_path: Path) -> None:
    good, other = documents(many(tmp_path, 2))
    nested: Any = 1
    for _ in range(500):
        nested = [nested]
    for lines, status, named in (
        (b"{}\n", 400, "line 1: collection"),
        (body([good]) + b"no JSON\n", 400, "line 2: no JSON"),
        (body([good]) + b"[1]\n", 400, "line 2: expected a JSON object"),
        (body([good, other | {"collection": "a/b"}]), 400, "line 2"),
        (body([good, other | {"collection": NAMES[0]}]), 400, other["id"]),
        (body([good, other | {"id": None}]), 400, "line 2"),
        (body([good, other | {"properties": other["properties"] | {"title": "\0"}}]), 400, "line 2"),
        (body([good]) + json.dumps(other | {"nested": nested}).encode(), 400, "line 2"),
        (body([good, other | {"title": "x" * (11 << 20)}]), 413, "larger"),
    ):
        answer = server.request("POST", "bulk_items", key=True, data=lines, headers=LINES)
        assert (answer.status_code, named in answer.json()["detail"]) == (status, True), answer.text
        assert stored(server) == (0, [])
    assert server.request("POST", "bulk_items", key=True, json=good).status_code == 415
    answer = server.request("POST", "bulk_items", key=True, data=b"\n" + body([good]) + b"\n\n", headers=LINES)
    assert answer.json() == {"received": 1, "success": 1, "skipped": 0, "errors": []}


def test_of_several_wrong_lines_the_first_is_named(server: Server, tmp_path: Path) -> None:
    def broken(found: list[dict[str, Any]], number: int, kind: str) -> None:
        if kind == "schema":
            found[number]["properties"]["mlm:total_parameters"] = -1
        elif kind == "type":
            found[number]["properties"]["version"] = "none"
        else:
            found[number] = "no item"  # type: ignore[call-overload]

    for first, second in (("schema", "type"), ("schema", "line"), ("type", "schema"), ("line", "schema")):
        found = documents(many(tmp_path / f"{first}-{second}", 8))
        broken(found, 2, first)
        broken(found, 5, second)
        answer = server.request("POST", "bulk_items", key=True, data=body(found), headers=LINES)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith("line 3"), answer.text


def test_without_a_key_nothing_is_stored_and_the_client_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnauthorizedError):
        ApiCatalog(server.href, key="msk_wrong").publish_many(many(tmp_path, 1000))
    assert stored(server) == (0, [])


def test_a_client_that_dies_leaves_nothing_and_holds_nobody(server: Server, tmp_path: Path) -> None:
    items = many(tmp_path, 1200)
    lines = body(documents(items))
    address = urlsplit(server.href)
    head = (
        f"POST /bulk_items HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(lines) + 1000}\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(head.encode() + lines)
    catalog = ApiCatalog(server.href, key=server.key)
    # Waits for the transaction of the dead one, which goes first.
    catalog.publish_many(items[:2])
    assert sorted(catalog.ids()) == sorted(item.id for item in items[:2])
