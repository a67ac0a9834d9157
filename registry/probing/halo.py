"""How many pixels around it an output pixel depends on: found by changing inputs, proved by tiles."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.registry.probing.axes import is_spatial
from modelstac.registry.probing.layout import Layout
from modelstac.registry.probing.reach import Line, Reach, TouchesError
from modelstac.registry.probing.trial import Trial

if TYPE_CHECKING:
    from modelstac.registry.probing.changes import Change
    from modelstac.registry.probing.joining import Sizes
    from modelstac.registry.probing.trial import Axis, Shapes
    from modelstac.registry.running.signature import Runnable

    Halo = dict[str, dict[str, Any]]

GLOBAL = "global"
SECONDS = 120.0
LEAST_RUNS = 60
"""Runs without which no halo is found: where there is no time for them, none is begun."""
FIRST_LENGTH = 64
FIRST_STEPS = 4
MOST_LENGTH = 2048
MOST_PIXELS = 1 << 18
"""Of a grid that is probed; all of its samples, bands and times beside."""
SLOW = 0.1
"""Seconds of a run from which on its growth with the grid is looked at."""
STEEP = 3.0
"""By how much longer a run on a grid of twice the length may take; attention over the grid takes four times as long,
and as much more memory."""
FIXED_PERIOD = 32
NONE: Mapping[str, int] = MappingProxyType({})


def measure_halo(model: Runnable, sizes: Sizes, *, seconds: float = SECONDS) -> Halo:
    """Find how many pixels of an input beyond those that an output pixel lies over its value depends on.

    An output lies centred over the input: with ``scale`` and ``offset`` of :class:`Follows`, its pixel ``i`` covers the
    input from ``margin + i / scale`` to ``margin + (i + 1) / scale``, ``margin`` being ``-offset / (2 * scale)``; the
    pixels that this interval touches are its footprint. The halo is the largest distance of a pixel on which the
    output depends from the footprint, over all outputs, both sides, and all positions (modulo the step). A tile that
    begins at a multiple of the step therefore gives, for every output pixel whose footprint is at least the halo away
    from those edges of the tile that are none of the scene, what the whole scene gives.

    It is found by changing a part of an input, by amounts from a hundredth to 1e30 and against several backgrounds, and
    comparing outputs bit by bit. What no number of the model's type shows is not counted. Where a change reaches the
    edge of every grid tried (up to 2048 pixels, 2**18 pixels in all, and fewer for a model whose cost grows faster than
    the grid), the halo is ``global``: no tile within these can be free of its surroundings. So is it where an output
    has no such axis and depends on the input (classes after global pooling).

    Parameters
    ----------
    model
        What runs.
    sizes
        What was measured before.
    seconds
        How long it may take.

    Returns
    -------
    dict
        By input and spatial axis: pixels; ``"global"``; or, where it grows with an open axis such as time,
        ``{"pixels": a, "per": {"time": b}}``, which is ``a`` and ``b`` for each of its length. It is measured at two
        lengths and held against a third.

    Raises
    ------
    DataError
        If it cannot be found: an output's axes follow the data or several axes, no change of an input changes an
        output, it does not grow evenly, or time is over.
    """
    layout = Layout(sizes.signature(model.signature))
    spatial = [axis for axis in layout.sizes if is_spatial(axis[1])]
    if spatial and sizes.free:
        output, dim = sorted(sizes.free)[0]
        raise DataError(f"the length of {dim} of {output!r} follows the data or several axes: no halo can be given")
    probe = _Probe(Trial(model, seconds), layout, sizes)
    halo: Halo = {}
    for axis in spatial:
        halo.setdefault(axis[0], {})[axis[1]] = probe.grown(axis)
    return halo


def pixels(halo: Any, lengths: Mapping[str, int] = NONE) -> int:
    """Give the pixels of a halo of one axis, for the lengths of the axes that it grows with.

    Raises
    ------
    DataError
        If it is global.
    """
    if halo == GLOBAL:
        raise DataError("an output depends on all of the input: it cannot be run in tiles, run it whole")
    if isinstance(halo, Mapping):
        return int(halo["pixels"]) + sum(int(count) * lengths[dim] for dim, count in halo["per"].items())
    return int(halo)


def third(layout: Layout) -> dict[Axis, int]:
    """Give the lengths of open axes such as time against which the growth of a halo is held."""
    return {axis: _other(layout, axis, 2) for axis in layout.others}


def _other(layout: Layout, axis: Axis, steps: int) -> int:
    """Give a short length of an axis such as time, and more than one of them."""
    size = layout.sizes[axis]
    return size.above(steps + (1 if size.at_least == 1 and size.step == 1 else 0))


class _Probe:
    """Measures along one axis after the other."""

    def __init__(self, trial: Trial, layout: Layout, sizes: Sizes) -> None:
        self._trial, self._layout, self._sizes = trial, layout, sizes
        self._kept: Sequence[Change] = ()

    def grown(self, axis: Axis) -> Any:
        """Measure at one length of axes such as time, at another of each of them, and prove it at a third."""
        layout = self._layout
        first = {other: _other(layout, other, 0) for other in layout.others}
        found = self._measured(axis, first)
        if found is None or not first:
            return GLOBAL if found is None else found
        slopes: dict[str, Fraction] = {}
        for other, length in first.items():
            longer = _other(layout, other, 1)
            if longer == length or other[1] in slopes:
                continue
            # Of several inputs the same axis grows together, or is short beside that of the others.
            after = self._measured(axis, first | {a: _other(layout, a, 1) for a in first if a[1] == other[1]})
            if after is None:
                return GLOBAL
            slopes[other[1]] = Fraction(after - found, longer - length)
        starts, ends = ({a[1]: n for a, n in lengths.items()} for lengths in (first, third(layout)))
        grown = found + sum(slope * (ends[dim] - starts[dim]) for dim, slope in slopes.items())
        if self._measured(axis, third(layout)) != grown or any(slope.denominator != 1 for slope in slopes.values()):
            raise DataError(f"the halo along {axis[1]} of {axis[0]!r} does not grow evenly with {', '.join(slopes)}")
        per = {dim: int(slope) for dim, slope in slopes.items() if slope}
        return {"pixels": found - sum(n * starts[dim] for dim, n in per.items()), "per": per} if per else found

    def _measured(self, axis: Axis, others: Mapping[Axis, int]) -> int | None:
        """Measure on grids that grow until no change reaches their edge; None where each does."""
        size, open_ = self._layout.sizes[axis], self._layout.open(axis)
        wanted, took = max(FIRST_LENGTH, FIRST_STEPS * size.step), 0.0
        while True:
            lengths = self._layout.lengths({**others, axis: wanted})
            shapes, length = self._layout.shapes(lengths), lengths[axis]
            took, before = self._seconds(shapes), took
            if took > SLOW and took > STEEP * before:  # once more: another program may have been at work
                took = min(took, self._seconds(shapes))
            self._trial.require_time_for(LEAST_RUNS * took)
            line = self._line(axis, size.step if open_ else min(FIXED_PERIOD, max(1, length // 4)))
            places = _places(length, line.period, open_=open_)
            if (found := self._on(line, shapes, places, only=0 if open_ else length, slow=took > SLOW)) is not None:
                return found
            most = self._most(lengths, axis)
            if not line.follows or not open_ or length >= most or (took > SLOW and took > STEEP * before):
                return None
            wanted = min(2 * length, most)

    def _seconds(self, shapes: Shapes) -> float:
        """Time a run by the processor, which other programs disturb least."""
        began = time.process_time()
        self._trial.run(self._trial.inputs(shapes, "uniform"))
        return time.process_time() - began

    def _on(self, line: Line, shapes: Shapes, places: Sequence[int], *, only: int, slow: bool) -> int | None:
        """Measure on one grid, which may have the only length; None where changes reach its edge from every place."""
        reach = Reach(self._trial, line, shapes, slow=slow)
        for start in places:
            try:
                least = reach.at_least(start)
                if only and 2 * least >= only:
                    raise DataError(
                        f"an output depends on {least} pixels around it or more, and the model takes {only} alone: "
                        "nothing in such a tile is free of its edges"
                    )
                found, self._kept = reach.farthest(start, self._kept)
            except TouchesError:
                continue
            if not reach.changed:
                name = line.axis[0]
                raise DataError(f"no change of {name!r} changes an output: its halo cannot be measured")
            return found
        return None

    def _most(self, lengths: Mapping[Axis, int], axis: Axis) -> int:
        """Give the greatest length that is probed beside the other sides of the grid."""
        sides = [n for other, n in lengths.items() if other[0] == axis[0] and other != axis and is_spatial(other[1])]
        return self._layout.sizes[axis].nearest(min(MOST_LENGTH, MOST_PIXELS // math.prod(sides)))[0]

    def _line(self, axis: Axis, period: int) -> Line:
        name, dim = axis
        outputs = {tensor.name: tensor.dim_order for tensor in self._layout.signature.outputs}
        follows = {
            f.output: (f, outputs[f.output].index(f.axis)) for f in self._sizes.follows if (f.input, f.source) == axis
        }
        tensor = next(t for t in self._layout.signature.inputs if t.name == name)
        return Line(axis, tensor.dim_order.index(dim), follows, period)


def _places(length: int, period: int, *, open_: bool) -> list[int]:
    """Say from which rows on a period is probed: near the end, so that much of the grid lies before it."""
    first = length - max(length // 4, 2 * period)
    first -= first % period
    return [max(first, 0)] if open_ else sorted({max(first, 0), length - period})
