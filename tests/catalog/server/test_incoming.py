"""Odd JSON at every place of a document that is sent: refused in one line that says why, no fault of the server."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import widening
from modelstac.catalog.search.query import Query
from modelstac.catalog.server.routes.incoming import Checks
from modelstac.catalog.server.stores.collections import select
from modelstac.catalog.testing import Examples

ODD: tuple[Any, ...] = (True, [[]], "a" * 5_000)
"""No text, a list that no set takes, and a name that no file system takes; kinds more take minutes and find no more."""


def places(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value in a document; of a list, the first two."""
    yield here
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*here, name))
    elif isinstance(value, list):
        for index, part in enumerate(value[:2]):
            yield from places(part, (*here, index))


def with_odd(document: Any, place: tuple[str | int, ...], odd: Any) -> Any:
    """Return a copy that has another value at one place."""
    changed = copy.deepcopy(document)
    at = changed
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = odd
    return changed


@pytest.fixture
def item(tmp_path: Path) -> Any:
    """An item as a client sends it."""
    found = Examples(tmp_path).item().to_dict(transform_hrefs=False)
    for asset in found["assets"].values():
        asset["href"] = "https://example.com/model.bin"
    return json.loads(json.dumps(found))


def said(check: Callable[[Any], Any], document: Any) -> list[str | None]:
    """Return what is said of each odd document, None of one that is taken; anything but our errors is raised."""
    answers: list[str | None] = []
    for place in places(document):
        for odd in ODD if place else ():
            try:
                check(with_odd(document, place, odd))
                answers.append(None)
            except ModelStacError as error:
                answers.append(str(error))
    return answers


@pytest.mark.parametrize("any_items", [False, True])
def test_odd_items(item: Any, any_items: bool) -> None:
    checks, name = Checks(any_items=any_items), item["collection"]
    checks.item(copy.deepcopy(item), name, "http://here/")
    answers = said(lambda document: checks.item(document, name, "http://here/"), item)
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) > len(answers) / 2
    assert not [answer for answer in refused if "\n" in answer]


def test_odd_collections(item: Any) -> None:
    made = widening.widened(widening.new_collection("rain", item["properties"]), item)
    collection = documents.stored_collection(made)
    Checks().collection(copy.deepcopy(collection), "http://here/")
    answers = said(lambda document: Checks().collection(document, "http://here/"), collection)
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) > len(answers) / 4
    assert not [answer for answer in refused if "\n" in answer]


SQUARE: Any = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]


@pytest.mark.parametrize(
    ("changes", "times", "words"),
    [
        ({"geometry": {"type": "Polygon", "coordinates": []}}, {}, "geometry: coordinates must be lists"),
        ({"geometry": {"type": "polygon", "coordinates": SQUARE}}, {}, "geometry: type 'polygon' is not one of"),
        ({"geometry": {"type": "Polygon", "coordinates": [SQUARE[0][:4]]}}, {}, "the last equal to the first"),
        ({"geometry": {"type": "GeometryCollection", "geometries": []}}, {}, "geometry: a collection needs a list"),
        (
            {"geometry": {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [0, 0]}]}},
            {},
            "type 'GeometryCollection' is not one of",
        ),
        ({"geometry": None}, {}, "geometry is missing: give bbox and geometry, or neither"),
        ({"bbox": None}, {}, "bbox is missing"),
        ({}, {"datetime": "yesterday"}, "its datetime is 'yesterday'"),
        ({}, {"datetime": "2020-13-01T00:00:00Z"}, "its datetime is '2020-13-01T00:00:00Z'"),
        ({}, {"datetime": "2020-01-01T00:00:00"}, "properties.datetime: '2020-01-01T00:00:00' does not match"),
        (
            {},
            {"start_datetime": "2021-01-01T00:00:00Z", "end_datetime": "2020-01-01T00:00:00Z"},
            "properties.start_datetime is after properties.end_datetime",
        ),
        ({"assets": {"data": {"type": "image/tiff"}}}, {}, "its assets are no object of objects with href"),
    ],
)
def test_a_scene_is_judged_as_it_is_stored(changes: Any, times: Any, words: str) -> None:
    scene: Any = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "scene",
        "geometry": {"type": "Polygon", "coordinates": SQUARE},
        "bbox": [0, 0, 1, 1],
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "links": [],
        "assets": {},
    }
    checks = Checks(any_items=True)
    checks.item(copy.deepcopy(scene), "scenes", "http://here/")
    scene |= {"properties": scene["properties"] | times} | changes
    with pytest.raises(InvalidItemError) as found:
        checks.item(scene, "scenes", "http://here/")
    assert words in str(found.value)


def extent(box: Any, first: Any, last: Any) -> dict[str, Any]:
    return {"spatial": {"bbox": [box]}, "temporal": {"interval": [[first, last]]}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"extent": extent([200, 0, 210, 1], None, None)}, "extent.spatial.bbox[0]: [200, 0, 210, 1] is not west"),
        ({"extent": extent([0, 10, 1, -10], None, None)}, "extent.spatial.bbox[0]"),
        ({"extent": extent([0, 0, 1, 1], "2020-13-01T00:00:00Z", None)}, "extent.temporal.interval[0]"),
        ({"extent": extent([0, 0, 1, 1], "2021-01-01T00:00:00Z", "2020-01-01T00:00:00Z")}, "is after 2020"),
        ({"links": [{"rel": "via"}]}, "its links are no list of objects with rel and href"),
    ],
)
def test_a_collection_that_no_search_could_read_is_refused(item: Any, changes: Any, words: str) -> None:
    made = widening.widened(widening.new_collection("rain", item["properties"]), item)
    collection = documents.stored_collection(made)
    collection["extent"] = extent([170, -10, -170, 10], "2020-01-01T00:00:00Z", None)
    Checks().collection(copy.deepcopy(collection), "http://here/")
    with pytest.raises(InvalidItemError) as found:
        Checks().collection(collection | changes, "http://here/")
    assert words in str(found.value)


def test_a_collection_that_others_stored_hides_no_other() -> None:
    right = {"id": "right", "keywords": ["rain"], "extent": extent([0, 0, 1, 1], "2020-01-01T00:00:00Z", None)}
    odd: list[Any] = [
        {"id": "a", "extent": extent([0, 0, 1, 1], "2020-13-01T00:00:00Z", None), "keywords": 5},
        {"id": "b", "extent": extent([0, "x"], "2020-01-01T00:00:00Z", None), "keywords": None},
        {"id": "c", "extent": {"temporal": None}},
    ]
    for asked in ({"datetime": "2021-01-01T00:00:00Z/.."}, {"bbox": (0, 0, 1, 1)}, {"text": "rain"}):
        found = [one["id"] for one in select([*odd, right], Query(**asked)).documents]
        assert "right" in found, asked
    filtered = select(
        [*odd, right], Query(filter="s_intersects(geometry, POINT(0 0)) AND datetime > DATE('2019-12-31')")
    )
    assert filtered.documents == (right,)
    pacific = {"id": "pacific", "extent": extent([170, -10, -170, 10], None, "2020-12-31T00:00:00Z")}
    for asked, is_found in (
        ("s_intersects(geometry, POINT(-175 0))", True),
        ("s_intersects(geometry, POINT(0 0))", False),
        ("t_before(datetime, DATE('2021-01-01'))", True),
        ("t_intersects(datetime, INTERVAL('2021-01-01', '..'))", False),
    ):
        assert bool(select([pacific], Query(filter=asked)).documents) is is_found, asked
    day = {"id": "day", "extent": extent([0, 0, 1, 1], "2020-01-01", "2020-01-01")}
    assert select([day], Query(datetime="2020-01-01T12:00:00Z")).documents == (day,)
