"""The grid that a scene is read on: its own, of the finest pixels or the model's, and one for each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, gcd, prod
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.grids import METRES_A_DEGREE, TURN, image_axis
from modelstac.registry.running.labels.systems import are_one, called, has_meridians

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from modelstac.registry.running.labels.stated import Pixel, Stated
    from modelstac.registry.running.signature import TensorSignature
    from modelstac.registry.scenes.reading.finding.parts import Part

_OFF = 0.01
"""Share of a pixel that is rounding."""
_LEADS_BACK = 0.001
"""Degrees by which a place may be another one that was projected and taken back."""
_SAME = 1e-6


@dataclass(frozen=True)
class Laid:
    """A grid, and what to say of how it came about."""

    grid: GeoBox
    notes: tuple[str, ...] = ()


def lay(parts: Sequence[Part], stated: Stated, *, given: Any = None, bbox: Sequence[float] | None = None) -> Laid:
    """Lay the grid of an input.

    Parameters
    ----------
    parts
        What it is read from.
    stated
        What the item says of its pixels and their order.
    given
        What the user says: a grid, the length of a pixel in the units of the scene, or a reference system.
    bbox
        Box in degrees (west, south, east, north) to which it is cut.

    Raises
    ------
    DataError
        If parts lie in several reference systems and nobody says which is meant, or none lies in the box.
    """
    if given is not None and hasattr(given, "affine"):
        return Laid(_cut(given, bbox) if bbox is not None else given)
    if given is not None and not isinstance(given, int | float):
        grid, notes = _upright(_projected(parts, stated, str(given)), stated)
        return Laid(grid if bbox is None else _cut(grid, bbox), notes)
    grid, notes = _upright(_around(parts, stated), stated)
    if given is not None:
        grid = _zoomed(grid, (float(given), float(given)))
    elif (wanted := _wanted(grid, stated)) is not None:
        finest = grid.resolution
        grid = _zoomed(grid, wanted)
        pixel = next(iter(stated.pixels.values()))
        notes = (
            *notes,
            f"brought from pixels of {abs(finest.x):g} onto those of the model, {min(pixel.lengths):g}"
            f"{'°' if pixel.degrees else ' m'} ({pixel.source})",
        )
    return Laid(grid if bbox is None else _cut(grid, bbox), notes)


def _around(parts: Sequence[Part], stated: Stated) -> GeoBox:
    """Return a grid over all of them, on the pixels of the model or the finest."""
    first = parts[0]
    if (other := next((part for part in parts if not are_one(part.grid.crs, first.grid.crs)), None)) is not None:
        raise DataError(
            f"{first.name} is in {called(first.grid.crs)} and {other.name} in {called(other.grid.crs)}: say onto "
            "which grid, --grid, such as the reference system of one of them"
        )
    best = _best([part.grid for part in parts], stated)
    return _over(best, [turned(part.grid, best) for part in parts])


def _best(grids: Sequence[GeoBox], stated: Stated) -> GeoBox:
    pixel = stated.pixels.get("y")
    return min(grids, key=lambda grid: (not _fits(grid, pixel), prod(_length(grid, degrees=False))))


def _projected(parts: Sequence[Part], stated: Stated, given: str) -> GeoBox:
    """Return a grid over all of them in a reference system, on the pixels of those that are in it."""
    from odc.geo.crs import CRS

    try:
        system = CRS(given)
        grids = [part.grid for part in parts]
        best = _best([grid for grid in grids if are_one(grid.crs, system)] or grids, stated).to_crs(system)
        return _over(best, [turned(grid.to_crs(system), best) for grid in grids])
    except Exception as error:  # PROJ's and odc-geo's
        raise DataError(f"grid {given!r} is no reference system, raster or length of a pixel: {error}") from error


def turned(grid: GeoBox, near: GeoBox) -> GeoBox:
    """Move a grid in degrees by whole turns, as near to another as it can lie: 179 and -179 are neighbours."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    if not (grid.crs.geographic and near.crs.geographic):
        return grid
    here, there = ((one.affine @ (one.width / 2, one.height / 2))[0] for one in (grid, near))
    turns = round((there - here) / TURN)
    return GeoBox(grid.shape, Affine.translation(TURN * turns, 0) @ grid.affine, grid.crs) if turns else grid


def _over(grid: GeoBox, others: Sequence[GeoBox]) -> GeoBox:
    """Make a grid larger until it covers others of its reference system."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    edges = [(0.0, 0.0), (float(grid.width), float(grid.height))]
    for other in others:
        onto = ~grid.affine @ other.affine
        edges += [
            onto @ corner for corner in ((0, 0), (other.width, 0), (0, other.height), (other.width, other.height))
        ]
    left, top = (floor(min(edge[axis] for edge in edges) + _OFF) for axis in (0, 1))
    right, bottom = (ceil(max(edge[axis] for edge in edges) - _OFF) for axis in (0, 1))
    if (left, top, right, bottom) == (0, 0, grid.width, grid.height):
        return grid
    return GeoBox((bottom - top, right - left), grid.affine @ Affine.translation(left, top), grid.crs)


def _upright(grid: GeoBox, stated: Stated) -> tuple[GeoBox, tuple[str, ...]]:
    """Turn rows and columns as the model reads them; those that lie askew are left as they are."""
    affine = grid.affine
    if affine.b or affine.d:
        return grid, ()
    notes = []
    if (affine.e > 0) != stated.upward:
        grid = grid.flipy()
        notes.append(
            f"rows are read from {'south to north' if stated.upward else 'north to south'}, as the model reads them"
        )
    if affine.a < 0:
        grid = grid.flipx()
        notes.append("columns are read from west to east")
    return grid, tuple(notes)


def _length(grid: GeoBox, degrees: bool) -> tuple[float, float]:
    """Return height and width of a pixel, in degrees or metres."""
    affine = grid.affine
    width, height = (affine.a**2 + affine.d**2) ** 0.5, (affine.b**2 + affine.e**2) ** 0.5
    here = bool(grid.crs.geographic)
    factor = 1.0 if here else _metres(grid)
    if here != degrees:
        factor = METRES_A_DEGREE if here else factor / METRES_A_DEGREE
    return height * factor, width * factor


def _metres(grid: GeoBox) -> float:
    info = grid.crs.proj.axis_info
    return float(info[0].unit_conversion_factor or 1.0) if info else 1.0


def _fits(grid: GeoBox, pixel: Pixel | None) -> bool:
    if pixel is None:
        return False
    height, _ = _length(grid, pixel.degrees)
    least = min(pixel.lengths)
    return abs(height - least) <= pixel.tolerance * least


def _wanted(grid: GeoBox, stated: Stated) -> tuple[float, float] | None:
    """Give height and width of the model's pixels in the unit of the grid; None where it has them, or none is said."""
    pixel = stated.pixels.get("y")
    if pixel is None or _fits(grid, pixel):
        return None
    beside = stated.pixels.get("x", pixel)
    height, width = _length(grid, pixel.degrees)
    own = _length(grid, bool(grid.crs.geographic))
    unit = _metres(grid) if not grid.crs.geographic else 1.0
    down = min(pixel.lengths) / height
    across = min(beside.lengths) / width if bool(grid.crs.geographic) == pixel.degrees else down
    return own[0] / unit * down, own[1] / unit * across


def _zoomed(grid: GeoBox, pixel: tuple[float, float]) -> GeoBox:
    """Give it pixels of another size, from the same corner, over all of it."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    affine = grid.affine
    width, height = (affine.a**2 + affine.d**2) ** 0.5, (affine.b**2 + affine.e**2) ** 0.5
    down, across = pixel[0] / height, pixel[1] / width
    shape = max(1, ceil(grid.height / down - _OFF)), max(1, ceil(grid.width / across - _OFF))
    return GeoBox(shape, affine @ Affine.scale(across, down), grid.crs)


def _cut(grid: GeoBox, bbox: Sequence[float]) -> GeoBox:
    """Cut it to whole pixels that a box in degrees touches; one of a west beyond its east crosses the antimeridian."""
    import numpy as np
    from affine import Affine
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

    west, south, east, north = (float(number) for number in (bbox if len(bbox) == 4 else (*bbox[:2], *bbox[3:5])))
    if south > north:
        raise DataError(f"a box is west, south, east and north in degrees, and {south:g} lies north of {north:g}")
    east = east + TURN if east < west else east
    steps = np.linspace(0, 1, 33)
    x, y = (one.ravel() for one in np.meshgrid(west + (east - west) * steps, south + (north - south) * steps))
    turns = [0.0]
    if has_meridians(grid.crs.proj):  # whose longitudes go on past 180, so that a box may hold two parts of it
        centre = (grid.affine @ (grid.width / 2, grid.height / 2))[0]
        turns = [TURN * (round((centre - (west + east) / 2) / TURN) + turn) for turn in (-1, 0, 1)]
    else:
        degrees = CRS("EPSG:4326")
        asked = np.where(np.abs(x) > 180, (x + 180) % 360 - 180, x), y
        x, y = degrees.transformer_to_crs(grid.crs)(*asked)
        # Far from its centre a projection gives numbers that are no places: they do not lead back.
        lon, lat = grid.crs.transformer_to_crs(degrees)(x, y)
        with np.errstate(invalid="ignore"):
            across = np.abs((lon - asked[0] + 180) % 360 - 180) * np.cos(np.radians(asked[1]))
            x = np.where(np.maximum(across, np.abs(lat - asked[1])) < _LEADS_BACK, x, np.inf)
    known = np.isfinite(x) & np.isfinite(y)
    spans = []
    for turn in turns if known.any() else ():
        right, down = ~grid.affine @ (x[known] + turn, y[known])
        left, top = (max(floor(one.min() + _SAME), 0) for one in (right, down))
        end, bottom = (
            min(ceil(right.max() - _SAME), grid.width),
            min(ceil(down.max() - _SAME), grid.height),
        )
        if left < end and top < bottom:
            spans.append((left, end, top, bottom))
    said = ", ".join(f"{number:g}" for number in bbox)
    if not spans:
        raise DataError(f"the scene does not lie in the box {said}: name another")
    if any(before[1] < after[0] for before, after in pairwise(sorted(spans))):
        edge = (grid.affine.c + 180) % 360 - 180
        raise DataError(
            f"the box {said} crosses the longitude {edge:g}, where the scene begins and ends: cut it there, and run "
            "its two sides"
        )
    left, top, end, bottom = (pick(one[n] for one in spans) for pick, n in ((min, 0), (min, 2), (max, 1), (max, 3)))
    return GeoBox((bottom - top, end - left), grid.affine @ Affine.translation(left, top), grid.crs)


def grids_of_inputs(grid: GeoBox, layouts: Sequence[TensorSignature]) -> dict[str, GeoBox]:
    """Give each input a grid of the same area, with as many pixels for one of the first as the model wants.

    It grows at its lower right end until it has whole pixels of all of them; what is outside is missing.
    """
    from affine import Affine
    from odc.geo.geobox import GeoBox

    first = layouts[0]
    ratios = {one.name: (_ratio(one, first, "y"), _ratio(one, first, "x")) for one in layouts}
    steps = [1, 1]
    for axis in (0, 1):
        for ratio in ratios.values():
            least = ratio[axis][1] // gcd(*ratio[axis])
            steps[axis] = steps[axis] * least // gcd(steps[axis], least)
    shape = tuple(ceil(size / step) * step for size, step in zip(grid.shape, steps, strict=True))
    found: dict[str, Any] = {}
    for name, ((up, down), (right, left)) in ratios.items():
        if (up, right) == (down, left) and shape == tuple(grid.shape):
            found[name] = grid
        else:
            size = shape[0] * up // down, shape[1] * right // left
            found[name] = GeoBox(size, grid.affine @ Affine.scale(left / right, down / up), grid.crs)
    return found


def _ratio(one: TensorSignature, first: TensorSignature, axis: str) -> tuple[int, int]:
    """Return how many pixels an input has for how many of the first."""
    here, there = (
        next((size for dim, size in layout.axes.items() if image_axis(dim) == axis), None) for layout in (one, first)
    )
    if here is None or there is None or one is first:
        return 1, 1
    if here.is_fixed and there.is_fixed:
        return here.at_least, there.at_least
    if not here.is_fixed and here.symbol is not None and here.symbol == there.symbol:
        return here.step, there.step
    return 1, 1


def check_overlap(feeds: Mapping[str, Any]) -> None:
    """Refuse what has no pixel of its grid, and bands that have no place in common.

    Raises
    ------
    DataError
        If there are such.
    """
    common, bands = [0.0, 1.0, 0.0, 1.0], []
    for name, feed in feeds.items():
        there: dict[int, list[Any]] = {}  # at whatever time
        for group in feed.groups:
            for one in (layer.onto for layer in group.layers):
                if not one.overlaps:
                    raise DataError(
                        f"input {name!r}: {one.part.name} does not overlap the rest of the scene: name rasters of one "
                        "place"
                    )
                for place in group.places:
                    there.setdefault(place, []).append(one)
        for ontos in there.values():
            boxes = [one.box for one in ontos]
            most = [pick(box[n] for box in boxes) for n, pick in enumerate((min, max, min, max))]
            common = [pick(common[n], most[n]) for n, pick in enumerate((max, min, max, min))]
            bands.append(ontos[0].part.name)
            if common[0] >= common[1] or common[2] >= common[3]:
                raise DataError(
                    f"input {name!r}: {bands[-1]} has no place in common with {', '.join(dict.fromkeys(bands[:-1]))}, "
                    "so that a map would have no pixel: name rasters of one place"
                )
