"""What pystac-client and raw clients really send is answered rightly, over each store."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from typing import Any

import pystac_client
import pytest
from tests.catalog.server.conftest import Server

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.testing import Examples, said_items
from modelstac.catalog.testing.meanings import ALL, MEANINGS, NAME, said_id

DAY = "midnight noon evening"


@pytest.fixture(scope="module", params=["embedded", "pgstac"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Server:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    server.clear()
    items = said_items(Examples(tmp_path_factory.mktemp("told") / "made"))
    for number, item in enumerate(items):
        item.properties["interop:scores"] = {"mIoU": number / 10, "IoU_water": 0.5}
    ApiCatalog(server.href, key=server.key).publish_many(items)
    return server


@pytest.fixture(scope="module")
def client(told: Server) -> pystac_client.Client:
    return pystac_client.Client.open(told.href)


def found(client: pystac_client.Client, **search: Any) -> list[list[str]]:
    """Return the ids that a search finds by POST and by GET."""
    results = []
    for method in ("POST", "GET"):
        items = client.search(method=method, limit=2, **search).items()
        results.append([item.id.removeprefix(f"{NAME}-1.0.0-") for item in items])
    return results


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (["eo:cloud_cover<10"], "evening noon"),
        (["eo:cloud_cover<=10"], "evening midnight noon"),
        (["eo:cloud_cover=10"], "midnight"),
        # As text "10" is not "5", and by no other reading is it: the item that has a text is found, too.
        (["eo:cloud_cover<>10"], "evening morrow noon other"),
        (["eo:cloud_cover>=5", "eo:cloud_cover<10"], "evening noon"),
        (["sat:ascending=true"], "noon"),
        (["sat:anx_datetime=2020-06-05"], "evening midnight noon other"),
        (["sat:anx_datetime<=2020-06-05"], "evening midnight noon other"),
        (["sat:anx_datetime>2020-06-05"], "morrow"),
        (["sat:anx_datetime>=2020-06-05T12:00:00Z"], "evening morrow noon other"),
        (["sat:anx_datetime=2020-06-05T14:00:00+02:00"], "noon other"),
        (["sci:citation=STRASSE_1"], "noon"),
        (['{"eo:cloud_cover": {"in": ["9", 10]}}'], "evening midnight"),
        (['{"sat:anx_datetime": {"in": ["2020-06-06", "2020-06-05T00:00:00Z"]}}'], "midnight morrow other"),
        ({"eo:cloud_cover": {"lt": 10}}, "evening noon"),
        (["interop:scores.mIoU>0.35"], "other period"),
    ],
)
def test_query_as_pystac_client_sends_it(client: pystac_client.Client, query: Any, expected: str) -> None:
    assert found(client, query=query) == [expected.split()] * 2


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("2020-06-05", f"{DAY} period"),
        ("2020-06", f"{DAY} morrow period"),
        ("2018/2020-06-05", f"{DAY} other period"),
        ("2020-06-05/..", f"{DAY} morrow period"),
        (datetime(2020, 6, 5, 12), "noon period"),
        ([None, "2020-06-05"], f"{DAY} other period"),
        (["2020-06-05T23:59:59.500Z", None], "evening morrow period"),
    ],
)
def test_days_as_pystac_client_sends_them(client: pystac_client.Client, wanted: Any, expected: str) -> None:
    assert found(client, datetime=wanted) == [sorted(expected.split())] * 2


@pytest.mark.parametrize(
    "sortby",
    [
        "-properties.eo:cloud_cover",
        "-eo:cloud_cover,+id",
        ["-properties.eo:cloud_cover", "id"],
        [{"field": "eo:cloud_cover", "direction": "desc"}],
    ],
)
def test_sorting_as_pystac_client_sends_it(client: pystac_client.Client, sortby: Any) -> None:
    assert found(client, sortby=sortby) == [["other", "morrow", "midnight", "evening", "noon", "period"]] * 2


@pytest.mark.parametrize(
    "sortby",
    [
        "-eo:cloud_cover",
        "-eo:cloud_cover, id",
        ["-properties.eo:cloud_cover"],
        [{"field": "eo:cloud_cover", "direction": "DESC"}, {"field": "id"}],
        [{"field": "-eo:cloud_cover"}, "+id"],
    ],
)
def test_an_order_in_short_by_post(told: Server, sortby: Any) -> None:
    answer = told.request("POST", "search", json={"sortby": sortby, "limit": 100})
    assert answer.status_code == 200, answer.text
    assert answer.json()["features"][0]["id"] == said_id("other")


@pytest.mark.parametrize("body", [{"sortby": [{}]}, {"sortby": ["-"]}, {"sortby": 3}, {"sortby": ["geometry"]}])
def test_an_order_that_is_none_is_refused(told: Server, body: Any) -> None:
    answer = told.request("POST", "search", json=body)
    assert answer.status_code == 400
    assert "sort" in answer.json()["detail"] or "'geometry' cannot be" in answer.json()["detail"]


def test_a_filter_as_text_by_post_means_the_same(told: Server) -> None:
    wrong = []
    for fields, answer in MEANINGS:
        if fields.keys() != {"filter"}:
            continue
        for language in ({}, {"filter-lang": "cql2-text"}):
            body = fields | language | {"limit": 100}
            response = told.request("POST", "search", json=body)
            assert response.status_code == 200, (fields, response.text)
            ids = [feature["id"] for feature in response.json()["features"]]
            if ids != sorted(map(said_id, answer.split())):
                wrong.append((body, answer, ids))
        by_get = told.get("search", params=fields | {"limit": 100}).json()["features"]
        assert [feature["id"] for feature in by_get] == sorted(map(said_id, answer.split())), fields
    assert not wrong


def test_a_filter_is_what_it_is_whatever_its_language_is_said_to_be(told: Server) -> None:
    wanted = {"op": "=", "args": [{"property": "eo:cloud_cover"}, 5]}
    for value, language in (
        (wanted, "cql2-text"),
        (json.dumps(wanted), "cql2-json"),
        (json.dumps(wanted), None),
        ("eo:cloud_cover = 5", None),
    ):
        body = {"filter": value} | ({"filter-lang": language} if language else {})
        answer = told.request("POST", "search", json=body)
        assert [f["id"] for f in answer.json().get("features", ())] == [said_id("noon")], (body, answer.text)
    for value in (True, "TRUE"):
        assert len(told.request("POST", "search", json={"filter": value}).json()["features"]) == len(ALL.split())
    assert told.request("POST", "search", json={"filter": False}).json()["features"] == []
    for body in ({"filter": "eo:cloud_cover ="}, {"filter": "x", "filter-lang": "cql"}, {"filter": 7}):
        answer = told.request("POST", "search", json=body)
        assert answer.status_code == 400, body
        assert "filter" in answer.json()["detail"]
    # The link to the next page says what was asked, as it was asked.
    page = told.request("POST", "search", json={"filter": "eo:cloud_cover > 0", "limit": 1}).json()
    [link] = [found for found in page["links"] if found["rel"] == "next"]
    following = told.request("POST", "search", json=link["body"]).json()
    assert following["features"][0]["id"] != page["features"][0]["id"]


def test_what_can_be_sorted_by_and_searched_for_is_told(told: Server, client: pystac_client.Client) -> None:
    for address, path in (
        ("", "sortables"),
        (f"collections/{NAME}", f"collections/{NAME}/sortables"),
        ("collections", "collections-sortables"),
    ):
        links = {link["rel"]: link for link in told.get(address).json()["links"]}
        link = links["http://www.opengis.net/def/rel/ogc/1.0/sortables"]
        assert (link["href"], link["type"]) == (f"{told.href}/{path}", "application/schema+json")
        answer = told.get(path)
        assert answer.headers["Content-Type"] == "application/schema+json"
        schema = answer.json()
        assert schema["$id"] == link["href"]
        # Whatever is listed can be sorted by.
        where = "collections" if path.startswith("collections-") else "search"
        for name in schema["properties"]:
            for sortby in (name, f"-{name}"):
                sorted_by = told.get(where, params={"sortby": sortby})
                assert sorted_by.status_code == 200, (name, sorted_by.text)
    assert told.get("collections/nobody/sortables").status_code == 404
    assert "geometry" not in told.get("sortables").json()["properties"]
    said = "https://api.stacspec.org/v1.1.0/item-search"
    assert {f"{said}#sort", f"{said}#sortables"} <= {*client.get_conforms_to()}


def test_scores_are_among_the_names(told: Server) -> None:
    for path in ("queryables", f"collections/{NAME}/queryables", "sortables", f"collections/{NAME}/sortables"):
        properties = told.get(path).json()["properties"]
        assert properties["interop:scores.mIoU"] == {"title": "Score mIoU", "type": "number"}
        assert "interop:scores.IoU_water" in properties
    best = told.get("search", params={"sortby": "-interop:scores.mIoU", "limit": 1}).json()["features"]
    assert [item["id"] for item in best] == [said_id("period")]


def test_lists_without_any_ask_for_none(told: Server) -> None:
    for body in ({"ids": []}, {"collections": []}, {"ids": [], "collections": [NAME]}):
        answer = told.request("POST", "search", json=body)
        assert (answer.status_code, answer.json()["features"]) == (200, []), body
    # A form whose field nobody filled asks for nothing by it.
    assert told.get("search?ids=&collections=&limit=100").json()["features"]


@pytest.mark.parametrize("path", ["search", "collections", f"collections/{NAME}/items", "aggregate"])
def test_what_no_route_declares_is_refused(told: Server, path: str) -> None:
    for name, says in (("collection", "'collection' is no parameter of this search"), ("x", "known: ")):
        answers = [told.get(path, params={name: NAME, "limit": 1})]
        if path == "search":
            answers.append(told.request("POST", path, json={name: [NAME]}))
        for answer in answers:
            assert answer.status_code == 400
            assert says in answer.json()["detail"]


def test_the_first_page_is_what_comes_anyway_and_another_is_refused(told: Server) -> None:
    """EODAG 3 posts the number of the page that it wants, and goes on by the link ``next``."""
    first, second = (told.request("POST", "search", json={"limit": 1, "page": page}) for page in (1, 2))
    assert first.json()["features"] == told.request("POST", "search", json={"limit": 1}).json()["features"] != []
    assert (second.status_code, "'page' is no parameter" in second.json()["detail"]) == (400, True)


def test_a_plus_of_a_zone_that_arrives_as_a_blank(told: Server) -> None:
    answers = [told.get(f"search?limit=100&datetime=2020-06-05T14:00:00{sign}02:00/..") for sign in ("+", "%2B")]
    found = [[feature["id"] for feature in answer.json()["features"]] for answer in answers]
    assert found[0] == found[1] != []


def test_a_packed_body_is_refused_as_one(told: Server) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = told.request("POST", "search", data=gzip.compress(b'{"limit": 1}'), headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding: 'gzip' is not understood" in answer.json()["detail"]
