"""The areas of a class map as polygons, whole over all of it, with only a strip of its pixels in memory at a time.

GDAL traces the areas of a strip. One that touches the edge to the next strip stays open, and is joined along that edge
with those of its class there; all others are done. Only the outer ring of an open area takes part in joining: a hole
never touches the edge, or it were none. Everything is in rows and columns, whole numbers, so that joining is exact and
the result is that of the whole map at once.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.rasters import Layer, Raster
from modelstac.registry.scenes.writing.layers import pixels, stored

if TYPE_CHECKING:
    from shapely import Polygon

    Numbers = np.ndarray[Any, Any]

_STRIP_PIXELS = 3 << 19
_TRACED = frozenset({"uint8", "uint16", "int16", "int32"})


@dataclass
class Areas:
    """Areas that are done.

    Parameters
    ----------
    values
        Their classes, shape (areas,).
    points
        Column and row of the corners of all rings, shape (points, 2); each ring ends where it begins.
    rings
        Where each ring begins among the points, and their end; shape (rings + 1,).
    areas
        Where each area begins among the rings, its outer ring first, and their end; shape (areas + 1,).
    """

    values: Numbers
    points: Numbers
    rings: Numbers
    areas: Numbers

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class _Open:
    """An area that goes on in the next strip: its outer ring so far, its holes, and the columns along the edge."""

    value: int
    outer: Polygon
    holes: list[Numbers] = field(default_factory=list)


def check_classes(layer: Layer) -> None:
    """Refuse a layer that has no areas.

    Raises
    ------
    DataError
        If it is of several bands, or of numbers that are no classes.
    """
    layer = stored(layer)
    if len(layer.bands) != 1 or np.dtype(layer.dtype).kind not in "iu":
        found = f"{len(layer.bands)} bands" if len(layer.bands) != 1 else f"values of type {layer.dtype}"
        raise DataError(
            f"layer {layer.name!r} has {found}: polygons are made of a map of classes, one band of whole numbers"
        )


def areas(raster: Raster, *, strip_pixels: int = _STRIP_PIXELS) -> Iterator[Areas]:
    """Give the areas of one class that hang together by the sides of pixels; nodata is none.

    Raises
    ------
    DataError
        As :func:`check_classes` does.
    """
    check_classes(raster.layer)
    height, width = raster.layer.grid.shape
    step = max(1, strip_pixels // width)
    above: list[_Open] = []
    for top in range(0, height, step):
        bottom = min(top + step, height)
        done, upper, lower = _traced(raster, top, bottom)
        finished, above = _joined(above, upper, lower, top=top, bottom=bottom if bottom < height else None, width=width)
        found = _gathered(done, finished)
        if len(found):
            yield found


def _strip(raster: Raster, top: int, bottom: int) -> tuple[Numbers, Numbers | None]:
    """Read rows, of a type that GDAL traces, and where there is something."""
    layer = stored(raster.layer)
    values = pixels(raster, (slice(top, bottom), slice(0, layer.grid.shape[1])), layer.dtype)[0]
    there = None if layer.nodata is None else values != layer.nodata
    if layer.dtype not in _TRACED:
        low, high = int(values.min()), int(values.max())
        if low < -(2**31) or high >= 2**31:
            raise DataError(f"layer {layer.name!r} has classes from {low} to {high}: polygons hold 32 bits")
        values = values.astype("int32")
    return values, there


def _traced(raster: Raster, top: int, bottom: int) -> tuple[Areas, list[_Open], list[_Open]]:
    """Trace the areas of a strip: those that are done, and those that touch the one above, or only the one below."""
    from affine import Affine
    from rasterio.features import shapes

    values, there = _strip(raster, top, bottom)
    last = raster.layer.grid.shape[0]
    numbers, lengths, counts = array("q"), array("q"), array("q")
    flat = array("d")
    # Millions, maybe: they become numbers one by one, as points in Python are seven times as large.
    for shape, value in shapes(values, mask=there, connectivity=4, transform=Affine(1, 0, 0, 0, 1, top)):
        numbers.append(int(value))
        counts.append(len(shape["coordinates"]))
        for ring in shape["coordinates"]:
            lengths.append(len(ring))
            flat.extend(itertools.chain.from_iterable(ring))
    found = Areas(
        np.array(numbers, "int64"), np.array(flat).reshape(-1, 2), _starts(np.array(lengths)), _starts(np.array(counts))
    )
    if not len(found):
        return found, [], []
    outer = found.rings[found.areas[:-1]]
    # Holes reach no farther than the ring around them.
    highest, lowest = (some.reduceat(found.points[:, 1], outer) for some in (np.minimum, np.maximum))
    above = (highest == top) & (top > 0)
    below = (lowest == bottom) & (bottom < last) & ~above
    opened = ([_opened(found, i) for i in np.flatnonzero(touching)] for touching in (above, below))
    upper, lower = opened
    return _only(found, ~(above | below)), upper, lower


def _starts(lengths: Numbers) -> Numbers:
    return np.concatenate([[0], np.cumsum(lengths, dtype="int64")]).astype("int64")


def _opened(found: Areas, i: int) -> _Open:
    from shapely import Polygon

    first, *others = (
        found.points[found.rings[ring] : found.rings[ring + 1]].copy()
        for ring in range(found.areas[i], found.areas[i + 1])
    )
    return _Open(int(found.values[i]), Polygon(first), others)


def _only(found: Areas, kept: Numbers) -> Areas:
    """Return some of the areas."""
    counts, lengths = np.diff(found.areas), np.diff(found.rings)
    rings = np.repeat(kept, counts)
    return Areas(
        found.values[kept], found.points[np.repeat(rings, lengths)], _starts(lengths[rings]), _starts(counts[kept])
    )


def _joined(
    above: list[_Open], upper: list[_Open], lower: list[_Open], *, top: int, bottom: int | None, width: int
) -> tuple[list[_Open], list[_Open]]:
    """Join what is open above a strip with what touches it there; return what is done by that, and what is open now."""
    both = above + upper
    group = _groups(both, len(above), top, width)
    members: dict[int, list[_Open]] = {}
    for found, of in zip(both, group, strict=True):
        members.setdefault(of, []).append(found)
    finished: list[_Open] = []
    still: list[_Open] = []
    for parts in members.values():
        joined = _union(parts)
        goes_on = bottom is not None and joined.outer.bounds[3] == bottom
        (still if goes_on else finished).append(joined)
    return finished, still + lower


def _groups(both: list[_Open], above: int, row: int, width: int) -> list[int]:
    """Tell which open areas hang together over the edge at a row, by the number of one of each group."""
    root = list(range(len(both)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    sides = [np.full(width, -1), np.full(width, -1)]
    for i, found in enumerate(both):
        for first, last in _along(found.outer, row):
            sides[i >= above][first:last] = i
    touching = (sides[0] >= 0) & (sides[1] >= 0)
    for i, j in np.unique(np.stack([side[touching] for side in sides], axis=1), axis=0):
        if both[i].value == both[j].value:
            root[max(find(i), find(j))] = min(find(i), find(j))
    return [find(i) for i in range(len(both))]


def _along(outer: Polygon, row: int) -> list[tuple[int, int]]:
    """Return the ranges of columns in which an outer ring runs along a row."""
    import shapely

    points = shapely.get_coordinates(outer.exterior)
    flat = (points[:-1, 1] == row) & (points[1:, 1] == row)
    ends = np.sort(np.stack([points[:-1, 0][flat], points[1:, 0][flat]], axis=1), axis=1)
    return [(int(first), int(last)) for first, last in ends]


def _union(parts: list[_Open]) -> _Open:
    """Return one area of several; what their outer rings enclose together, and nobody fills, are holes."""
    import shapely
    from shapely import Polygon

    holes = [hole for part in parts for hole in part.holes]
    if len(parts) == 1:
        return _Open(parts[0].value, parts[0].outer, holes)
    outer = shapely.union_all([part.outer for part in parts])
    assert isinstance(outer, Polygon), "parts hang together by the sides of pixels"
    holes += [_corners(shapely.get_coordinates(ring)) for ring in outer.interiors]
    return _Open(parts[0].value, Polygon(_corners(shapely.get_coordinates(outer.exterior))), holes)


def _corners(ring: Numbers) -> Numbers:
    """Return a closed ring without points on its straight sides: where strips met, that is."""
    points = ring[:-1]
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    points = points[~((before == points) & (points == after)).any(axis=1)]
    return np.concatenate([points, points[:1]])


def _gathered(done: Areas, finished: Sequence[_Open]) -> Areas:
    """Return the areas that a strip ended, those that it closed last."""
    import shapely

    values = [int(found.value) for found in finished]
    areas = [[shapely.get_coordinates(found.outer), *found.holes] for found in finished]
    rings = [ring for area in areas for ring in area]
    return Areas(
        np.concatenate([done.values, np.array(values, "int64")]),
        np.concatenate([done.points, *rings]),
        _starts(np.concatenate([np.diff(done.rings), np.array([len(ring) for ring in rings], "int64")])),
        _starts(np.concatenate([np.diff(done.areas), np.array([len(area) for area in areas], "int64")])),
    )
