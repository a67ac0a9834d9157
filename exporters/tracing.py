"""What a model is traced on: a shape for each input, from the lengths that its axes may have.

A tracer takes an axis of length 1 for a constant, and two of one length for one: so open axes have other lengths than
1, those that grow together do so, and others differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.grids import symbol_of
from modelstac.registry.running.signature import BATCH, Signature

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable

Shapes = dict[str, tuple[int, ...]]
"""By the name of the input, in the order of its axes."""
Axes = dict[str, list[tuple[str, str, Size]]]
"""Open axes that grow together, as input, axis and size, by what they grow with."""

WISHES = MappingProxyType({BATCH: 2, "time": 6, "height": 24, "width": 20})
"""About the length of an axis of this name, where any will do."""
_OTHERS = (8, 10, 12, 14, 16, 18)
_MULTIPLES = (4, 16, 64)
"""Tried where nobody measured which lengths a model takes: each pooling of a U-Net halves the grid."""


def unmeasured(model: Runnable) -> list[str]:
    """Name the open axes of a model of which its item does not say which lengths they may have."""
    known = model.description.sizes
    return [
        axis
        for tensor in model.signature.inputs
        for axis, size in tensor.axes.items()
        if not size.is_fixed and axis != BATCH and axis not in known.get(tensor.name, {})
    ]


def example_shapes(model: Runnable) -> Shapes:
    """Give shapes on which a loaded model runs whose item does not say what it takes, found by running it.

    Raises
    ------
    ConversionError
        When it takes no shape that was tried.
    """
    signature, axes = model.signature, unmeasured(model)
    open_ = ", ".join(dict.fromkeys(axes))
    otherwise = f"takes any {open_}, as its item says, and no shape that was tried"
    return _first_that_runs(model, signature, {}, axes, otherwise)


def shapes_that_run(model: Runnable, signature: Signature, fixed: Mapping[str, Mapping[str, int]]) -> Shapes:
    """Give the shapes of :func:`shapes_near`, or larger ones where a model does not run on these.

    What its item says was measured in the framework of its maker. TensorFlow makes nothing of a grid that is smaller
    than a window, where PyTorch fails; a tracer says so only after it went through most of the network.

    Raises
    ------
    ConversionError
        When it runs on none that was tried.
    """
    axes = [axis for group in growing(signature, fixed).values() for _, axis, _ in group if axis != BATCH]
    if not axes:
        return shapes_near(signature, fixed)
    return _first_that_runs(model, signature, fixed, axes, "runs on no shape that was tried")


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


def _first_that_runs(
    model: Runnable,
    signature: Signature,
    fixed: Mapping[str, Mapping[str, int]],
    axes: list[str],
    otherwise: str,
) -> Shapes:
    reason = ""
    for wishes in _wishes(axes):
        shapes = shapes_near(signature, fixed, wishes)
        if not (failed := _failure(model, signature, shapes)):
            return shapes
        reason = reason or failed
    raise ConversionError(f"{model.description.id!r} {otherwise}: {reason}")


def _failure(model: Runnable, signature: Signature, shapes: Shapes) -> str:
    """Say why a model does not run on zeros of these shapes; nothing where it does."""
    try:
        model.run({tensor.name: np.zeros(shapes[tensor.name], tensor.dtype) for tensor in signature.inputs})
    except Exception as error:  # noqa: BLE001 - what a framework raises on a shape that does not fit is its own affair
        return " ".join(str(error).split())[:200] or type(error).__name__
    return ""


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


def _wishes(axes: list[str]) -> Iterator[Mapping[str, int]]:
    names = list(dict.fromkeys(axes))
    yield WISHES
    for number in _MULTIPLES:
        yield {**WISHES, **{name: (2, 1, 3)[place % 3] * number for place, name in enumerate(names)}}
