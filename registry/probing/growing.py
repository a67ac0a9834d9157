"""Axes that grow together, in which steps, and from which least length: found by trying."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelstac.registry.probing.axes import is_batch, is_spatial

if TYPE_CHECKING:
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.probing.trial import Axis, Lengths, Trial

ODD = (1, 3, 5, 7, 9, 15, 11, 13)
GREATEST_STEP = 256
BEYOND = 71
"""Pixels above a start where a step is tried once more: further than any rounding hides."""
BEYOND_OTHERS = 13
EXPORTED = 2


def steps() -> Iterator[int]:
    """Yield the steps that are tried; every divisor of a step comes before it, so that the first that fits is least."""
    for odd in ODD:
        step = odd
        while step <= GREATEST_STEP:
            yield step
            step *= 2


def is_claim(size: Size) -> bool:
    """Tell whether what a file says of an axis is more than that it is open.

    A least length of 2 is not: ``torch.export`` writes it for every axis, whether or not 1 runs.
    """
    return size.step != 1 or size.at_least > EXPORTED or size.at_most is not None


@dataclass(frozen=True)
class Group:
    """Axes that grow together.

    Parameters
    ----------
    deltas
        What one step adds to each of them.
    slopes
        What one step adds to each axis of the outputs.
    """

    deltas: Mapping[Axis, int]
    slopes: Mapping[Axis, int]


class Ground:
    """A start from which axes grow.

    Parameters
    ----------
    trial
        The model.
    lengths
        Of the axes of all inputs; the model runs on them.
    stated
        What the file says of some axes.
    wanted
        Lengths of some axes that are to be among those found, such as of an example.
    """

    def __init__(
        self, trial: Trial, lengths: dict[Axis, int], stated: Mapping[Axis, Size], wanted: Mapping[Axis, int]
    ) -> None:
        self.trial = trial
        self.lengths = lengths
        self.stated = stated
        self.wanted = wanted
        self.ignored: frozenset[Axis] = trial.by_data(self.shapes({}))

    def shapes(self, changed: Mapping[Axis, int]) -> dict[str, tuple[int, ...]]:
        """Give the shapes of all inputs where some axes have other lengths."""
        lengths = self.lengths | dict(changed)
        return {
            tensor.name: tuple(lengths[tensor.name, dim] for dim in tensor.dim_order)
            for tensor in self.trial.signature.inputs
        }

    def outputs(self, changed: Mapping[Axis, int] | None = None) -> Lengths | None:
        """Give the lengths of the outputs' axes, but for those that the data or two axes decide."""
        found = self.trial.lengths(self.shapes(changed or {}))
        return None if found is None else {axis: n for axis, n in found.items() if axis not in self.ignored}

    def moved(self, deltas: Mapping[Axis, int], count: int) -> dict[Axis, int]:
        """Give the lengths of axes so many steps above the start."""
        return {axis: self.lengths[axis] + count * delta for axis, delta in deltas.items()}

    def group(self, deltas: Mapping[Axis, int]) -> Group | None:
        """Return the group if the model runs on steps above the start, and its outputs grow evenly with them."""
        base, first = self.outputs(), self.outputs(self.moved(deltas, 1))
        if base is None or first is None or base.keys() != first.keys():
            return None
        group = Group(deltas, {axis: first[axis] - length for axis, length in base.items()})
        if not all(self.fits(group, count) for count in self._counts(deltas)):
            return None
        return group

    def fits(self, group: Group, count: int) -> bool:
        """Tell whether the model runs so many steps above the start (or below), and its outputs are as long as due."""
        base, found = self.outputs(), self.outputs(self.moved(group.deltas, count))
        return (
            base is not None
            and found is not None
            and all(found.get(axis) == length + count * group.slopes[axis] for axis, length in base.items())
        )

    def _counts(self, deltas: Mapping[Axis, int]) -> list[int]:
        """Give the numbers of steps at which growth is tried: the next, and one far away."""
        counts = [2, 3]
        if not all(is_batch(dim) for _, dim in deltas):
            beyond = BEYOND if any(is_spatial(dim) for _, dim in deltas) else BEYOND_OTHERS
            counts.append(max(4, math.ceil(beyond / max(deltas.values()))))
        limits = [
            (size.at_most - self.lengths[axis]) // delta
            for axis, delta in deltas.items()
            if (size := self.stated.get(axis)) is not None and size.at_most is not None
        ]
        return [count for count in counts if count <= min(limits, default=count)]

    def grow(self, units: Mapping[Axis, int]) -> Group | None:
        """Find the least multiple of some steps in which axes grow together; start at a multiple of it if one runs."""
        for step in steps():
            group = self.group({axis: unit * step for axis, unit in units.items()})
            if group is None:
                continue
            return self._at_multiple(group) or group
        return None

    def _at_multiple(self, group: Group) -> Group | None:
        """Move the start to a multiple of the step, or to as much above one as what is wanted, where it runs."""
        if len(group.deltas) != 1:
            return None
        [(axis, step)] = group.deltas.items()
        before = self.lengths[axis]
        if axis in self.stated and is_claim(self.stated[axis]):
            return None
        for rest in dict.fromkeys((self.wanted.get(axis, 0) % step, 0)):
            if before % step == rest:
                return None
            self.lengths[axis] = before + (rest - before) % step
            if (found := self.group(group.deltas)) is not None:
                return found
            self.lengths[axis] = before
        return None

    def least(self, group: Group, lowest: Mapping[Axis, int]) -> int:
        """Find how many steps below the start the least lengths are, none below some lowest."""
        most = min((self.lengths[axis] - lowest[axis]) // delta for axis, delta in group.deltas.items())
        if all(self.fits(group, -count) for count in {most, max(most - 1, 0), most // 2}):
            return most
        fit, unfit = 0, most
        while unfit - fit > 1:
            middle = (fit + unfit) // 2
            if self.fits(group, -middle):
                fit = middle
            else:
                unfit = middle
        return fit


def together(axes: Sequence[Axis], lengths: Mapping[Axis, int]) -> Iterator[dict[Axis, int]]:
    """Yield in which proportion axes may grow together: as long as they are, then each by as much as the others."""
    divisor = math.gcd(*(lengths[axis] for axis in axes))
    yield {axis: lengths[axis] // divisor for axis in axes}
    if len({lengths[axis] for axis in axes}) > 1:
        yield dict.fromkeys(axes, 1)
