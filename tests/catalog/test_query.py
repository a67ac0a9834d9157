from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime
from typing import Any

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.geometry import boxes_meet
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.search.matching import matches
from modelstac.catalog.search.query import Query, interval
from modelstac.catalog.search.sql.indexed import Condition, answered

Describe = Callable[..., ModelDescription]


@pytest.fixture
def item(describe: Describe) -> pystac.Item:
    return write_item(
        describe(
            variant="keras-torch",
            format="keras",
            framework_version="3.15.1",
            backend="torch",
            backend_version="2.13.0+cpu",
            entrypoint=None,
        )
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"ids": "convlstm-knmi-1.0.0-keras-torch"},
        {"ids": ["another", "convlstm-knmi-1.0.0-keras-torch"]},
        {"collections": ["convlstm-knmi"]},
        {"text": "RADAR forecasts"},
        {"text": "nowcasting"},
        {"bbox": (4, 52, 5, 53)},
        {"bbox": (10, 55, 11, 56)},
        {"bbox": (4, 52, 0, 5, 53, 100)},
        {"bbox": (175, -90, 1, 90)},
        {"datetime": "2010-08-26"},
        {"datetime": "2010-08-26T07:35:00Z/.."},
        {"datetime": "../2010-08-26T00:00:00Z"},
        {"datetime": (None, datetime(2010, 8, 26, 1))},
        {"datetime": datetime(2010, 8, 26, 1, tzinfo=UTC)},
        {"framework": "keras"},
        {"framework_version": ">=3.13,<4"},
        {"backend": "torch", "backend_version": ">=2.7,<3"},
        {"format": "keras"},
        {"task": "regression"},
        {"architecture": "convlstm"},
        {"name": "convlstm-knmi"},
        {"version": "1"},
    ],
)
def test_matches(item: pystac.Item, fields: dict[str, Any]) -> None:
    assert matches(Query(**fields), item)


@pytest.mark.parametrize(
    "fields",
    [
        {"ids": "convlstm-knmi-1.0.0-keras"},
        {"ids": []},
        {"collections": ["convlstm"]},
        {"text": "radar satellite"},
        {"bbox": (11, 52, 12, 53)},
        {"bbox": (170, -90, -1, 90)},
        {"datetime": "2010-08-27"},
        {"datetime": "2010-08-26T08:00:00Z/.."},
        {"framework": "PyTorch"},
        {"framework_version": "<3.13"},
        {"framework_version": ">=3.9,<3.12"},
        {"backend": "tensorflow"},
        {"backend_version": ">=3"},
        {"format": "onnx"},
        {"task": "classification"},
        {"architecture": "ConvLSTM2"},
        {"name": "convlstm"},
        {"version": ">1"},
        {"framework": "Keras", "backend": "jax"},
    ],
)
def test_does_not_match(item: pystac.Item, fields: dict[str, Any]) -> None:
    assert not matches(Query(**fields), item)


def test_a_framework_without_a_backend_lies_in_no_backend_range(describe: Describe) -> None:
    assert not matches(Query(backend_version=">=0"), write_item(describe()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"framwork": "Keras"}, "unknown search field 'framwork': did you mean 'framework'"),
        ({"bbox": (1, 2, 3)}, "bbox"),
        ({"bbox": (0, 60, 10, 50)}, "in degrees"),
        ({"bbox": (0, 0, 300, 50)}, "in degrees"),
        ({"bbox": "here"}, "bbox"),
        ({"datetime": "yesterday"}, "'yesterday' cannot be read"),
        ({"datetime": "2010-08-27/2010-08-26"}, "is no interval"),
        ({"datetime": "2010-08-26/2010-08-27/2010-08-28"}, "cannot be read"),
        ({"datetime": ".."}, "is no interval"),
        ({"framework_version": "new"}, "'new' is no version range"),
        ({"limit": 0}, "limit"),
        ({"months": 7.5}, "7.5 is no month"),
        ({"classes": 3}, "classes=3 is no text"),
        ({"license": 2, "months": 7}, "license=2 is no text"),
        ({"region": "Alps", "filter": 7}, "the filter 7 is neither text nor JSON"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        Query(**fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "given", "taken"),
    [
        ("limit", "10", 10),
        ("limit", 7.0, 7),
        ("parity", "1e-5", 1e-5),
        ("deprecated", "No", False),
        ("deprecated", 1, True),
        ("sortby", "-version", ("-version",)),
        ("bbox", ["4", 52, 5, 53], (4.0, 52.0, 5.0, 53.0)),
        ("framework", "torch", "PyTorch"),
        ("datetime", date(2010, 8, 26), "2010-08-26"),
        ("intersects", '{"type": "Point", "coordinates": [5, 52]}', {"type": "Point", "coordinates": [5, 52]}),
    ],
)
def test_what_is_written_in_another_way_is_taken(field: str, given: Any, taken: Any) -> None:
    found = getattr(Query(**{field: given}), field)
    assert (found, type(found)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"limit": "ten"}, "limit: Input should be a valid integer, unable to parse string as an integer"),
        ({"limit": 2.5}, "limit: Input should be a valid integer, got a number with a fractional part"),
        ({"limit": float("inf")}, "limit: Input should be a finite number"),
        ({"parity": -1}, "parity: Input should be greater than or equal to 0"),
        ({"parity": float("nan")}, "parity: Input should be greater than or equal to 0"),
        ({"parity": []}, "parity: Input should be a valid number"),
        ({"deprecated": "maybe"}, "deprecated: Input should be a valid boolean, unable to interpret input"),
        ({"text": 7}, "text: Input should be a valid string"),
        ({"ids": {"a": 1}}, "ids: Input should be a valid tuple"),
        ({"ids": ["a", 1]}, "ids: entry 1: Input should be a valid string"),
        ({"filter": 7}, "filter: Input should be a valid string or dictionary"),
        ({"intersects": []}, "intersects: Input should be a valid dictionary"),
        ({"sortby": None}, "sortby: Input should be a valid tuple"),
        ({"limit": 0, "text": 7, "bbox": 1, "ids": 2, "alias": 3}, "bbox: Input should be a valid tuple; and 2 more"),
    ],
)
def test_values_of_other_types_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidQueryError, match=f"^the search is malformed: .*{re.escape(message)}$"):
        Query(**fields)


def test_a_search_is_changed_in_a_copy_and_says_what_it_asks() -> None:
    query = Query(framework="torch", ids=["a"], limit=3)
    assert query.changed(limit=None, token="next").asked() == {"ids": ("a",), "framework": "PyTorch", "token": "next"}
    assert query == Query(limit=3, ids="a", framework="PyTorch")
    with pytest.raises(FrozenInstanceError):
        query.limit = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"framework": "PyTroch"}, "did you mean 'PyTorch'"),
        ({"framework": "kears"}, "did you mean 'Keras'"),
        ({"backend": "tensorflo"}, "did you mean 'tensorflow'"),
        ({"format": "onx"}, "did you mean 'onnx'"),
        ({"task": "regresion"}, "did you mean 'regression'"),
        ({"backend": "xyz"}, "known: jax, tensorflow, torch"),
    ],
)
def test_unknown_values_name_the_nearest(fields: dict[str, Any], near: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        Query(**fields).check_values()
    assert near in str(caught.value)


def test_values_that_a_catalog_holds_are_known() -> None:
    Query(framework="MyFramework").check_values({"framework": {"MyFramework"}})


def test_a_day_is_the_whole_day() -> None:
    first, last = interval("2010-08-26")
    assert first == datetime(2010, 8, 26, tzinfo=UTC)
    assert (last - first).total_seconds() > 86_399


longitudes = st.floats(-180, 180)
latitudes = st.floats(-90, 90)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    south, north = sorted((draw(latitudes), draw(latitudes)))
    return draw(longitudes), south, draw(longitudes), north


def holds(box: tuple[float, float, float, float], longitude: float, latitude: float) -> bool:
    west, south, east, north = box
    across = west <= longitude <= east if west <= east else longitude >= west or longitude <= east
    return across and south <= latitude <= north


@given(boxes(), boxes())
def test_boxes_meet_when_a_corner_of_their_overlap_is_in_both(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> None:
    # Two boxes that meet share a point whose coordinates are bounds of one of them, or the antimeridian.
    candidates = [(x, y) for x in (*one[::2], *other[::2], 180.0, -180.0) for y in (*one[1::2], *other[1::2])]
    expected = any(holds(one, x, y) and holds(other, x, y) for x, y in candidates)
    assert boxes_meet(one, other) == expected
    assert boxes_meet(other, one) == expected


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        ("B03", '%"B03"%'),
        ("B_%", '%"B\\_\\%"%'),
        ("forest", '%"%ore%"%'),  # the letter may be ﬆ, or ſ
        ("Kiefer", '%"%ie%er"%'),
    ],
)
def test_documents_are_looked_through_for_names_before_they_are_read(word: str, pattern: str) -> None:
    expression = {"op": "a_contains", "args": [{"property": "classes"}, [word]]}
    conditions, rest = answered([expression], str)
    assert (conditions, rest) == ([Condition.plain(f"items.document LIKE {pattern} ESCAPE '\\'")], [expression])
    assert answered([expression | {"args": [{"property": "classes"}, ["Straße", 'a"b', "a/b"]]}], str)[0] == []
