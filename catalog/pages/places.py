"""Where and when a model was trained: its footprint on coastlines that come with the package, and its months."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from modelstac.catalog.pages.values import Document, listed, mapping, number, properties, text, whole

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MOST_POSITIONS = 3_000
SMALL = 12.0
"""Degrees: a footprint below this size has a ring around it on the map of the world, or nobody would see it."""
Position = tuple[float, float]


@dataclass(frozen=True)
class Map:
    """A footprint as paths of SVG, in tenths of a degree with north up.

    Parameters
    ----------
    path
        The footprint.
    ring
        Middle of a small footprint, to be found on the map of the world.
    near
        ``viewBox`` of its surroundings; None where these are nearly the world.
    words
        The same for who does not see it.
    """

    path: str
    ring: Position | None
    near: str | None
    words: str


def land() -> str:
    """Return the coastlines as a path of SVG, in tenths of a degree.

    Source: Natural Earth 4.1, 1:110 million, public domain; made by ``docs/land.py``.
    """
    return str(_land()["path"])


@cache
def _land() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("modelstac.catalog.pages").joinpath("land.json").read_text("utf-8"))
    return found


def footprint(item: Document) -> Map | None:
    """Return where an item is on the map; None where it does not say, or says it in no way that can be drawn."""
    rings = list(_rings(item.get("geometry")))
    if not rings or sum(map(len, rings)) > MOST_POSITIONS:
        rings = list(_boxes(item.get("bbox"))) or rings[:1]
    rings = [ring for ring in rings if ring]
    if not rings or sum(map(len, rings)) > MOST_POSITIONS:
        return None
    west, east = min(x for ring in rings for x, _ in ring), max(x for ring in rings for x, _ in ring)
    south, north = min(y for ring in rings for _, y in ring), max(y for ring in rings for _, y in ring)
    middle = (5 * (west + east), -5 * (south + north))
    small = max(east - west, 2 * (north - south)) < SMALL
    path = "".join(_path(ring) for ring in rings)
    return Map(path, middle if small else None, _near(west, south, east, north), _words(item, west, south, east, north))


def _rings(geometry: object) -> Iterator[list[Position]]:
    """Yield outer rings; of points and lines what can be drawn of them."""
    found = mapping(geometry)
    kind, coordinates = text(found.get("type")), found.get("coordinates")
    if kind == "GeometryCollection":
        for one in listed(found.get("geometries")):
            if text(mapping(one).get("type")) != "GeometryCollection":
                yield from _rings(one)
    elif kind == "Polygon":
        yield from (_positions(ring) for ring in listed(coordinates)[:1])
    elif kind == "MultiPolygon":
        yield from (_positions(ring) for polygon in listed(coordinates) for ring in listed(polygon)[:1])
    elif kind == "Point":
        yield [*_positions([coordinates])]
    elif kind in {"MultiPoint", "LineString"}:
        yield _positions(coordinates)
    elif kind == "MultiLineString":
        yield from map(_positions, listed(coordinates))


def _positions(found: object) -> list[Position]:
    positions = []
    for one in listed(found):
        x, y = ([number(part) for part in listed(one)[:2]] + [None, None])[:2]
        if x is None or y is None:
            return []
        positions.append((max(-180.0, min(180.0, x)), max(-90.0, min(90.0, y))))
    return positions


def _boxes(bbox: object) -> Iterator[list[Position]]:
    sides = [number(one) for one in listed(bbox)]
    if len(sides) not in {4, 6}:
        return
    west, south, east, north = sides[0], sides[1], sides[len(sides) // 2], sides[len(sides) // 2 + 1]
    if west is None or south is None or east is None or north is None:
        return
    for left, right in [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]:
        yield [(left, south), (right, south), (right, north), (left, north), (left, south)]


def _path(ring: Sequence[Position]) -> str:
    places = list(dict.fromkeys((round(10 * x), round(-10 * y)) for x, y in ring))
    if len(places) < 3:  # a point, or smaller than a tenth of a degree
        x, y = places[0]
        return f"M{x - 1} {y - 1}h2v2h-2z"
    return "M" + "L".join(f"{x} {y}" for x, y in places) + "z"


def _near(west: float, south: float, east: float, north: float) -> str | None:
    width = max(3.0 * (east - west), 6.0 * (north - south), 24.0)
    if width > 240:
        return None
    height = width / 2
    left = max(-180.0, min(180.0 - width, (west + east - width) / 2))
    top = min(90.0, max(-90.0 + height, (south + north + height) / 2))
    return f"{10 * left:.0f} {-10 * top:.0f} {10 * width:.0f} {10 * height:.0f}"


def _words(item: Document, west: float, south: float, east: float, north: float) -> str:
    sides = [number(one) for one in listed(item.get("bbox"))]
    if len(sides) == 4 and sides[0] is not None and sides[2] is not None and sides[0] > sides[2]:
        west, east = sides[0], sides[2]
    across = " to ".join(_degrees(side, "E", "W") for side in (west, east))
    along = " to ".join(_degrees(side, "N", "S") for side in (south, north))
    return f"{across}, {along}"


def _degrees(value: float, positive: str, negative: str) -> str:
    found = math.floor(abs(value) * 100 + 0.5) / 100
    return f"{found:g}°" + (f" {positive if value > 0 else negative}" if found else "")


def period(item: Document) -> str:
    """Return the time of the training data in words; nothing where nobody says."""
    said = properties(item)
    first, last = (text(said.get(key))[:10] for key in ("start_datetime", "end_datetime"))
    if not first and not last:
        return text(said.get("datetime"))[:10]
    return first if first == last else f"{first or 'an open beginning'} to {last or 'now'}"


def months(item: Document) -> list[str]:
    """Return the names of the months of the training data; an empty list where nobody says."""
    found = {whole(one) for one in listed(properties(item).get("interop:months"))}
    return [name for number_of_it, name in enumerate(MONTHS, 1) if number_of_it in found]


def region(item: Mapping[str, Any]) -> str:
    """Return the name of the place of the training data."""
    return text(properties(item).get("interop:region"))
