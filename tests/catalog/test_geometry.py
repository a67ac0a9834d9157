"""Boxes and geometries over the antimeridian and the poles (RFC 7946, sections 3.1.9 and 5)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, shape

from modelstac.catalog.items.geometry import bounding_box, boxes_meet, check_bbox, covering_box, cut, enclosing, outline

Position = tuple[float, float]
LONGITUDES = st.integers(-180, 180).map(float)
RANGES = st.lists(st.tuples(LONGITUDES, LONGITUDES), min_size=1, max_size=6)


def ring(*positions: Position) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(position) for position in (*positions, positions[0])]]}


FIJI = ring((177, -20), (-178, -20), (-178, -12), (177, -12))


def lies_in(longitude: float, west: float, east: float) -> bool:
    return west <= longitude <= east if west <= east else longitude >= west or longitude <= east


def width(west: float, east: float) -> float:
    return east - west + 360 * (east < west)


def test_a_ring_over_the_antimeridian_is_cut_there() -> None:
    found = cut(FIJI)
    assert found["type"] == "MultiPolygon"
    assert bounding_box(found) == (177, -20, -178, -12)
    assert shape(found).area == pytest.approx(5 * 8)
    assert shape(found).contains(Point(178.4, -18.1))
    assert not shape(found).intersects(Point(0, -15))
    assert cut(found) == found


@pytest.mark.parametrize("turned", [False, True])
def test_a_wide_ring_that_would_cross_itself_goes_the_shorter_way(turned: bool) -> None:
    corners = [(60.0, 60.0), (170.0, 60.0), (-170.0, 65.0), (170.0, 70.0), (60.0, 70.0)]
    found = cut(ring(*(reversed(corners) if turned else corners)))
    assert shape(found).is_valid
    assert bounding_box(found) == (60, 60, -170, 70)
    assert shape(found).area == pytest.approx(110 * 10 + 20 * 10 / 2)


def test_a_hole_over_the_antimeridian_stays_one() -> None:
    hole = [[179, -17], [179, -15], [-179, -15], [-179, -17], [179, -17]]
    found = shape(cut({"type": "Polygon", "coordinates": [FIJI["coordinates"][0], hole]}))
    assert found.area == pytest.approx(5 * 8 - 2 * 2)
    assert not found.contains(Point(179.5, -16))


@pytest.mark.parametrize(
    "geometry",
    [
        ring((-170, -20), (170, -20), (170, -12), (-170, -12)),  # round Greenwich, as it is drawn
        ring((-180, -90), (180, -90), (180, 90), (-180, 90)),
        ring((-180, -90), (-180, 90), (180, 90), (180, -90)),
        ring((5, 50), (6, 50), (6, 51)),
        {"type": "Point", "coordinates": [180, 0]},
        {"type": "LineString", "coordinates": [[-90, 0], [90, 0]]},
    ],
)
def test_what_does_not_cross_stays_as_it_is(geometry: dict[str, Any]) -> None:
    assert cut(geometry) is geometry


def test_a_track_over_the_antimeridian_is_cut_there() -> None:
    found = cut({"type": "LineString", "coordinates": [[177, 0], [-178, 5]]})
    assert found["coordinates"] == [[[177, 0], [180, 3]], [[-180, 3], [-178, 5]]]
    assert bounding_box(found) == (177, 0, -178, 5)


@pytest.mark.parametrize("latitude", [60, -60])
def test_a_ring_round_a_pole_holds_the_pole(latitude: float) -> None:
    found = cut(ring(*((float(longitude), latitude) for longitude in range(-135, 180, 90))))
    pole = math.copysign(90, latitude)
    assert bounding_box(found) == (-180, min(latitude, pole), 180, max(latitude, pole))
    assert shape(found).contains(Point(10, latitude + math.copysign(20, latitude)))
    assert shape(found).area == pytest.approx(360 * 30)
    assert shape(found).is_valid


def test_the_outline_of_a_ring_round_the_pole_that_was_named() -> None:
    positions = [(longitude, -10.0) for longitude in (-135.0, -45.0, 45.0, 135.0, -135.0)]
    assert bounding_box(outline(positions, 90.0)) == (-180, -10, 180, 90)
    assert bounding_box(outline(positions)) == (-180, -90, 180, -10)


@given(RANGES)
def test_the_range_that_encloses_holds_all_and_is_the_shortest(ranges: list[tuple[float, float]]) -> None:
    west, east = enclosing(ranges)
    for w, e in ranges:
        assert lies_in(w, west, east)
        assert lies_in(e, west, east)
        middle = w + width(w, e) / 2
        assert lies_in(middle - 360 * (middle > 180), west, east)
    # Any that is as good begins at the west of one.
    for w, _ in ranges:
        needed = max((a - w) % 360 + width(a, e) for a, e in ranges)
        assert width(west, east) <= min(needed, 360) + 1e-6


def test_a_collection_holds_what_lies_on_both_sides() -> None:
    assert covering_box([(177, -20, -178, -12), (5, 50, 0, 6, 51, 100)]) == (5, -20, -178, 51)
    assert covering_box([(-180, -90, 180, 90), (177, -20, -178, -12)]) == (-180, -90, 180, 90)
    assert covering_box([(0, 0, 10, 55)]) == (0, 0, 10, 55)


def test_boxes_meet_at_the_antimeridian_under_either_name() -> None:
    assert boxes_meet((179, 0, 180, 1), (-180, 0, -179, 1))
    assert boxes_meet((-180, 0, -179, 1), (179, 0, 180, 1))
    assert boxes_meet((177, -20, -178, -12), (-179, -19, -178.5, -18))
    assert not boxes_meet((177, -20, -178, -12), (0, -20, 10, -10))
    assert not boxes_meet((178, 0, 179, 1), (-179, 0, -178, 1))


@pytest.mark.parametrize("bbox", [(170, -30, 190, -10), (0, -91, 1, 0), (0, 1, 1, 0), (0, 0, 1), (math.nan, 0, 1, 1)])
def test_what_is_no_box_in_degrees_is_refused(bbox: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="bbox"):
        check_bbox(bbox)
