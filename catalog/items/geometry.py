"""The little of GeoJSON that items need: checks, bounding boxes and whether two boxes meet (RFC 7946)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator

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


Geometry = Annotated[dict[str, Any], AfterValidator(check_geometry)]


def bounding_box(geometry: dict[str, Any]) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) in degrees."""
    positions = list(_positions(geometry["coordinates"], _DEPTH[geometry["type"]]))
    longitudes, latitudes = [p[0] for p in positions], [p[1] for p in positions]
    return min(longitudes), min(latitudes), max(longitudes), max(latitudes)


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
    return any(a <= d and c <= b for a, b in spans(west1, east1) for c, d in spans(west2, east2))


def spans(west: float, east: float) -> list[tuple[float, float]]:
    """Return the parts of a range of longitudes: two when it crosses the antimeridian."""
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
