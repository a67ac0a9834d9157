"""Our server, over each store, means by a raw request what a catalog means by a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cql2
import pytest
import requests
from tests.catalog.server.conftest import Server

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.items.geometry import bounding_box
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


def test_a_list_in_parts_is_one_list(told: Server) -> None:
    noon, other = said_id("noon"), said_id("other")
    for asked, answer in (
        ({"ids": [noon, other]}, [noon, other]),
        ({"ids": [noon, ""], "collections": ["said", "nobody"]}, [noon]),
        ({"bbox": [170, -30, -170, -10]}, [noon]),
        ({"ids": [noon, other], "sortby": ["datetime", "id"]}, [other, noon]),
    ):
        found = told.get("search", params=asked).json()["features"]
        assert [item["id"] for item in found] == answer, asked
    page = told.get("search", params={"collections": ["nobody", "said"], "limit": 1}).json()
    [following] = [link["href"] for link in page["links"] if link["rel"] == "next"]
    assert requests.get(following, timeout=30).json()["features"][0]["id"] > page["features"][0]["id"]
    twice = told.get("search", params={"datetime": ["2020-06-05T12:00:00Z", "2018-01-01T00:00:00Z"]})
    assert twice.status_code == 400
    assert "datetime: it is given 2 times" in twice.json()["detail"]


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


def test_a_footprint_that_touches_or_crosses_itself_is_what_it_covers(server: Server, tmp_path: Path) -> None:
    halves = [[[[w, 50], [w + 2, 50], [w + 2, 52], [w, 52], [w, 50]]] for w in (4, 6)]
    crossed = [[[4, 50], [8, 52], [8, 50], [4, 52], [4, 50]]]
    places = {"halves": ("MultiPolygon", halves), "crossed": ("Polygon", crossed), "point": ("Point", [5, 51])}
    items = []
    for variant, (kind, coordinates) in places.items():
        geometry = {"type": kind, "coordinates": coordinates}
        fields = {"variant": variant, "geometry": geometry, "bbox": bounding_box(geometry)}
        items.append(Examples(tmp_path / "made").item(name="said", **fields))
    ApiCatalog(server.href, key=server.key).publish_many(items)
    answers = {
        "s_contains(geometry, POINT(5 51))": "halves point crossed",
        "s_within(geometry, BBOX(4, 50, 8, 52))": "crossed halves point",
        "s_disjoint(geometry, BBOX(5, 51, 5, 51))": "",
        "s_intersects(geometry, BBOX(5, 51, 5, 51))": "crossed halves point",
        "s_equals(geometry, BBOX(5, 51, 5, 51))": "point",
        "s_equals(geometry, BBOX(4, 50, 8, 52))": "halves",
        "s_touches(geometry, BBOX(2, 50, 4, 52))": "crossed halves",
        "s_overlaps(geometry, BBOX(5, 49, 7, 53))": "crossed halves",
        "s_crosses(geometry, LINESTRING(3 51, 9 51))": "crossed halves",
        "s_intersects(geometry, POLYGON((4 50, 8 52, 8 50, 4 52, 4 50)))": "crossed halves point",
    }
    for asked, answer in answers.items():
        body = {"filter": asked, "filter-lang": "cql2-text"}
        assert ids(told=server, body=body) == sorted(map(said_id, answer.split())), asked


def test_a_time_finer_than_microseconds_is_found_by_what_it_says(server: Server, tmp_path: Path) -> None:
    fine, later = "2020-06-05T12:00:00.1234569Z", "2020-06-05T12:00:00.123457Z"
    items = {time: Examples(tmp_path / "made").item(name="said", variant=time[-4:-1]) for time in (fine, later)}
    for time, item in items.items():
        item.datetime = None
        item.properties |= {"start_datetime": time, "end_datetime": time}
    ApiCatalog(server.href, key=server.key).publish_many(list(items.values()))
    for asked in fine, "2020-06-05T12:00:00.123456Z":
        assert ids(server, {"datetime": asked}) == [said_id("569")]
    assert server.get("search", params={"datetime": fine}).json()["features"][0]["properties"]["end_datetime"] == fine
