"""Runs a plan: one thread reads and scales, the caller's computes, one finishes and keeps what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.registry.scenes.running.axes import Axes, pixels_as_samples
from modelstac.registry.scenes.running.merging import Blending, Cropping, Made, first_group
from modelstac.registry.scenes.running.planning import PIXELS
from modelstac.registry.scenes.running.preparing import Preparing, Tile
from modelstac.registry.scenes.running.store import Stored
from modelstac.registry.scenes.running.stretching import Stretched
from modelstac.registry.scenes.running.threads import Ahead, Behind

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model
    from modelstac.registry.scenes.rasters import Raster, Source
    from modelstac.registry.scenes.running.merging import Merging
    from modelstac.registry.scenes.running.options import Options
    from modelstac.registry.scenes.running.planning import Plan
    from modelstac.registry.scenes.running.store import Store

    Values = np.ndarray[Any, Any]
    Arrays = dict[str, Values]

TASK = "tiles"


def run_plan(
    model: Model, source: Source, plan: Plan, store: Store, options: Options, *, report: Report = ignore
) -> list[Raster]:
    """Run a model over a scene, and give its layers once all of their pixels are kept.

    Parameters
    ----------
    model, source, plan
        What runs on what, and how.
    store
        Where finished tiles are kept; those that are there already are not run again.
    options
        What the user said.
    report
        Gets a step for every tile.

    Raises
    ------
    DataError
        If a tile cannot be read, or the model fails on one.
    StorageError
        If finished tiles cannot be kept.
    """
    pending = first_group(plan, store.done)
    merging: Merging
    merging = Blending(plan, store.write, store.done) if plan.overlap else Cropping(plan, store.write)
    reading = _Reading(model, source, plan, options, store=store, report=report)
    groups = plan.groups
    report(Started(TASK, plan.tiles))
    report(Advanced(TASK, plan.tiles - sum(len(groups[number]) for number in pending)))

    ran = len(pending) < len(groups)  # of tiles that were done before nobody knows

    def take(made: Made) -> None:
        nonlocal ran
        ran = ran or bool(made.places)
        complete = merging.take(made)
        # Before they are finished: who goes on after a break does not see them again.
        _tell_odd_labels(plan, store, report)
        for note in reading.notes:
            if note not in store.notes:
                _tell(note, store, report)
        for number in complete:
            if number not in store.done:
                store.finish(number)
        report(Advanced(TASK, len(made.tiles)))

    with Ahead(reading.groups(pending)) as parts, Behind(take) as written:
        for number, tiles, read in parts:
            written.give(_made(model, plan, number, tiles, read))
    report(Finished(TASK))
    if not ran:
        text = "masked: everything, as no pixel of the scene has all that the model reads: see its nodata and masks"
        _tell(text, store, report)
    rasters: list[Raster] = []
    for number, (name, recipe) in enumerate(plan.recipes.items()):
        layer = plan.layers[name]
        stored = Stored(store, number, layer)
        rasters.append(stored if recipe.stretched is None else Stretched(stored, recipe.stretched.numbers))
    return rasters


def _tell(text: str, store: Store, report: Report) -> None:
    """Tell a note, and keep it for the map."""
    report(Note(text))
    store.note(text)


def _tell_odd_labels(plan: Plan, store: Store, report: Report) -> None:
    """Say once of each output that labels of it were masked."""
    for name, recipe in plan.recipes.items():
        begin = f"masked: labels of {name!r} that are none of its classes"
        if recipe.odd and not any(note.startswith(begin) for note in store.notes):
            _tell(f"{begin}, such as {min(recipe.odd)}", store, report)


Read = tuple[int, Sequence[tuple[int, int]], list[dict[str, Tile] | None]]


class _Reading:
    """Reads groups of tiles, in the thread that it is iterated in."""

    def __init__(
        self, model: Model, source: Source, plan: Plan, options: Options, *, store: Store, report: Report
    ) -> None:
        self._plan, self._store, self._report, self._skip = plan, store, report, options.skip_errors
        lost = partial(self._told, "masked in part") if options.skip_errors else None
        self._inputs = [Preparing(model, tensor, source, options.fill, lost) for tensor in plan.inputs]
        self._groups = plan.groups

    @property
    def notes(self) -> list[str]:
        """What is to be said of what was read so far."""
        return [one.note for one in self._inputs if one.note]

    def groups(self, numbers: Sequence[int]) -> Iterator[Read]:
        for number in numbers:
            tiles = self._groups[number]
            yield number, tiles, [self._tile(row, column) for row, column in tiles]

    def _tile(self, row: int, column: int) -> dict[str, Tile] | None:
        plan = self._plan
        try:
            return {
                one.tensor.name: one.read(
                    plan.rows.positions(one.tensor.name, row), plan.columns.positions(one.tensor.name, column)
                )
                for one in self._inputs
            }
        except DataError as error:
            if not self._skip:
                raise
            self._told("masked", error)
            return None

    def _told(self, what: str, error: DataError) -> None:
        _tell(f"{what}: {' '.join(str(error).split())}", self._store, self._report)


def _made(
    model: Model, plan: Plan, number: int, tiles: Sequence[tuple[int, int]], read: list[dict[str, Tile] | None]
) -> Made:
    """Run the model on the tiles of a group that are not empty."""
    places = [i for i, one in enumerate(read) if one is not None and not any(t.is_empty for t in one.values())]
    filled = [one for i in places if (one := read[i]) is not None]
    outputs: Mapping[str, Values] = {}
    if filled:
        outputs = _on_pixels(model, plan, filled[0]) if plan.of_pixels else _on_images(model, plan, filled)
    kept = [None if one is None else {n: replace(t, values=_NONE) for n, t in one.items()} for one in read]
    return Made(number, tiles, kept, places, outputs)


_NONE = np.empty(0)


def _on_images(model: Model, plan: Plan, tiles: Sequence[Mapping[str, Tile]]) -> Arrays:
    arrays = {}
    for tensor in plan.inputs:
        axes, samples = Axes.of(tensor), [tile[tensor.name].values for tile in tiles]
        if axes.batch is not None and tensor.sizes[axes.batch].is_fixed:  # as many as it takes, the last again
            samples += [samples[-1]] * (tensor.sizes[axes.batch].at_least - len(samples))
        arrays[tensor.name] = axes.stacked(samples)
    found = {}
    for name, array in model.run(arrays, finite=False).items():
        axes = plan.recipes[name].axes
        values = axes.bands_first(array)
        found[name] = values if axes.is_image else values[..., None, None]
    return found


def _on_pixels(model: Model, plan: Plan, tile: Mapping[str, Tile]) -> Arrays:
    """Run a model without rows and columns on every pixel, as many at a time as it takes or as are of use."""
    tensors = {tensor.name: tensor for tensor in plan.inputs}
    shape = next(iter(tile.values())).values.shape[-2:]
    count = shape[0] * shape[1]
    samples = {name: pixels_as_samples(tile[name].values, Axes.of(tensor)) for name, tensor in tensors.items()}
    at_once = PIXELS
    for tensor in tensors.values():
        axis = Axes.of(tensor).batch
        size = None if axis is None else tensor.sizes[axis]
        at_once = min(at_once, 1 if size is None else size.at_least if size.is_fixed else size.at_most or at_once)
    parts: dict[str, list[Values]] = {name: [] for name in plan.recipes}
    for begin in range(0, count, at_once):
        end = min(begin + at_once, count)
        arrays = {
            name: _pixels(samples[name], Axes.of(tensor), begin, end, at_once) for name, tensor in tensors.items()
        }
        for name, array in model.run(arrays, finite=False).items():
            if name in parts:
                parts[name].append(plan.recipes[name].axes.bands_first(array)[: end - begin])
    found = {}
    for name, made in parts.items():
        values = np.concatenate(made)
        found[name] = np.moveaxis(values, 0, -1).reshape(1, *values.shape[1:], *shape)
    return found


def _pixels(samples: Values, axes: Axes, begin: int, end: int, at_once: int) -> Values:
    if axes.batch is None:
        one: Values = samples[begin]
        return one
    axis = axes.batch
    part: Values = samples[(slice(None),) * axis + (slice(begin, end),)]
    if end - begin < at_once < samples.shape[axis]:  # the last ones, as many as the others: some models want that
        part = np.concatenate([part, np.repeat(part.take([-1], axis), at_once - (end - begin), axis)], axis)
    return part
