"""Shapes on which a claim about sizes is tried: the least, one step more and far away, axis by axis and together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelstac.catalog.items.sizes import Size
from modelstac.registry.running.signature import BATCH

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Signature

FAR = 5
"""Steps from the least size to one far away, at least."""
FAR_LENGTH = 37
"""What a far size is at least where the steps are small: odd, and a multiple of nothing."""


@dataclass(frozen=True)
class Grid:
    """A shape for every input.

    Parameters
    ----------
    name
        What is tried, for people: ``least``, ``height one step more``, ``all far``.
    shapes
        By the name of the input, in the order of its axes.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]


def grids(signature: Signature) -> Iterator[Grid]:
    """Yield the shapes on which a model and what is made of it are to be tried.

    Axes that grow together do so here, too. A model without open axes has one shape.
    """
    growing = dict.fromkeys(symbol for _, _, symbol in _open_axes(signature))
    yield Grid("least", shapes(signature, {}))
    for name, far in (("one step more", False), ("far", True)):
        for symbol in growing:
            yield Grid(f"{symbol} {name}", shapes(signature, {symbol: far}))
        if len(growing) > 1:
            yield Grid(f"all {name}", shapes(signature, dict.fromkeys(growing, far)))


def shapes(signature: Signature, far: Mapping[str, bool]) -> dict[str, tuple[int, ...]]:
    """Give the shape of each input where the axes of some symbols are one step above the least, or far above."""
    steps = {
        symbol: max(_far(dim, size) for dim, size, other in _open_axes(signature) if other == symbol) if is_far else 1
        for symbol, is_far in far.items()
    }
    return {
        tensor.name: tuple(
            size.above(steps.get(symbol_of(size, dim, tensor.name), 0)) for dim, size in tensor.axes.items()
        )
        for tensor in signature.inputs
    }


def symbol_of(size: Size, dim: str, tensor: str) -> str:
    """Name what an axis grows with: its symbol, the batch, or itself alone."""
    return size.symbol or (BATCH if dim == BATCH else f"{dim} of {tensor}")


def _open_axes(signature: Signature) -> Iterator[tuple[str, Size, str]]:
    for tensor in signature.inputs:
        for dim, size in tensor.axes.items():
            if not size.is_fixed:
                yield dim, size, symbol_of(size, dim, tensor.name)


def _far(dim: str, size: Size) -> int:
    """Give how many steps are far; samples have nothing to do with each other, and each costs as much as the first."""
    return FAR if dim == BATCH else max(FAR, -(-(FAR_LENGTH - size.at_least) // size.step))
