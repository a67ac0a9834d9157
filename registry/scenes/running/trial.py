"""What a pixel costs: memory and time of one small tile of zeros, before a scene is cut."""

from __future__ import annotations

import time
from dataclasses import replace
from math import ceil, log2, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.batch import BatchAxes, batch_difference
from modelstac.registry.running.memory import give_free_back
from modelstac.registry.scenes.running.axes import Axes
from modelstac.registry.scenes.running.options import Cost, Options
from modelstac.registry.scenes.running.planning import NOT_RUN, make_plan, open_bands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelstac.registry.running.signature import Runnable, TensorSignature
    from modelstac.registry.scenes.rasters import Source
    from modelstac.registry.scenes.running.planning import Plan

SIDE = 192
"""Of the tile that is tried; smaller ones tell as much, but leave memory so cut that later tiles take more of it."""
LEAST_TIMES = 16.0
"""A model holds at least so many times what goes in and comes out; what it held before is not seen to grow."""
SHARE = 0.5
"""Of the memory that is free, this much may be used where nobody says."""
_PLACES = 16
"""Pixels from one corner to the other that are tried where some cannot be read."""
MOST = 580 << 20
"""Bytes for tiles where nobody says, however much is free."""
_known: WeakKeyDictionary[Runnable, dict[tuple[tuple[str, float], ...], float]] = WeakKeyDictionary()
"""What was measured, as long as the model is loaded: bytes a pixel, by how many values of each input it has."""


def free_memory() -> int:
    """Give the bytes for tiles where the user says nothing: a share of what is free, and never more than is of use."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return MOST
    return min(MOST, int(free * SHARE))


def seen_bands(model: Runnable, source: Source, options: Options) -> dict[str, list[int]]:
    """Run a small tile where an item leaves open how many bands an output has, and give how many there are."""
    if not (guessed := open_bands(model)):
        return {}
    small = Options("none", tile=64, batch=1, blend=options.blend, per_tile=options.per_tile)
    plan = make_plan(model, source, small, bands=guessed)
    made = model.run(zeros(source, plan, skip_errors=options.skip_errors))
    found = {}
    for name in guessed:
        axes, shape = plan.recipes[name].axes, made[name].shape
        if len(shape) != len(axes.dims):
            raise DataError(
                f"output {name!r} has the shape {list(shape)}, and its item says {', '.join(axes.dims)}: describe it "
                "anew, modelstac adopt or publish"
            )
        found[name] = [int(shape[axis]) for axis in axes.others]
    return found


def measured(
    model: Runnable,
    source: Source,
    options: Options,
    *,
    times: bool = True,
    bands: Mapping[str, Sequence[int]] = NOT_RUN,
) -> Cost:
    """Run a small tile, and give what a pixel of the coarsest grid costs: memory, and time where that is asked for.

    The memory is by how much this process grew, which is what a runtime keeps for its next run of the same size; where
    that cannot be seen, a guess from what goes in and comes out. A model that has run does not grow again: what it took
    the first time holds for its next scenes, which are cut alike.
    """
    small = Options(post=options.post, tile=SIDE, batch=1, blend=options.blend, per_tile=options.per_tile)
    plan = make_plan(model, source, small, bands=bands)
    pixels = plan.rows.tile * plan.columns.tile
    arrays = zeros(source, plan, skip_errors=options.skip_errors)
    known = _known.setdefault(model, {})
    key = tuple((name, array.size / pixels) for name, array in arrays.items())
    if key not in known:
        give_free_back()
        before = resident()
        outputs = model.run(arrays)
        grown = max(0, resident() - before)
        held = sum(a.nbytes for a in (*arrays.values(), *outputs.values()))
        # Rounded up, so that the same scene is cut alike another time.
        known[key] = 2.0 ** (ceil(4 * log2(max(grown, LEAST_TIMES * held) / pixels)) / 4)
    return Cost(known[key], timed(model, arrays) / pixels if times else None)


def one_by_one(model: Runnable, plan: Plan) -> Plan:
    """Try whether a tile gives the same beside others, where several run together, and let each run alone if not.

    Raises
    ------
    DataError
        If the samples of such a model are pixels: a map would depend on how it is cut.
    """
    if (plan.batch == 1 and not plan.of_pixels) or BatchAxes.of(model.signature, 2) is None:
        return plan
    try:
        moved = model.description.moves_with_batch or batch_difference(model)
    except DataError:
        return plan if plan.of_pixels else replace(plan, batch=1)
    if not moved:
        return plan
    what = f"moves by {moved:.1e} with the others of its batch"
    if plan.of_pixels:
        raise DataError(
            f"{model.item.id!r} takes pixels, and the result of one {what}: a map would depend on how "
            "it is cut; run it on arrays"
        )
    return replace(plan, batch=1, notes=(*plan.notes, f"tiles are run one at a time: the result of one {what}"))


def timed(model: Runnable, arrays: dict[str, np.ndarray[Any, Any]]) -> float:
    """Time one run, which is not the first."""
    began = time.perf_counter()
    model.run(arrays)
    return time.perf_counter() - began


def zeros(source: Source, plan: Plan, *, skip_errors: bool = False) -> dict[str, np.ndarray[Any, Any]]:
    """Make a tile of zeros for every input."""
    made = {}
    for tensor in plan.inputs:
        axes, pixels = Axes.of(tensor), plan.rows.needs.pixels[tensor.name]
        shape = _sample(source, tensor, axes, skip_errors=skip_errors)
        dtype = np.dtype(np.float32 if tensor.dtype == "other" else tensor.dtype)
        if not plan.of_pixels:
            y, x = axes.of_sample
            shape[y], shape[x] = plan.rows.tile * pixels, plan.columns.tile * plan.columns.needs.pixels[tensor.name]
        if axes.batch is not None:
            size, count = tensor.sizes[axes.batch], plan.rows.tile * plan.columns.tile if plan.of_pixels else 1
            shape.insert(axes.batch, size.at_least if size.is_fixed else count)
        assert prod(shape) > 0
        made[tensor.name] = np.zeros(shape, dtype)
    return made


def _sample(source: Source, tensor: TensorSignature, axes: Axes, *, skip_errors: bool) -> list[int]:
    """Give the lengths of one sample, whatever its rows and columns: what the item fixes, else what is read of a pixel.

    That is the first, or one that can be read where others need not be.
    """
    if all(tensor.sizes[axis].is_fixed for axis in axes.others):  # a block of every band would be decoded for it
        return [size.at_least for axis, size in enumerate(tensor.sizes) if axis != axes.batch]
    height, width = source.grids[tensor.name].shape
    for place in range(_PLACES):
        row, column = (place * (length - 1) // (_PLACES - 1) for length in (height, width))
        try:
            shape = source.read(tensor.name, (slice(row, row + 1), slice(column, column + 1))).values.shape
            return list(shape if axes.is_image else shape[:-2])
        except DataError:
            if not skip_errors or place == _PLACES - 1:
                raise
    raise AssertionError("the last place returns or raises")


def resident() -> int:
    """Give the bytes of memory that this process has, 0 where that cannot be seen."""
    try:
        import resource

        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    except (OSError, ImportError, ValueError, IndexError):
        return 0
