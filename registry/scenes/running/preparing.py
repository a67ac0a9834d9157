"""What is read of a scene, as a batch for a model: reflected at the edges, holes filled, scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.signature import TIME
from modelstac.registry.running.values.scaling import AXES
from modelstac.registry.scenes.rasters import Block
from modelstac.registry.scenes.running.axes import Axes
from modelstac.registry.scenes.running.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from modelstac.registry.running.signature import Runnable, TensorSignature
    from modelstac.registry.scenes.rasters import Source, Window

    Values = np.ndarray[Any, Any]


PART = 256
"""Rows and columns of the parts of a window that are read alone where it cannot be read whole."""


@dataclass(frozen=True)
class Tile:
    """A tile of an input as it was read.

    Parameters
    ----------
    values
        What the model reads of it, without batch.
    missing
        Row and column of its grid where there is nothing; None if all is there.
    """

    values: Values
    missing: Values | None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all."""
        return self.missing is not None and bool(self.missing.all())


class Preparing:
    """Reads tiles of one input.

    Parameters
    ----------
    model
        The model.
    tensor
        The input.
    source
        The scene.
    fill
        Physical value for pixels where there is nothing. By default what the item says stands for nothing in each band
        (``nodata``), as the model saw it in training; where it says nothing, 0 after scaling, which is the mean where
        values are standardised. An input that is fed gaps gets NaN, and what has some of its bands is not missing.
    lost
        Is told of a window of which a part cannot be read: that part is missing then, and the rest is read. Without it,
        and of a window of which nothing can be read, it is an error.
    """

    def __init__(
        self,
        model: Runnable,
        tensor: TensorSignature,
        source: Source,
        fill: float | None,
        lost: Callable[[DataError], None] | None = None,
    ) -> None:
        self.tensor, self._source, self._lost = tensor, source, lost
        self.axes = Axes.of(tensor)
        self.scaling = Scaling(model, tensor)
        self._gaps_fed = tensor.gaps and fill is None
        self._fills = [fill] if fill is not None else None if tensor.gaps else _nodata(model, tensor)
        self._partly = False

    @property
    def note(self) -> str:
        """Say that pixels are there in part alone, which are in the map; nothing where there were none so far."""
        if not self._partly:
            return ""
        if self._gaps_fed:
            return f"input {self.tensor.name!r}: some pixels lack some of its values, and it is fed NaN for these"
        what = "0 after scaling" if self._fills is None else ", ".join(f"{number:g}" for number in self._fills)
        return (
            f"input {self.tensor.name!r}: some pixels have nothing at some of its times, and are read as {what} at "
            "these (--fill names another number)"
        )

    def read(self, rows: Values, columns: Values) -> Tile:
        """Read what lies at these rows and columns of the grid, which may be there twice, reflected.

        Raises
        ------
        DataError
            If it cannot be read.
        """
        window = (slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1))
        block = self._block(window)
        y, x = self.axes.of_sample
        values, missing = np.asarray(block.values), block.missing
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                missing = ~finite if missing is None else missing | ~finite
        if missing is not None and not missing.any():
            missing = None
        if missing is not None:
            values = self._filled(values, missing, own=block.own)
        made = self.scaling.apply(values, own=block.own)
        if missing is not None and self._fills is None:
            np.copyto(made, made.dtype.type(np.nan if self._gaps_fed else 0), where=missing)
        gaps = None if missing is None else self._gaps(missing)
        for axis, positions, part in ((y, rows, window[0]), (x, columns, window[1])):
            if not _runs_through(positions, part):
                made = made.take(positions - part.start, axis)
                gaps = None if gaps is None else gaps.take(positions - part.start, 0 if axis == y else 1)
        return Tile(made, gaps)

    def _block(self, window: Window) -> Block:
        try:
            return self._source.read(self.tensor.name, window)
        except DataError as error:
            if self._lost is None or (found := self._salvaged(window)) is None:
                raise
            self._lost(error)
            return found

    def _salvaged(self, window: Window) -> Block | None:
        """Read what can be read of a window, part by part; None where nothing can."""
        parts = [(part, block) for part, block in self._parts(window) if block is not None]
        if not parts:
            return None
        shape, (y, x) = list(parts[0][1].values.shape), self.axes.of_sample
        shape[y], shape[x] = (one.stop - one.start for one in window)
        values = np.zeros(shape, np.result_type(*(block.values for _, block in parts)))
        missing = np.ones(shape, bool)
        for part, block in parts:
            at: list[Any] = [slice(None)] * values.ndim
            for axis, one, whole in zip((y, x), part, window, strict=True):
                at[axis] = slice(one.start - whole.start, one.stop - whole.start)
            values[tuple(at)] = block.values
            missing[tuple(at)] = False if block.missing is None else block.missing
        return Block(values, missing, own=True)

    def _parts(self, window: Window) -> Iterator[tuple[Window, Block | None]]:
        """Halve a window that cannot be read, until a part can be, or is small."""
        longest = sorted((0, 1), key=lambda side: window[side].start - window[side].stop)
        found = ((side, _at_block(window[side].start, window[side].stop)) for side in longest)
        side, middle = next(((side, middle) for side, middle in found if middle is not None), (0, None))
        if middle is None:
            yield window, None
            return
        for half in (slice(window[side].start, middle), slice(middle, window[side].stop)):
            part = (half, window[1]) if side == 0 else (window[0], half)
            try:
                yield part, self._source.read(self.tensor.name, part)
            except DataError:
                yield from self._parts(part)

    def _filled(self, values: Values, missing: Values, *, own: bool) -> Values:
        """Write a physical value where there is nothing, so that scaling sees numbers only."""
        fills = np.asarray(self._fills or [0.0])
        if values.dtype.kind in "iu" and not np.array_equal(fills.astype(values.dtype), fills):
            values = values.astype(np.result_type(values.dtype, np.float32))
        fills = fills.astype(values.dtype)
        if len(fills) > 1:
            shape = [1] * values.ndim
            shape[self._bands] = len(fills)
            fills = fills.reshape(shape)
        if not own:
            return np.where(missing, fills, values)
        np.copyto(values, fills, where=missing)
        return values

    @property
    def _bands(self) -> int:
        return next(i for i, dim in enumerate(self.scaling.dims) if dim in AXES)

    def _gaps(self, missing: Values) -> Values:
        """Say of which pixels there is nothing: of any band, at all times; of what is fed gaps, of all bands."""
        y, x = self.axes.of_sample
        rest = [i for i in range(missing.ndim) if i not in {y, x}]
        times = [i for i in rest if self._gaps_fed or (i < len(self.scaling.dims) and self.scaling.dims[i] == TIME)]
        found = missing.any(axis=tuple(i for i in rest if i not in times), keepdims=True)
        gone: Values = found.all(axis=tuple(times), keepdims=True)
        self._partly = self._partly or bool((found & ~gone).any())
        if y > x:
            return gone.reshape(missing.shape[x], missing.shape[y]).T
        return gone.reshape(missing.shape[y], missing.shape[x])


def _at_block(begin: int, end: int) -> int | None:
    """Give the edge of a part next to the middle; None where there is none between the ends."""
    middle = round((begin + end) / 2 / PART) * PART
    inside = [edge for edge in (middle, middle - PART, middle + PART) if begin < edge < end]
    return inside[0] if inside else None


def _runs_through(positions: Values, part: slice) -> bool:
    return len(positions) == part.stop - part.start and bool(positions[0] == part.start)


def _nodata(model: Runnable, tensor: TensorSignature) -> list[float] | None:
    """Give what an item says stands for nothing in the bands of an input; None unless it says so of all."""
    from modelstac.registry.running.bands import band_entries, listed

    source = next(source for source in model.description.inputs if source.name == tensor.name)
    said: Mapping[str, Any] = {
        str(entry.get("name", "")): entry["nodata"]
        for entry in band_entries(model.item)
        if isinstance(entry.get("nodata"), int | float) and not isinstance(entry["nodata"], bool)
    }
    names: Sequence[str] = listed(source)
    found = [float(said[name]) for name in names if name in said]
    if not found or len(found) < len(names) or not np.isfinite(found).all():
        return None
    return found if any(dim in AXES for dim in tensor.dim_order) or len(found) == 1 else None
