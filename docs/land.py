"""The coastlines of model pages, made from Natural Earth: ``python -m docs.land package/land-110m.json``.

The file is that of world-atlas 2.0.2 (``npm pack world-atlas@2.0.2``), which holds Natural Earth 4.1, 1:110 million, as
TopoJSON. Natural Earth is in the public domain.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from shapely import Polygon, box
from shapely.affinity import translate

LAND = Path(__file__).resolve().parents[1] / "catalog" / "pages" / "land.json"
SOURCE = "Natural Earth 4.1, land, 1:110 million (public domain)"
TOLERANCE, SMALLEST = 0.2, 0.6
"""Degrees by which a coast is simplified, and square degrees of an island that is left out."""


def arcs(topology: dict[str, Any]) -> list[list[tuple[float, float]]]:
    """Decode the arcs of a topology: each position is the difference from the one before (TopoJSON, 2.1.2)."""
    (scale_x, scale_y), (move_x, move_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    found = []
    for arc in topology["arcs"]:
        x = y = 0
        line = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            line.append((x * scale_x + move_x, y * scale_y + move_y))
        found.append(line)
    return found


def outlines(topology: dict[str, Any]) -> list[Polygon]:
    """Return the outer rings of all land."""
    lines = arcs(topology)
    found = []
    for geometry in topology["objects"]["land"]["geometries"]:
        for rings in geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]:
            positions: list[tuple[float, float]] = []
            for number in rings[0]:
                line = lines[number] if number >= 0 else lines[~number][::-1]
                positions += line[1:] if positions else line
            found += cut(positions)
    return found


def cut(ring: list[tuple[float, float]]) -> list[Polygon]:
    """Cut a ring that crosses the antimeridian, or goes round the South Pole, into parts from -180 to 180 degrees."""
    x, y = ring[0]
    whole = [(x, y)]
    for (ax, _), (bx, by) in pairwise(ring):
        x += (bx - ax + 180) % 360 - 180
        whole.append((x, by))
    if abs(whole[-1][0] - whole[0][0]) > 180:
        whole += [(whole[-1][0], -90), (whole[0][0], -90)]
    outline = Polygon(whole).buffer(0)
    parts = [translate(outline, turn).intersection(box(-180, -90, 180, 90)) for turn in (-360, 0, 360)]
    return [one for part in parts for one in getattr(part, "geoms", [part]) if isinstance(one, Polygon)]


def path(outline: Polygon) -> str:
    """Write a ring as an SVG path in tenths of a degree, north up, by steps from one position to the next."""
    places = [(round(10 * x), round(-10 * y)) for x, y in outline.exterior.coords]
    steps = [(bx - ax, by - ay) for (ax, ay), (bx, by) in pairwise(places) if (ax, ay) != (bx, by)]
    return f"M{places[0][0]} {places[0][1]}l" + " ".join(f"{x} {y}" for x, y in steps[:-1]) + "z"


if __name__ == "__main__":
    topology = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    kept = [one.simplify(TOLERANCE) for one in outlines(topology) if one.area >= SMALLEST]
    land = {"source": SOURCE, "unit": "tenths of a degree, north up", "path": "".join(map(path, kept))}
    LAND.write_text(json.dumps(land, indent=1) + "\n", "utf-8")
