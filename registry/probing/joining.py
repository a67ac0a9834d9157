"""Sizes of all axes together: proved, and what outputs' axes follow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import BY_DATA, Size
from modelstac.registry.probing.axes import is_batch, is_spatial, kind_of
from modelstac.registry.probing.grids import grids
from modelstac.registry.probing.relation import Follows

if TYPE_CHECKING:
    from modelstac.registry.probing.grids import Grid
    from modelstac.registry.probing.growing import Ground, Group
    from modelstac.registry.probing.trial import Axis, Lengths
    from modelstac.registry.running.signature import Signature

MOST_VALUES = 1 << 24
"""Values of all inputs of a shape that is tried; larger ones are left out, and a note says so."""
RAISES = (*range(8), 12, 16, 24, 32, 48, 64, 96, 128)
"""Steps by which least lengths are raised where all together do not run: a few for what pools, more for what takes the
hundred largest values of a grid."""


@dataclass(frozen=True)
class Sizes:
    """What is known of the open axes of a model.

    Parameters
    ----------
    sizes
        Lengths of each open axis of the inputs, by tensor and axis; of the outputs, those that the data decide.
    follows
        How axes of outputs follow axes of inputs. What is not named has one length, or one that the data or several
        axes decide.
    free
        Axes of outputs whose length the data decide, or several axes.
    notes
        What is worth saying, for people.
    """

    sizes: dict[str, dict[str, Size]]
    follows: tuple[Follows, ...]
    free: frozenset[Axis] = frozenset()
    notes: tuple[str, ...] = ()

    def signature(self, of: Signature) -> Signature:
        """Give a signature with these sizes."""
        return of.with_sizes(self.sizes)

    def of_output(self, output: str, axis: str) -> tuple[Follows, ...]:
        """Say which axes of inputs an axis of an output follows."""
        return tuple(f for f in self.follows if (f.output, f.axis) == (output, axis))


def join(ground: Ground, groups: Sequence[Group], found: Mapping[Axis, Size]) -> Sizes:
    """Run the model at the least of all lengths together, a step more and far away, and say what its outputs follow.

    Least lengths are raised by some steps, all of them, where each fits alone and all together do not: a network that
    normalises an image of one pixel takes one row, or one column.

    Raises
    ------
    DataError
        If it does not run on axes together that grow alone.
    """
    whole = _raised(ground, found)
    signature = whole.signature(ground.trial.signature)
    notes, uneven = [], set()
    for grid in grids(signature):
        if sum(map(math.prod, grid.shapes.values())) > MOST_VALUES:
            notes.append(f"sizes were not tried at {grid.name}: too many values")
            continue
        lengths = ground.trial.lengths(grid.shapes)
        if lengths is None:
            raise DataError(f"it takes {_shown(whole.sizes)}, and does not run at {grid.name}: {ground.trial.reason}")
        expected = _expected(ground, groups, grid)
        uneven |= {axis for axis, length in expected.items() if lengths.get(axis) != length}
    by_data = ground.trial.by_data(ground.shapes({}))
    follows = [f for f in _follows(ground, groups) if (f.output, f.axis) not in uneven]
    notes += [f"length of {dim} of {name!r}: follows several axes" for name, dim in sorted(uneven)]
    return replace(
        whole,
        sizes=whole.sizes | _by_data(signature, by_data),
        follows=(*follows, *_fixed(ground, signature, follows)),
        free=frozenset(uneven | ground.ignored | _of_several(ground, groups)),
        notes=tuple(notes),
    )


def _raised(ground: Ground, found: Mapping[Axis, Size]) -> Sizes:
    signature = ground.trial.signature
    for steps in RAISES:
        whole = _nested({axis: _above(size, 0 if is_batch(axis[1]) else steps) for axis, size in found.items()})
        least = next(grids(whole.signature(signature)))
        if ground.trial.lengths(least.shapes) is not None:
            return whole
    raise DataError(f"it takes {_shown(_nested(found).sizes)} each, and not together: {ground.trial.reason}")


def _above(size: Size, steps: int) -> Size:
    return size if size.is_fixed else replace(size, at_least=size.above(steps))


def _nested(found: Mapping[Axis, Size]) -> Sizes:
    sizes: dict[str, dict[str, Size]] = {}
    for (name, dim), size in found.items():
        sizes.setdefault(name, {})[dim] = size
    return Sizes(sizes, ())


def _shown(sizes: Mapping[str, Mapping[str, Size]]) -> str:
    return ", ".join(f"{dim} {size}" for axes in sizes.values() for dim, size in axes.items())


def _expected(ground: Ground, groups: Sequence[Group], grid: Grid) -> Lengths:
    """Give the lengths of outputs' axes that follow evenly, for a shape."""
    at = {
        (tensor.name, dim): length
        for tensor in ground.trial.signature.inputs
        for dim, length in zip(tensor.dim_order, grid.shapes[tensor.name], strict=True)
    }
    lengths = dict(ground.outputs() or {})
    for group in groups:
        axis, delta = next(iter(group.deltas.items()))
        count = (at[axis] - ground.lengths[axis]) // delta
        lengths = {a: length + count * group.slopes.get(a, 0) for a, length in lengths.items()}
    return lengths


def _follows(ground: Ground, groups: Sequence[Group]) -> Iterator[Follows]:
    for (output, dim), length in (ground.outputs() or {}).items():
        moving = [group for group in groups if group.slopes.get((output, dim))]
        if len(moving) != 1:
            continue
        [group] = moving
        alike = [axis for axis in group.deltas if kind_of(axis[1]) == kind_of(dim)]
        for axis in alike or group.deltas:
            scale = Fraction(group.slopes[output, dim], group.deltas[axis])
            yield Follows(output, dim, *axis, scale, length - scale * ground.lengths[axis])


def _of_several(ground: Ground, groups: Sequence[Group]) -> set[Axis]:
    return {a for a in ground.outputs() or {} if sum(bool(group.slopes.get(a)) for group in groups) > 1}


def _fixed(ground: Ground, signature: Signature, known: Sequence[Follows]) -> Iterator[Follows]:
    """Say what spatial axes of outputs follow where inputs have one size: the axis of the same name, as it seems.

    A whole multiple or a whole part is taken for a scale; what is a little smaller, for the same scale without margins.
    """
    followed = {(f.output, f.axis) for f in known}
    for (output, dim), length in (ground.outputs() or {}).items():
        if not is_spatial(dim) or (output, dim) in followed:
            continue
        for tensor in signature.inputs:
            for other, size in tensor.axes.items():
                if size.is_fixed and kind_of(other) == kind_of(dim):
                    ratio = Fraction(length, size.at_least)
                    plain = 1 in (ratio.numerator, ratio.denominator) or not Fraction(1, 2) < ratio < Fraction(1)
                    scale = ratio if plain else Fraction(1)
                    yield Follows(output, dim, tensor.name, other, scale, length - scale * size.at_least)


def _by_data(signature: Signature, axes: frozenset[Axis]) -> dict[str, dict[str, Size]]:
    """Give the open axes of outputs whose length the data decide."""
    found: dict[str, dict[str, Size]] = {}
    for tensor in signature.outputs:
        for dim, size in tensor.axes.items():
            if not size.is_fixed and (tensor.name, dim) in axes:
                found.setdefault(tensor.name, {})[dim] = BY_DATA
    return found
