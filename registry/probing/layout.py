"""Shapes of all inputs of a model, by how long some of their axes should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelstac.registry.probing.axes import is_batch, is_spatial
from modelstac.registry.probing.grids import symbol_of

if TYPE_CHECKING:
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.probing.trial import Axis
    from modelstac.registry.running.signature import Signature

THIN = 8
"""Pixels of the side of a grid that does not matter, at least: as many chances for a change to come through."""


class Layout:
    """Makes shapes that fit.

    Parameters
    ----------
    signature
        With the measured sizes.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.sizes: dict[Axis, Size] = {(t.name, dim): size for t in signature.inputs for dim, size in t.axes.items()}

    def symbol(self, axis: Axis) -> str:
        """Name what an axis grows with."""
        return symbol_of(self.sizes[axis], axis[1], axis[0])

    def alike(self, axis: Axis) -> list[Axis]:
        """Name the axes that grow with one, itself included."""
        return [a for a in self.sizes if a == axis or (self.open(a) and self.symbol(a) == self.symbol(axis))]

    def open(self, axis: Axis) -> bool:
        """Tell whether an axis has more than one length."""
        return not self.sizes[axis].is_fixed

    @property
    def others(self) -> list[Axis]:
        """Open axes that are neither places nor samples: time."""
        return [a for a in self.sizes if self.open(a) and not is_spatial(a[1]) and not is_batch(a[1])]

    def lengths(self, wanted: Mapping[Axis, int]) -> dict[Axis, int]:
        """Give the length of every axis where some are at least as long as wanted, and the others short."""
        steps: dict[str, int] = {}
        said = {self.symbol(axis) for axis in wanted}
        for axis, size in self.sizes.items():
            if self.open(axis):
                symbol = self.symbol(axis)
                least = wanted.get(axis, THIN if is_spatial(axis[1]) and symbol not in said else 0)
                needed = max(0, -(-(least - size.at_least) // size.step))
                steps[symbol] = max(steps.get(symbol, 0), needed)
        return {
            axis: size.above(steps[self.symbol(axis)]) if self.open(axis) else size.at_least
            for axis, size in self.sizes.items()
        }

    def shapes(self, lengths: Mapping[Axis, int]) -> dict[str, tuple[int, ...]]:
        """Give the shapes of inputs that have these lengths."""
        return {t.name: tuple(lengths[t.name, dim] for dim in t.dim_order) for t in self.signature.inputs}
