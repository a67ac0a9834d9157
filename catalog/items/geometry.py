"""The little of GeoJSON that items need: checks, boxes, and what crosses the antimeridian or a pole (RFC 7946).

Longitudes go round: 180 and -180 are one meridian. A box that crosses it has its west beyond its east (section 5.2), a
geometry is cut there into parts (section 3.1.9).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelstac.catalog.later import needing

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_GRID = 1e-9
_CUTTING = "cutting a geometry at the antimeridian"
"""Degrees, a tenth of a millimetre."""
_DEPTH = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}


def _positions(coordinates: Any, depth: int) -> Iterator[Sequence[float]]:
    if not isinstance(coordinates, (list, tuple)) or not coordinates:
        raise ValueError("geometry: coordinates must be lists that are not empty")
    if depth:
        for part in coordinates:
            yield from _positions(part, depth - 1)
    else:
        if len(coordinates) not in {2, 3} or not all(isinstance(c, (int, float)) for c in coordinates):
            raise ValueError(f"geometry: {coordinates!r} is no position (longitude, latitude)")
        yield coordinates


def check_bbox(bbox: Sequence[float]) -> None:
    """Raise ValueError unless a box of numbers is west, south, east, north in degrees, with or without heights."""
    if len(bbox) not in {4, 6}:
        raise ValueError("bbox: west, south, east, north are needed (or six numbers with heights)")
    half = len(bbox) // 2
    if not (-90 <= bbox[1] <= bbox[half + 1] <= 90 and all(-180 <= bbox[i] <= 180 for i in (0, half))):
        raise ValueError(f"bbox: {list(bbox)} is not west, south, east, north in degrees")


def check_searched(geometry: dict[str, Any]) -> dict[str, Any]:
    """Return the geometry, which may be a collection of several, when it is one in degrees, else raise ValueError."""
    if geometry.get("type") != "GeometryCollection":
        return check_geometry(geometry)
    parts = geometry.get("geometries")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise ValueError("geometry: a collection needs a list of geometries that is not empty")
    for part in parts:
        check_geometry(part)
    return geometry


def check_geometry(geometry: dict[str, Any]) -> dict[str, Any]:
    """Return the geometry when it is one in degrees, else raise ValueError."""
    kind = geometry.get("type")
    if kind not in _DEPTH:
        raise ValueError(f"geometry: type {kind!r} is not one of {', '.join(_DEPTH)}")
    for longitude, latitude, *_ in _positions(geometry.get("coordinates"), _DEPTH[kind]):
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
            raise ValueError(f"geometry: ({longitude}, {latitude}) is no longitude and latitude in degrees")
    if kind in {"Polygon", "MultiPolygon"}:
        polygons = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
        for ring in (ring for polygon in polygons for ring in polygon):
            if len(ring) < 4 or list(ring[0]) != list(ring[-1]):
                raise ValueError(
                    "geometry: a ring of a polygon needs four positions or more, the last equal to the first"
                )
    return geometry


def bounding_box(geometry: dict[str, Any]) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) in degrees; of several parts the least that holds all."""
    depth, coordinates = _DEPTH[geometry["type"]], geometry["coordinates"]
    if geometry["type"].startswith("Multi"):
        positions = [list(_positions(part, depth - 1)) for part in coordinates]
    else:
        positions = [list(_positions(coordinates, depth))]
    west, east = enclosing((min(p[0] for p in part), max(p[0] for p in part)) for part in positions)
    latitudes = [p[1] for part in positions for p in part]
    return west, min(latitudes), east, max(latitudes)


def enclosing(ranges: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return the shortest range (west, east) of longitudes that holds all the given ones.

    The whole circle is (-180, 180). A range with west > east crosses the antimeridian.
    """
    (west, reach), *others = sorted(part for w, e in ranges for part in spans(w, e))
    first = west
    # The part of the circle that nothing lies in: around the antimeridian, unless a longer one is found.
    gaps = []
    for w, e in others:
        if w > reach:
            gaps.append((w - reach, w, reach))
        reach = max(reach, e)
    length, after, before = max(gaps, default=(0.0, first, reach))
    return (after, before) if length > first + 360 - reach + 1e-9 else (west, reach)


def covering_box(boxes: Iterable[Sequence[float]]) -> tuple[float, float, float, float]:
    """Return the least box, without heights, that holds all the given ones, wherever they cross the antimeridian."""
    flats = [flat(box) for box in boxes]
    west, east = enclosing((w, e) for w, _, e, _ in flats)
    return west, min(s for _, s, _, _ in flats), east, max(n for _, _, _, n in flats)


def flat(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) of a box with or without heights."""
    half = len(bbox) // 2
    return bbox[0], bbox[1], bbox[half], bbox[half + 1]


def boxes_meet(first: Sequence[float], second: Sequence[float]) -> bool:
    """Tell whether two boxes share a point; a box with west > east crosses the antimeridian."""
    west1, south1, east1, north1 = flat(first)
    west2, south2, east2, north2 = flat(second)
    if south1 > north2 or south2 > north1:
        return False
    return any(a <= d and c <= b for a, b in reached(west1, east1) for c, d in spans(west2, east2))


def spans(west: float, east: float) -> list[tuple[float, float]]:
    """Return the parts of a range of longitudes: two when it crosses the antimeridian."""
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]


def reached(west: float, east: float) -> list[tuple[float, float]]:
    """Return the parts of a range of longitudes, and the antimeridian by its other name where it ends there."""
    parts = spans(west, east)
    if any(e == 180 for _, e in parts) and all(w > -180 for w, _ in parts):
        parts.append((-180.0, -180.0))
    if any(w == -180 for w, _ in parts) and all(e < 180 for _, e in parts):
        parts.append((180.0, 180.0))
    return parts


def box_geometry(bbox: Sequence[float]) -> dict[str, Any]:
    """Return a box as GeoJSON: two polygons where it crosses the antimeridian."""
    west, south, east, north = flat(bbox)
    parts = [[[[w, south], [e, south], [e, north], [w, north], [w, south]]] for w, e in spans(west, east)]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def cut(geometry: dict[str, Any]) -> dict[str, Any]:
    """Return a geometry that is cut at the antimeridian where it goes over it, else the same.

    Lines that are longer than half the globe are taken to go the other, shorter way. An outer ring that crosses itself
    in one of the two ways goes the other; one that may go either is drawn as it is meant if it is counter-clockwise, as
    all outer rings are to be (RFC 7946, section 3.1.6): that one crosses Greenwich.
    """
    kind = geometry["type"]
    if kind == "GeometryCollection":
        return geometry | {"geometries": [cut(part) for part in geometry["geometries"]]}
    if "Polygon" not in kind and "Line" not in kind:
        return geometry
    coordinates = geometry["coordinates"]
    parts: list[Any] = coordinates if kind.startswith("Multi") else [coordinates]
    crosses = _ring_crosses if "Polygon" in kind else _jumps
    if not any(crosses(part[0] if "Polygon" in kind else part) for part in parts):
        return geometry
    with needing(_CUTTING):
        from shapely import get_parts, union_all
        from shapely.geometry import LineString, MultiLineString, mapping, shape

    if "Line" in kind:
        lines = [LineString([(x, p[1]) for x, p in zip(unwrapped(part), part, strict=True)]) for part in parts]
        found = mapping(MultiLineString([piece for line in lines for piece in get_parts(_wrapped(line))]))
    else:
        made = []
        for part in parts:
            if _ring_crosses(part[0]):
                holes = union_all([_wrapped(_around(ring)) for ring in part[1:]])
                made.append(_wrapped(_around(part[0])).difference(holes))
            else:
                made.append(shape({"type": "Polygon", "coordinates": part}))
        found = mapping(_wound(union_all(made)))
    return {"type": found["type"], "coordinates": _listed(found["coordinates"])}


def valid(found: BaseGeometry) -> BaseGeometry:
    """Return what is judged of a geometry: all it covers where it crosses itself; an area without width is a line."""
    from shapely import get_dimensions, get_parts, make_valid, union_all
    from shapely.geometry import GeometryCollection

    if found.is_valid:
        return found
    if found.geom_type == "GeometryCollection":
        return GeometryCollection([valid(part) for part in found.geoms])
    parts = get_parts(make_valid(found))
    most = max(map(get_dimensions, parts))
    return union_all([part for part in parts if get_dimensions(part) == most])


def outline(ring: Sequence[Sequence[float]], pole: float | None = None) -> dict[str, Any]:
    """Return what a closed ring of positions encloses, cut at the antimeridian.

    Positions that follow each other are less than 180 degrees apart.

    Parameters
    ----------
    pole
        Latitude of the pole in it, where it goes around one: the nearer by default.
    """
    if not _jumps(ring):
        return {"type": "Polygon", "coordinates": [[list(position) for position in ring]]}
    with needing(_CUTTING):
        from shapely.geometry import mapping

    found = mapping(_wound(_wrapped(_around(ring, pole))))
    return {"type": found["type"], "coordinates": _listed(found["coordinates"])}


def united(polygons: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return polygons that may overlap as one MultiPolygon whose parts do not."""
    from shapely import union_all
    from shapely.geometry import mapping, shape

    found = mapping(_wound(union_all([shape(one) for one in polygons])))
    coordinates = _listed(found["coordinates"])
    return {"type": "MultiPolygon", "coordinates": coordinates if found["type"] == "MultiPolygon" else [coordinates]}


def unwrapped(positions: Sequence[Sequence[float]]) -> list[float]:
    """Return longitudes that go on beyond 180 degrees instead of jumping, each by the shorter way."""
    found = [float(positions[0][0])]
    for before, after in itertools.pairwise(positions):
        found.append(found[-1] + (after[0] - before[0] + 180) % 360 - 180)
    return found


def _jumps(positions: Sequence[Sequence[float]]) -> bool:
    return any(abs(a[0] - b[0]) > 180 for a, b in itertools.pairwise(positions))


def _ring_crosses(ring: Sequence[Sequence[float]]) -> bool:
    if not _jumps(ring):
        return False
    if _goes_round(unwrapped(ring)):
        return True
    from shapely.geometry import Polygon

    latitudes = [position[1] for position in ring]
    drawn, shorter = (
        Polygon(zip(longitudes, latitudes, strict=True)).is_valid
        for longitudes in ([position[0] for position in ring], unwrapped(ring))
    )
    if drawn != shorter:  # one of the two ways crosses itself, or shrinks to a line as the whole globe does
        return bool(shorter)
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
    return twice < 0 and _around(ring).area > 0


def _goes_round(longitudes: Sequence[float]) -> bool:
    # Round a pole, that is, and not back to where it began.
    return abs(longitudes[-1] - longitudes[0]) > 180


def _around(ring: Sequence[Sequence[float]], pole: float | None = None) -> BaseGeometry:
    """Return what a ring encloses, in longitudes that go on."""
    with needing(_CUTTING):
        from shapely import make_valid
        from shapely.geometry import Polygon

    longitudes, latitudes = unwrapped(ring), [position[1] for position in ring]
    points = list(zip(longitudes, latitudes, strict=True))
    if _goes_round(longitudes):
        end = pole if pole is not None else math.copysign(90.0, sum(latitudes))
        points += [(longitudes[-1], end), (longitudes[0], end)]
    return make_valid(Polygon(points))


def _wrapped(found: BaseGeometry) -> BaseGeometry:
    """Return a geometry whose longitudes go on as one between -180 and 180."""
    from shapely import union_all
    from shapely.affinity import translate
    from shapely.geometry import box

    west, _, east, _ = found.bounds
    turns = range(math.floor((west + 180) / 360), math.floor((east + 180) / 360) + 1)
    parts = [translate(found.intersection(box(360 * t - 180, -90, 360 * t + 180, 90)), -360 * t) for t in turns]
    # On a grid: turning costs the last digits, by which parts that share a side would miss each other.
    return union_all([part for part in parts if part.area or (part.length and not found.area)], grid_size=_GRID)


def _wound(found: BaseGeometry) -> BaseGeometry:
    """Return polygons with outer rings counter-clockwise, west of the antimeridian first."""
    from shapely import get_parts
    from shapely.geometry import MultiPolygon, Polygon
    from shapely.geometry.polygon import orient

    parts = [part for some in get_parts(found) for part in get_parts(some) if isinstance(part, Polygon)]
    wound = [orient(part) for part in sorted(parts, key=lambda part: -part.bounds[0])]
    return wound[0] if len(wound) == 1 else MultiPolygon(wound)


def _listed(coordinates: Any) -> Any:
    # Rounded far below a millimetre: turning by 360 degrees costs the last digits.
    return list(map(_listed, coordinates)) if isinstance(coordinates, (list, tuple)) else round(coordinates, 9)
