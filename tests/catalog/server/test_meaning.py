"""Our server, over each store, means by a raw request what a catalog means by a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cql2
import pytest
from tests.catalog.server.conftest import Server

from modelstac.catalog.backends.api import ApiCatalog
from modelstac.catalog.testing import Examples, said_items
from modelstac.catalog.testing.meanings import MEANINGS, ORDERS, said_id


@pytest.fixture
def told(server: Server, tmp_path: Path) -> Server:
    ApiCatalog(server.href, key=server.key).publish_many(said_items(Examples(tmp_path / "made")))
    return server


def ids(told: Server, body: dict[str, Any], method: str = "POST") -> list[str]:
    if method == "POST":
        answer = told.request("POST", "search", json=body)
    else:
        text = {name: json.dumps(v) if isinstance(v, dict) else v for name, v in body.items()}
        answer = told.get(
            "search", params={n: ",".join(map(str, v)) if isinstance(v, list) else v for n, v in text.items()}
        )
    assert answer.ok, (body, answer.text)
    return [feature["id"] for feature in answer.json()["features"]]


def requested(fields: dict[str, Any]) -> dict[str, Any]:
    listed = {"ids", "collections", "bbox"}
    body = {n: ([v] if isinstance(v, str) else list(v)) if n in listed else v for n, v in fields.items()}
    return body | {"filter-lang": "cql2-text" if isinstance(body.get("filter"), str) else "cql2-json", "limit": 100}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_raw_request_has_the_meaning_of_a_search(told: Server, method: str) -> None:
    wrong = []
    for fields, answer in MEANINGS:
        if "bbox" in fields and "intersects" in fields:
            continue  # which the standard forbids: our client asks for one of them
        if "datetime" in fields and "T" not in fields["datetime"]:
            # The API's standard wants whole moments, which our client makes of a day: another is refused, not misread.
            assert told.get("search", params={"datetime": fields["datetime"]}).status_code == 400
            continue
        body = requested(fields)
        if "filter" not in body:
            del body["filter-lang"]
        elif method == "POST":
            body |= {"filter": cql2.Expr(fields["filter"]).to_json(), "filter-lang": "cql2-json"}
        found = ids(told, body, method)
        if found != sorted(map(said_id, answer.split())):
            wrong.append((fields, answer, found))
    assert not wrong


def test_words_and_heights_are_one_by_get_and_post(told: Server) -> None:
    for body in ({"q": said_id("noon")}, {"bbox": [-180, -90, 100, 180, 90, 0]}):  # heights are not looked at
        assert ids(told, {"limit": 100} | body, "POST") == ids(told, {"limit": 100} | body, "GET") != []


def test_a_raw_request_is_sorted_and_paged(told: Server) -> None:
    for sortby, order in ORDERS:
        body: dict[str, Any] = {
            "limit": 2,
            "sortby": [{"field": n.lstrip("-"), "direction": "desc" if n[0] == "-" else "asc"} for n in sortby],
        }
        found: list[str] = []
        while True:
            answer = told.request("POST", "search", json=body).json()
            found += [feature["id"] for feature in answer["features"]]
            following = [link["body"] for link in answer["links"] if link["rel"] == "next"]
            if not following:
                break
            body = following[0]
        assert found == [said_id(variant) for variant in order.split()], sortby


def test_the_query_extension_takes_what_pystac_client_sends(told: Server) -> None:
    # Its query=["eo:cloud_cover<10"] arrives with a text.
    assert ids(told, {"query": {"eo:cloud_cover": {"lt": "10"}}}) == [
        said_id("evening"),
        said_id("noon"),
    ]
    assert ids(told, {"query": {"eo:cloud_cover": {"lt": 10}}}) == [said_id("evening"), said_id("noon")]
    assert ids(told, {"query": {"eo:cloud_cover": {"eq": "10"}}}) == [said_id("midnight")]
    assert ids(told, {"query": {"sat:ascending": {"eq": "true"}}}) == [said_id("noon")]
    assert ids(told, {"query": {"eo:cloud_cover": {"in": ["9", 10]}}}) == [said_id("evening"), said_id("midnight")]
