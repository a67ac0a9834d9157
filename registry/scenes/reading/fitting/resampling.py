"""Rasters brought onto another grid, so that a window is, bit for bit, what it is in the whole.

Every pixel is made of the same numbers in the same order whatever window it is read in: positions are counted from the
corner of the grid, and sums are written out, tap by tap. What lies in another reference system, or askew, is warped by
GDAL in blocks of a fixed grid. Kernels are GDAL's: wider where pixels become larger, and without what is missing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.registry.running.labels.grids import TURN
from modelstac.registry.running.labels.systems import are_one
from modelstac.registry.scenes.reading.finding.masks import is_missing
from modelstac.registry.scenes.reading.finding.parts import Part, Values
from modelstac.registry.scenes.reading.fitting.along import SAME, Along
from modelstac.registry.scenes.reading.fitting.grids import turned

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from modelstac.registry.scenes.rasters import Window

    Read = tuple[Values, Values | None]

BLOCK = 512
"""Rows and columns that are warped at once."""
_BLOCKS = 6
"""Warped blocks that a thread keeps."""
_STRETCHED = 1.05
"""Pixels of the raster in one of the grid from which on its kernel is made wider."""
OF_RESIZE_TYPE: MappingProxyType[str, str] = MappingProxyType(
    {
        "interpolation-nearest": "nearest",
        "interpolation-linear": "bilinear",
        "interpolation-cubic": "cubic",
        "interpolation-area": "average",
        "interpolation-lanczos4": "lanczos",
        "interpolation-max": "max",
    }
)
"""Methods by MLM's ``resize_type``; others of it cut and pad, and resample nothing."""


class Onto:
    """A raster on another grid.

    Parameters
    ----------
    part
        The raster.
    grid
        The grid.
    method
        One of :data:`METHODS`.
    codes
        What stands for a missing number beside what the raster itself says, by band of it.
    """

    def __init__(self, part: Part, grid: GeoBox, method: str, codes: tuple[float | None, ...] = ()) -> None:
        self.part, self.grid, self.method = part, grid, method
        self._codes = codes or (None,) * len(part.stored)
        self._own = turned(part.grid, grid)
        self.along = _straight(self._own, grid)
        self._local = threading.local()

    @property
    def is_direct(self) -> bool:
        """Whether pixels are taken as they are."""
        return self.along is not None and all(one.is_direct for one in self.along)

    @cached_property
    def overlaps(self) -> bool:
        """Whether it has a pixel of the grid."""
        if self.along is not None:
            sizes = zip(self.along, self.grid.shape, self.part.grid.shape, strict=True)
            return all(
                min(one.shift, one.shift + one.scale * here) < there - SAME
                and max(one.shift, one.shift + one.scale * here) > SAME
                for one, here, there in sizes
            )
        return self._source_of((slice(0, self.grid.shape[0]), slice(0, self.grid.shape[1])), taps=0) is not None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Rows and columns of the grid that it has something of, as shares of it; all, where it is warped."""
        if self.along is None:
            return 0.0, 1.0, 0.0, 1.0
        ends: list[float] = []
        for one, here, there in zip(self.along, self.grid.shape, self.part.grid.shape, strict=True):
            ends += sorted((edge - one.shift) / one.scale / here for edge in (0, there))
        return ends[0], ends[1], ends[2], ends[3]

    def dtype(self, band: int) -> np.dtype[Any]:
        """Return the type of what is read: fractions, where something lies between pixels."""
        stored = np.dtype(self.part.stored[band].dtype)
        if self.is_direct or self.method in ("nearest", "max") or stored.kind == "f":
            return stored
        return np.dtype(np.float32 if stored.itemsize <= 2 else np.float64)

    def read(self, bands: tuple[int, ...], window: Window) -> Read:
        """Read a window of the grid: stored numbers (band, row, column), and where there are none of them."""
        if self.along is None:
            return self._warped(bands, window)
        if self.is_direct or self.method == "nearest":
            return self._picked(bands, window, *self.along)
        return self._mixed(bands, window, *self.along)

    def _raw(self, bands: tuple[int, ...], rows: slice, columns: slice) -> Read:
        values, missing = self.part.read(bands, rows, columns)
        for place, band in enumerate(bands):
            gone = is_missing(values[place], self._codes[band]) if self._codes[band] is not None else None
            if gone is not None:
                missing = np.zeros(values.shape, bool) if missing is None else missing
                missing[place] |= gone
        return values, missing

    def _picked(self, bands: tuple[int, ...], window: Window, down: Along, right: Along) -> Read:
        rows, columns = (
            (np.round(along.centres(part.start, part.stop) - 0.5).astype(np.intp) if along.is_direct
             else along.nearest(part.start, part.stop))
            for along, part in zip((down, right), window, strict=True)
        )  # fmt: skip
        inside = [_inside(places, length) for places, length in zip((rows, columns), self.part.grid.shape, strict=True)]
        shape = (len(bands), rows.size, columns.size)
        if any(one.start == one.stop for one in inside):
            return np.zeros(shape, self.dtype(bands[0])), np.ones(shape, bool)
        (low, high), (left, end) = (
            (int(places[one].min()), int(places[one].max()) + 1)
            for places, one in zip((rows, columns), inside, strict=True)
        )
        values, missing = self._raw(bands, slice(low, high), slice(left, end))
        take = _taken(rows[inside[0]] - low, high - low), _taken(columns[inside[1]] - left, end - left)
        values, missing = _pick(values, *take), None if missing is None else _pick(missing, *take)
        if values.shape == shape:
            return np.ascontiguousarray(values), missing
        whole, gone = np.zeros(shape, values.dtype), np.ones(shape, bool)
        whole[:, inside[0], inside[1]] = values
        gone[:, inside[0], inside[1]] = False if missing is None else missing
        return whole, gone

    def _mixed(self, bands: tuple[int, ...], window: Window, down: Along, right: Along) -> Read:
        height, width = self.part.grid.shape
        rows, above = down.taps(window[0].start, window[0].stop, self.method, height)
        columns, beside = right.taps(window[1].start, window[1].stop, self.method, width)
        shape = (len(bands), len(rows), len(columns))
        dtype = np.result_type(*(self.dtype(band) for band in bands))
        nearest = down.nearest(window[0].start, window[0].stop), right.nearest(window[1].start, window[1].stop)
        outside = _outside(nearest, (height, width))
        if outside is not None and outside.all():
            return np.zeros(shape, dtype), np.ones(shape, bool)
        low, high = _span(rows, above, nearest[0], height)
        left, end = _span(columns, beside, nearest[1], width)
        values, missing = self._raw(bands, slice(low, high), slice(left, end))
        near = np.clip(nearest[0], low, high - 1) - low, np.clip(nearest[1], left, end - 1) - left
        rows, columns = np.clip(rows - low, 0, high - low - 1), np.clip(columns - left, 0, end - left - 1)
        if self.method == "max":
            found, gone = _largest(values, missing, (rows, above > 0), (columns, beside > 0))
        else:
            wide = np.float64 if dtype.itemsize > 4 else np.float32
            found, gone = self._sum(
                values.astype(wide), missing, (rows, above.astype(wide)), (columns, beside.astype(wide)), near
            )
        if outside is not None:
            gone = np.broadcast_to(outside, shape).copy() if gone is None else gone | outside
        return found, gone

    def _sum(self, values: Values, missing: Values | None, down: Any, right: Any, near: Any) -> Read:
        """Add up what is there by its weight, divided by the weight of what is there."""
        if missing is None:
            return self._summed(values, down, right), None
        values[missing] = 0
        lost = missing.astype(values.dtype)
        found, share = (self._summed(one, down, right) for one in (values, lost))
        if (down[1] < 0).any() or (right[1] < 0).any():
            touched = self._summed(lost, *((places, np.abs(weights)) for places, weights in (down, right))) > 0
        else:
            touched = share > 0
        left = 1 - share
        usable = touched & (np.abs(left) > 1e-3)
        np.divide(found, left, out=found, where=usable)
        average = self.method == "average" or any(abs(one.scale) > 1 for one in self.along or ())
        gone = touched & ~usable if average else _pick(missing, *near)
        # Next to nothing is left where the taps of a cubic kernel cancel out.
        thin = touched & ~usable & ~gone
        if thin.any():
            found[thin] = _pick(values, *near)[thin]
        return found, gone

    def _summed(self, values: Values, down: tuple[Values, Values], right: tuple[Values, Values]) -> Values:
        """Add up along both axes: first along the one that leaves fewer pixels for the other, whatever the window."""
        assert self.along is not None
        if abs(self.along[0].scale) < 1:
            return _added(_added(values, *right, axis=2), *down, axis=1)
        return _added(_added(values, *down, axis=1), *right, axis=2)

    def _warped(self, bands: tuple[int, ...], window: Window) -> Read:
        rows, columns = window
        shape = (len(bands), rows.stop - rows.start, columns.stop - columns.start)
        found = np.zeros(shape, np.result_type(*(self.dtype(band) for band in bands)))
        gone = np.ones(shape, bool)
        side = self._side
        for top in range(rows.start // side * side, rows.stop, side):
            for left in range(columns.start // side * side, columns.stop, side):
                values, missing = self._block(bands, top, left)
                here = (
                    slice(max(top, rows.start), min(top + side, rows.stop)),
                    slice(max(left, columns.start), min(left + side, columns.stop)),
                )
                source = tuple(slice(s.start - o, s.stop - o) for s, o in zip(here, (top, left), strict=True))
                target = tuple(
                    slice(s.start - o, s.stop - o) for s, o in zip(here, (rows.start, columns.start), strict=True)
                )
                found[(slice(None), *target)] = values[(slice(None), *source)]
                gone[(slice(None), *target)] = missing[(slice(None), *source)]
        return found, gone if gone.any() else None

    def _block(self, bands: tuple[int, ...], top: int, left: int) -> tuple[Values, Values]:
        held: OrderedDict[Any, Any] | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = OrderedDict()
        key = (bands, top, left)
        if key not in held:
            held[key] = self._warp(bands, top, left)
            while len(held) > _BLOCKS:
                held.popitem(last=False)
        held.move_to_end(key)
        found: tuple[Values, Values] = held[key]
        return found

    def _warp(self, bands: tuple[int, ...], top: int, left: int) -> tuple[Values, Values]:
        """Warp a block with GDAL; missing ones are NaN, which no number is."""
        from affine import Affine
        from rasterio.enums import Resampling
        from rasterio.warp import reproject

        height, width = (min(self._side, size - at) for size, at in zip(self.grid.shape, (top, left), strict=True))
        dtype = np.result_type(*(self.dtype(band) for band in bands))
        shape = (len(bands), height, width)
        source = self._source_of((slice(top, top + height), slice(left, left + width)))
        if source is None:
            return np.zeros(shape, dtype), np.ones(shape, bool)
        values, missing = self._raw(bands, *source)
        wide = values.astype(
            np.float64 if np.dtype(dtype).itemsize > 2 and dtype.kind != "f" else np.result_type(dtype, np.float32)
        )
        if missing is not None:
            wide[missing] = np.nan
        found = np.full(shape, np.nan, wide.dtype)
        reproject(
            wide, found,
            src_transform=self._own.affine @ Affine.translation(source[1].start, source[0].start),
            src_crs=str(self.part.grid.crs), src_nodata=np.nan,
            dst_transform=self.grid.affine @ Affine.translation(left, top),
            dst_crs=str(self.grid.crs), dst_nodata=np.nan,
            resampling=Resampling[self.method], num_threads=1, tolerance=SAME, **self._scales,
        )  # fmt: skip
        gone = ~np.isfinite(found) | (found <= np.finfo(found.dtype).min)  # the least of none is that, not NaN
        found[gone] = 0
        return (found if dtype.kind == "f" else np.rint(found)).astype(dtype), gone

    @cached_property
    def _side(self) -> int:
        """Rows and columns of a block: fewer where each pixel is made of many."""
        return max(32, BLOCK // max(1, round(1 / min(self._scales.values()))))

    @cached_property
    def _scales(self) -> dict[str, float]:
        """How wide GDAL's kernels are, which it would take from the size of each block otherwise."""
        height, width = self.grid.shape
        columns, rows = np.array([0.0, 1.0, 0.0]) + width / 2, np.array([0.0, 0.0, 1.0]) + height / 2
        places = self._places(columns, rows)
        steps = [float(np.hypot(*(place[1:] - place[0]))) for place in places]
        # Nearly as large is as large: a kernel that is stretched by a hundredth blurs and helps nobody.
        return {
            name: 1.0 if not np.isfinite(step) or step < _STRETCHED else 1.0 / step
            for name, step in zip(("XSCALE", "YSCALE"), steps, strict=True)
        }

    def _places(self, columns: Values, rows: Values) -> tuple[Values, Values]:
        """Give the columns and rows of the raster at those of the grid; not finite where there is no such place."""
        own = self._own
        x, y = self.grid.crs.transformer_to_crs(own.crs)(*(self.grid.affine @ (columns, rows)))
        if own.crs.geographic:
            middle, _ = own.affine @ (own.width / 2, own.height / 2)
            x = x + TURN * np.round((middle - x) / TURN)
        right, down = ~own.affine @ (x, y)
        return right, down

    def _source_of(self, window: Window, taps: int = 4) -> Window | None:
        """Find the window of the raster that a window of the grid is made of; None where there is none."""
        rows, columns = (np.linspace(part.start, part.stop, 33) for part in window)
        right, down = self._places(*(one.ravel() for one in np.meshgrid(columns, rows)))
        known = np.isfinite(right) & np.isfinite(down)
        if not known.any():
            return None
        right, down = right[known], down[known]
        found = []
        for places, length, part in zip((down, right), self.part.grid.shape, window, strict=True):
            stretch = max(1.0, float(np.ptp(places)) / max(part.stop - part.start, 1))
            margin = int(np.ceil(taps * stretch)) + 2 if taps else 0
            low, high = int(np.floor(places.min())) - margin, int(np.ceil(places.max())) + margin
            low, high = max(low, 0), min(high, length)
            if low >= high:
                return None
            found.append(slice(low, high))
        return found[0], found[1]


def _straight(source: GeoBox, grid: GeoBox) -> tuple[Along, Along] | None:
    """Say how rows and columns lie on those of another grid; None where they lie askew, or in another system."""
    if not are_one(source.crs, grid.crs):
        return None
    found = ~source.affine @ grid.affine
    height, width = grid.shape
    if abs(found.b) * height > SAME or abs(found.d) * width > SAME or not found.a or not found.e:
        return None
    return Along.of(found.e, found.f, height), Along.of(found.a, found.c, width)


def _inside(places: Values, length: int) -> slice:
    """Return which of places that run one way lie in a raster."""
    there = np.flatnonzero((places >= 0) & (places < length))
    return slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, 0)


def _taken(places: Values, length: int) -> Any:
    """Give places as a slice, where they are all in a row."""
    if places.size == length and np.array_equal(places, np.arange(length)):
        return slice(None)
    if places.size == length and np.array_equal(places, np.arange(length)[::-1]):
        return slice(None, None, -1)
    return places


def _pick(values: Values, rows: Any, columns: Any) -> Values:
    return values[:, rows][:, :, columns]


def _outside(nearest: tuple[Values, Values], shape: tuple[int, int]) -> Values | None:
    rows, columns = ((places < 0) | (places >= length) for places, length in zip(nearest, shape, strict=True))
    return rows[:, None] | columns[None, :] if rows.any() or columns.any() else None


def _span(places: Values, weights: Values, nearest: Values, length: int) -> tuple[int, int]:
    """Return the pixels that are needed."""
    used = places[weights != 0]
    near = nearest[(nearest >= 0) & (nearest < length)]
    return int(min(used.min(), near.min())), int(max(used.max(), near.max())) + 1


def _added(values: Values, places: Values, weights: Values, axis: int) -> Values:
    """Add up weighted pixels along an axis, tap by tap, so that a sum is the same in any window."""
    shape = (-1, 1) if axis == 1 else (1, -1)
    lengths = tuple(len(places) if i == axis else length for i, length in enumerate(values.shape))
    total = np.empty(lengths, values.dtype)
    part = _spare(lengths, values.dtype) if places.shape[1] > 1 else total
    for tap in range(places.shape[1]):
        out = part if tap else total
        np.take(values, places[:, tap], axis, out=out, mode="clip")  # without a copy of it, which "raise" makes
        out *= weights[:, tap].reshape(shape)
        if tap:
            total += out
    return total


_local = threading.local()


def _spare(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Values:
    """Give memory of this thread for numbers on their way: new memory costs more than what is done in it."""
    size = int(np.prod(shape)) * dtype.itemsize
    held: Values | None = getattr(_local, "spare", None)
    if held is None or held.nbytes < size:
        held = _local.spare = np.empty(size, np.uint8)
    made: Values = held[:size].view(dtype).reshape(shape)
    return made


def _largest(values: Values, missing: Values | None, down: Any, right: Any) -> Read:
    """Return the largest number that is there."""
    lowest = -np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).min
    there = np.ones(values.shape, bool) if missing is None else ~missing
    values = values.copy()
    values[~there] = lowest
    for (places, used), axis, shape in ((down, 1, (-1, 1)), (right, 2, (1, -1))):
        best = known = None
        for tap in range(places.shape[1]):
            use = used[:, tap].reshape(shape)
            here = np.where(use, values.take(places[:, tap], axis), lowest).astype(values.dtype)
            held = there.take(places[:, tap], axis) & use
            best = here if best is None else np.maximum(best, here)
            known = held if known is None else known | held
        values, there = best, known  # type: ignore[assignment]
    gone = ~there
    values[gone] = 0
    return values, gone if gone.any() else None
