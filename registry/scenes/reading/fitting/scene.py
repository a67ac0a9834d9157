"""A scene that is open: windows of it in the layout of a model's inputs, from any number of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.grids import image_axis
from modelstac.registry.running.labels.units import converted
from modelstac.registry.running.signature import TIME
from modelstac.registry.running.values.scaling import AXES
from modelstac.registry.scenes.rasters import Block
from modelstac.registry.scenes.reading.fitting.meaning import Meaning
from modelstac.registry.scenes.reading.fitting.resampling import Onto

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

    from modelstac.registry.scenes.rasters import Window
    from modelstac.registry.scenes.reading.finding.parts import Values


_TOLD = 64
"""Least number of pixels that tell powers from decibels."""
_SHARE = 2.0
"""Largest number that is taken for a share, such as a reflectance."""


@dataclass(frozen=True)
class Layer:
    """Bands of one raster, as an input reads them at one time."""

    onto: Onto
    numbers: tuple[int, ...]
    meanings: tuple[Meaning, ...]

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of what is read."""
        found = np.result_type(*(self.onto.dtype(number) for number in self.numbers))
        if not self._changes or found.kind == "f":
            return found
        return np.dtype(np.float32 if found.itemsize <= 2 else np.float64)

    @cached_property
    def is_mixed(self) -> bool:
        """Whether its fractions lie between whole numbers that are stored, and say nothing of what these mean."""
        stored = [np.dtype(self.onto.part.stored[number].dtype) for number in self.numbers]
        return not self._changes and all(dtype.kind in "iub" for dtype in stored)

    @property
    def is_plain(self) -> bool:
        """Whether its numbers are stored ones: an offset, or a kernel that overshoots, leaves a range by a little."""
        return not self._changes and (self.onto.is_direct or self.onto.method not in ("cubic", "lanczos"))

    @property
    def _changes(self) -> bool:
        return any(meaning.changes or meaning.units for meaning in self.meanings)

    def read(self, window: Window) -> tuple[Values, Values | None]:
        """Read a window: physical values (band, row, column), and where there are none."""
        values, missing = self.onto.read(self.numbers, window)
        if self.dtype != values.dtype:
            values = values.astype(self.dtype)
        for place, meaning in enumerate(self.meanings):
            band = values[place]
            if meaning.decibels:
                self._check_decibels(band, None if missing is None else missing[place])
            if meaning.scale != 1.0:
                band *= self.dtype.type(meaning.scale)
            if meaning.offset:
                band += self.dtype.type(meaning.offset)
            if meaning.units is not None:
                import xarray as xr

                array = xr.DataArray(band, dims=("y", "x"))
                with np.errstate(invalid="ignore", divide="ignore"):
                    band[...] = converted(array, *meaning.units, of=self.onto.part.name).values
                gone = ~np.isfinite(band)
                if gone.any():  # no logarithm of zero
                    missing = np.zeros(values.shape, bool) if missing is None else missing
                    missing[place] |= gone
        return values, missing

    def _check_decibels(self, band: Values, missing: Values | None) -> None:
        """Refuse powers, none of which is below zero and most of which are below one: of decibels most are negative."""
        there = band[np.isfinite(band) if missing is None else ~missing & np.isfinite(band)]
        if there.size >= _TOLD and there.min() >= 0 and np.median(there) < 1:
            raise DataError(
                f"{self.onto.part.name} has numbers such as {np.median(there):.3g} and says no unit, and the model "
                "reads decibels: say its unit in its item (1 of power, dB), or --physical if they are decibels"
            )


@dataclass(frozen=True)
class Group:
    """Bands of an input at a time that are read together; of several layers, the first that has a number counts."""

    step: int
    places: tuple[int, ...]
    layers: tuple[Layer, ...]

    def read(self, window: Window) -> tuple[Values, Values | None]:
        """Read a window."""
        values, missing = self.layers[0].read(window)
        for layer in self.layers[1:]:
            if missing is None:
                break
            more, lacks = layer.read(window)
            take = missing if lacks is None else missing & ~lacks
            if take.any():
                values = values.astype(np.result_type(values, more), copy=False)
                values[take] = more[take]
                missing = missing & ~take
        return values, missing if missing is not None and missing.any() else None

    def check_counts(self, values: Values, missing: Values | None, whole: str) -> None:
        """Refuse reflectances, of which rounding would leave zeros and ones, and numbers that the type does not hold.

        Raises
        ------
        DataError
            If nothing says how they become whole numbers.
        """
        if all(layer.is_mixed for layer in self.layers):  # of whole numbers, which fit or are refused as they are read
            return
        there = values[np.isfinite(values) if missing is None else ~missing & np.isfinite(values)]
        if not there.size:
            return
        limits, low, high = np.iinfo(whole), float(there.min()), float(there.max())
        if all(layer.is_plain for layer in self.layers) and not limits.min - 0.5 <= low <= high <= limits.max + 0.5:
            raise DataError(
                f"{self.layers[0].onto.part.name} has numbers from {low:.5g} to {high:.5g}, and the model reads "
                f"{whole}: say by what they become such, --scale, or name another scene"
            )
        if max(abs(low), abs(high)) > _SHARE or (there == np.rint(there)).all():
            return
        example = there[there != np.rint(there)][0]
        raise DataError(
            f"{self.layers[0].onto.part.name} has fractions such as {example:.3g}, and the model reads whole numbers "
            f"({whole}): say by what they become such, --scale 10000 of reflectances, or --stored to have them rounded"
        )


@dataclass(frozen=True)
class Feed:
    """All that an input reads.

    Parameters
    ----------
    dim_order
        Dimensions of what is given, without batch: the model's, and rows and columns at the end where it has none.
    groups
        What is read.
    steps, bands
        How many times and bands there are.
    fills
        What stands where nothing is, for each band.
    whole
        Type of whole numbers that values are rounded to; None where they may have fractions.
    shares
        Whether fractions up to 2 are taken as they are, and not refused where whole numbers are read.
    """

    dim_order: tuple[str, ...]
    groups: tuple[Group, ...]
    steps: int
    bands: int
    fills: tuple[float, ...]
    whole: str | None = None
    shares: bool = True

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of its values."""
        return np.result_type(*(layer.dtype for group in self.groups for layer in group.layers))

    def read(self, window: Window) -> Block:
        """Read a window in the layout of the input."""
        rows, columns = (part.stop - part.start for part in window)
        values, view = self._empty(rows, columns, self.dtype)
        missing = hidden = None
        for group in self.groups:
            found, gone = group.read(window)
            if self.whole is not None and not self.shares and found.dtype.kind == "f":
                group.check_counts(found, gone, self.whole)
            for index, place in enumerate(group.places):
                view[group.step, place] = found[index]
                if gone is not None and gone[index].any():
                    if hidden is None:
                        missing, hidden = self._empty(rows, columns, np.dtype(bool))
                        missing[...] = False
                    hidden[group.step, place] = gone[index]
        if hidden is not None:
            for place, fill in enumerate(self.fills):
                view[:, place][hidden[:, place]] = fill
        return Block(self._rounded(values), missing, own=True)

    def empty(self, window: Window) -> Block:
        """Give a window of which nothing could be read."""
        rows, columns = (part.stop - part.start for part in window)
        values, view = self._empty(rows, columns, self.dtype)
        for place, fill in enumerate(self.fills):
            view[:, place] = fill
        return Block(self._rounded(values), np.ones(values.shape, bool))

    def _empty(self, rows: int, columns: int, dtype: np.dtype[Any]) -> tuple[Values, Values]:
        """Make room in the layout of the input, and give the same memory as time, band, row, column."""
        lengths = {TIME: self.steps, "y": rows, "x": columns}
        axes = [image_axis(dim) or (TIME if dim == TIME else "band" if dim in AXES else dim) for dim in self.dim_order]
        values = np.empty([lengths.get(axis, self.bands if axis == "band" else 1) for axis in axes], dtype)
        view, places = values, list(axes)
        for axis in (TIME, "band"):
            if axis not in places:
                view, places = view[..., None], [*places, axis]
        order = [places.index(axis) for axis in (TIME, "band", "y", "x")]
        rest = [place for place in range(len(places)) if place not in order]
        view = view.transpose(*order, *rest)
        for _ in rest:  # others are of length one
            view = view[..., 0]
        return values, view

    def _rounded(self, values: Values) -> Values:
        if self.whole is None or values.dtype.kind != "f":
            return values
        limits = np.iinfo(self.whole)
        return np.clip(np.rint(values), limits.min, limits.max).astype(self.whole)


@dataclass
class Scene:
    """A scene as a model reads it; see :class:`modelstac.registry.scenes.rasters.Source`.

    Attributes
    ----------
    ends
        By input, when those of its times ended that are of a period.
    sensors
        What items call platform, constellation and instruments, by field.
    skipped
        What could not be read and was taken for missing, one line each.
    """

    grids: Mapping[str, GeoBox]
    notes: Sequence[str]
    identity: Mapping[str, Any]
    origins: Sequence[pystac.Link]
    feeds: Mapping[str, Feed]
    skip_errors: bool = False
    times: Mapping[str, Sequence[np.datetime64 | None]] = field(default_factory=dict)
    ends: Mapping[str, Sequence[np.datetime64 | None]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    sensors: Mapping[str, Collection[str]] = field(default_factory=dict)
    on_close: Callable[[], None] = field(default=lambda: None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self, name: str, window: Window) -> Block:
        """Read a window of the grid of an input; from any number of threads.

        Raises
        ------
        DataError
            If there is no such input or window, or it cannot be read; it names the file and the window.
        """
        if name not in self.feeds:
            raise DataError(f"the scene was opened for the inputs {', '.join(self.feeds)}, not {name!r}")
        window = self._checked(name, window)
        try:
            return self.feeds[name].read(window)
        except DataError as error:
            if not self.skip_errors:
                raise
            with self._lock:
                if str(error) not in self.skipped:
                    self.skipped.append(str(error))
            return self.feeds[name].empty(window)

    def close(self) -> None:
        """Close the files of all threads; none may read meanwhile, and who reads later opens them anew."""
        self.on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checked(self, name: str, window: Window) -> Window:
        shape = self.grids[name].shape
        found = []
        for part, length in zip(window, shape, strict=True):
            start, stop = part.start or 0, length if part.stop is None else part.stop
            if not 0 <= start < stop <= length or part.step not in (None, 1):
                raise DataError(
                    f"the window {window} is none of the grid of {name!r}, which has {shape[0]} x {shape[1]} pixels"
                )
            found.append(slice(start, stop))
        return found[0], found[1]
