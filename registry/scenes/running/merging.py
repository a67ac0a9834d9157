"""What a model gave of tiles becomes pixels of layers: cut where tiles are right, or blended where none is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from modelstac.catalog.errors import DataError

if TYPE_CHECKING:
    from modelstac.registry.scenes.rasters import Window
    from modelstac.registry.scenes.running.cutting import Cutting
    from modelstac.registry.scenes.running.planning import Plan
    from modelstac.registry.scenes.running.preparing import Tile

    Values = np.ndarray[Any, Any]
    Write = Callable[[int, Window, Values], None]


@dataclass(frozen=True)
class Made:
    """A group of tiles: what was read, and what the model gave of those that are not empty.

    Parameters
    ----------
    number
        Of the group.
    tiles
        Row and column of each.
    read
        By input, each tile as it was read, without the values; None for one that could not be read.
    places
        Which of the tiles were run, in the order of the samples.
    outputs
        By output: sample, others, row, column.
    """

    number: int
    tiles: Sequence[tuple[int, int]]
    read: Sequence[Mapping[str, Tile] | None]
    places: Sequence[int]
    outputs: Mapping[str, Values]


class Merging(Protocol):
    """How tiles are merged."""

    def take(self, made: Made) -> Sequence[int]:
        """Take a group of tiles, and say which groups' pixels are all written now."""
        ...


class Cropping:
    """Writes of every tile what is right of it, at once."""

    def __init__(self, plan: Plan, write: Write) -> None:
        self._plan, self._write = plan, write
        self._shares = {n: (plan.rows.shares(n), plan.columns.shares(n)) for n in plan.recipes}

    def take(self, made: Made) -> Sequence[int]:
        """Write a group of tiles."""
        plan = self._plan
        for number, (name, recipe) in enumerate(plan.recipes.items()):
            layer, (rows, columns) = plan.layers[name], self._shares[name]
            for place, (row, column) in enumerate(made.tiles):
                y, x = rows[row], columns[column]
                if not y.length or not x.length:
                    continue
                window = (y.place, x.place)
                if place not in made.places:
                    empty = np.full((len(layer.bands), y.length, x.length), layer.nodata, layer.dtype)
                    self._write(number, window, empty)
                    continue
                sample = made.outputs[name][made.places.index(place)]
                check(name, sample, plan)
                read = made.read[place]
                assert read is not None
                missing = gaps(plan, name, read, (y.local, x.local))
                values = sample[..., y.local, x.local]
                self._write(number, window, recipe.finished(values, missing, layer))
        return (made.number,)


class Blending:
    """Adds scores of overlapping tiles by weights that are 1 together, and writes rows to which nothing more comes.

    It holds the scores of one row of tiles. Weights are products of one for rows and one for columns, so that nothing
    else is to be summed, and no division comes after.
    """

    def __init__(self, plan: Plan, write: Write, done: Collection[int] = ()) -> None:
        self._plan, self._write, self._done = plan, write, frozenset(done)
        self._sums: dict[str, Values] = {}
        self._gone: dict[str, Values] = {}
        self._weights = {n: (plan.rows.weights(n), plan.columns.weights(n)) for n in plan.recipes}
        self._ranges = {n: (plan.rows.ranges(n), plan.columns.ranges(n)) for n in plan.recipes}
        self._per_row = len(plan.groups) // len(plan.rows.starts)

    def take(self, made: Made) -> Sequence[int]:
        """Add a group of tiles; write what the last of a row of tiles completes."""
        row = made.tiles[0][0]
        for number, name in enumerate(self._plan.recipes):
            for place, (_, column) in enumerate(made.tiles):
                self._add(name, made, place, row, column)
            if made.tiles[-1][1] == len(self._plan.columns.starts) - 1:
                self._flush(number, name, row)
        if made.tiles[-1][1] < len(self._plan.columns.starts) - 1:
            return ()
        first = row * self._per_row
        return range(first, first + self._per_row)

    def _add(self, name: str, made: Made, place: int, row: int, column: int) -> None:
        y, x = self._ranges[name][0][row], self._ranges[name][1][column]
        gone = self._rows_of(name, self._gone, (), bool, fill=False)
        above = self._begin(name, row)
        at = (slice(y.begin - above, y.begin - above + y.length), x.place)
        read = made.read[place]
        if place not in made.places or read is None:
            gone[at] = True
            return
        sample = made.outputs[name][made.places.index(place)]
        check(name, sample, self._plan)
        missing = gaps(self._plan, name, read, (y.local, x.local))
        sums = self._rows_of(name, self._sums, sample.shape[:-2], np.float32, fill=0)
        weight = self._weights[name][0][row][:, None] * self._weights[name][1][column]
        sums[..., at[0], at[1]] += sample[..., y.local, x.local] * weight
        if missing is not None:
            gone[at] |= missing

    def _rows_of(self, name: str, kept: dict[str, Values], bands: tuple[int, ...], dtype: Any, *, fill: Any) -> Values:
        if name not in kept:
            height = max(one.length for one in self._ranges[name][0])
            kept[name] = np.full((*bands, height, self._plan.columns.result(name)[1]), fill, dtype)
        return kept[name]

    def _begin(self, name: str, row: int) -> int:
        return self._ranges[name][0][row].begin

    def _flush(self, number: int, name: str, row: int) -> None:
        """Write rows that no later tile reaches, and move the others up."""
        plan, layer = self._plan, self._plan.layers[name]
        ranges, begin = self._ranges[name][0], self._begin(name, row)
        last = row + 1 == len(ranges)
        end = ranges[row].place.stop if last else ranges[row + 1].begin
        count, width = end - begin, plan.columns.result(name)[1]
        gone, sums = self._gone[name], self._sums.get(name)
        if row * self._per_row in self._done:
            values = None  # it is there, and what is above this row was not summed again
        elif sums is None:
            values = np.full((len(layer.bands), count, width), layer.nodata, layer.dtype)
        else:
            values = plan.recipes[name].finished(sums[..., :count, :].copy(), gone[:count], layer)
        if values is not None:
            self._write(number, (slice(begin, end), slice(0, width)), values)
        for kept, nothing in ((sums, 0), (gone, False)):
            if kept is not None:
                rest = kept.shape[-2] - count
                kept[..., :rest, :] = kept[..., count:, :].copy()
                kept[..., rest:, :] = nothing


def first_group(plan: Plan, done: set[int]) -> list[int]:
    """Say which groups are to be run: those that are not done, and where scores are blended, what they blend with."""
    numbers = range(len(plan.groups))
    if not plan.overlap:
        return [number for number in numbers if number not in done]
    per_row = len(plan.groups) // len(plan.rows.starts)
    row = next((n for n in range(len(plan.rows.starts)) if n * per_row not in done), None)
    if row is None:
        return []
    begin = row
    while begin and any(
        plan.rows.ranges(name)[begin - 1].place.stop > plan.rows.ranges(name)[row].begin for name in plan.recipes
    ):
        begin -= 1
    return list(range(begin * per_row, len(plan.groups)))


def check(name: str, sample: Values, plan: Plan) -> None:
    """Refuse an output that has another size than was made room for."""
    wanted = tuple(
        floor(cut.needs.follows[name][0] * (cut.tile - 2 * cut.needs.follows[name][1]))
        for cut in (plan.rows, plan.columns)
    )
    bands = len(plan.layers[name].bands)
    if sample.shape[-2:] != wanted:
        raise DataError(
            f"output {name!r} of a tile has {list(sample.shape[-2:])} rows and columns, not {list(wanted)}: the item "
            "does not say how its size follows from the input's; describe it anew, modelstac adopt or publish"
        )
    if not any(step.name == "argmax" for step in plan.recipes[name].steps):
        found = int(np.prod(sample.shape[:-2]))
        if found != bands:
            raise DataError(f"output {name!r} of a tile has {found} bands, not {bands} as its item says")


def gaps(plan: Plan, name: str, read: Mapping[str, Tile], local: tuple[slice, slice]) -> Values | None:
    """Say which pixels of a part of an output have nothing under them, in any of the inputs: under their centre."""
    found: Values | None = None
    for tensor, tile in read.items():
        if tile.missing is None:
            continue
        places = [
            _under(cut, name, tensor, part, length)
            for cut, part, length in zip((plan.rows, plan.columns), local, tile.missing.shape, strict=True)
        ]
        one = tile.missing[np.ix_(*places)]
        found = one if found is None else found | one
    return found


def _under(cut: Cutting, name: str, tensor: str, part: slice, length: int) -> Values:
    ratio, begin = cut.needs.follows[name]
    pixels = cut.needs.pixels[tensor]
    if (ratio, begin) == (Fraction(pixels), Fraction(0)):
        return np.arange(part.start, part.stop)
    centres = np.arange(part.start, part.stop) + 0.5
    found = (float(begin) + centres / float(ratio)) * pixels
    places: Values = np.clip(np.floor(found).astype(np.int64), 0, length - 1)
    return places
