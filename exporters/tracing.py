"""What a model is traced on: a shape for each input, from the lengths that its axes may have.

A tracer takes an axis of length 1 for a constant, and two of one length for one: so open axes have other lengths than
1, those that grow together do so, and others differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.grids import symbol_of
from modelstac.registry.running.signature import BATCH, Signature

Shapes = dict[str, tuple[int, ...]]
"""By the name of the input, in the order of its axes."""
Axes = dict[str, list[tuple[str, str, Size]]]
"""Open axes that grow together, as input, axis and size, by what they grow with."""

WISHES = MappingProxyType({BATCH: 2, "time": 6, "height": 24, "width": 20})
"""About the length of an axis of this name, where any will do."""
_OTHERS = (8, 10, 12, 14, 16, 18)


def shapes_near(
    signature: Signature, fixed: Mapping[str, Mapping[str, int]], wishes: Mapping[str, int] = WISHES
) -> Shapes:
    """Give the shape of each input whose axes are about as long as is wished for, and as long as they may be.

    Parameters
    ----------
    signature
        What the model takes.
    fixed
        Lengths that are settled, by input and axis.
    wishes
        Lengths by the name of the axis; others get some of their own.
    """
    others = iter((*_OTHERS, *range(_OTHERS[-1] + 1, 10_000)))
    steps = {}
    for symbol, axes in growing(signature, fixed).items():
        wish = next((wishes[axis] for _, axis, _ in axes if axis in wishes), None) or next(others)
        steps[symbol] = max(_steps(size, wish, root(axes)) for _, _, size in axes)
    return {
        tensor.name: tuple(
            fixed.get(tensor.name, {}).get(axis) or size.above(steps.get(symbol_of(size, axis, tensor.name), 0))
            for axis, size in tensor.axes.items()
        )
        for tensor in signature.inputs
    }


def growing(signature: Signature, fixed: Mapping[str, Mapping[str, int]]) -> Axes:
    """Give the open axes of all inputs by what they grow with, without those that are to be fixed."""
    found: Axes = {}
    for tensor in signature.inputs:
        for axis, size in tensor.axes.items():
            if not size.is_fixed and axis not in fixed.get(tensor.name, {}):
                found.setdefault(symbol_of(size, axis, tensor.name), []).append((tensor.name, axis, size))
    return found


def root(axes: list[tuple[str, str, Size]]) -> int:
    """Give the least of the one number of which the lengths of axes that grow together are a multiple and a rest."""
    return min(size.at_least // size.step for _, _, size in axes)


def _steps(size: Size, wish: int, least: int) -> int:
    """Count steps up to a length that is wished for, and at least so many that no tracer sees a one."""
    return max(-(-(wish - size.at_least) // size.step), 2 - least, 2 - size.at_least, 0)
