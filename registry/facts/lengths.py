"""Lengths of axes by the symbols of a file: what is computed of them, which axes grow together, and in which range."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelstac.catalog.items.sizes import ANY, Size
from modelstac.registry.inspecting.size_expressions import Linear, linear, symbols

Length = int | ast.expr | None
"""A number, an expression of symbols, or nothing that is known."""
Bound = tuple[ast.expr, int | None, int | None]
"""An expression, and the least and greatest value that it may have."""


@dataclass(frozen=True)
class Lengths:
    """What a file says of its symbols.

    Parameters
    ----------
    bounds
        Least and greatest value of each symbol that inputs have; None where there is no greatest.
    shared
        Symbols of which several axes are made.
    """

    bounds: Mapping[str, tuple[int, int | None]]
    shared: frozenset[str]

    @classmethod
    def of(
        cls, inputs: Sequence[Sequence[Length]], outputs: Sequence[Sequence[Length]], bounds: Sequence[Bound] = ()
    ) -> Lengths:
        """Find the range of each symbol in which all bounds hold, and no axis of an input is shorter than 1."""
        taken, given = (
            [tree for axes in tensors for tree in axes if isinstance(tree, ast.expr)] for tensors in (inputs, outputs)
        )
        found: dict[str, tuple[int, int | None]] = {name: (1, None) for tree in taken for name in symbols(tree)}
        for tree, least, most in (*bounds, *((tree, 1, None) for tree in taken)):
            grown = _single(linear(tree))
            if grown is not None and grown[0] in found:
                found[grown[0]] = _narrowed(found[grown[0]], grown, least, most)
        used = Counter(name for tree in (*taken, *given) for name in symbols(tree))
        return cls(found, frozenset(name for name, count in used.items() if count > 1))

    def sizes(self, axes: Sequence[Length], unknown: Size = ANY) -> tuple[Size, ...]:
        """Give the lengths of a tensor's axes; ``unknown`` for one that no symbol of an input says anything of."""
        return tuple(self._size(length, unknown) for length in axes)

    def _size(self, length: Length, unknown: Size) -> Size:
        if isinstance(length, int):
            return Size.fixed(length)
        if length is None or not symbols(length) <= self.bounds.keys():
            return unknown
        grown = _single(linear(length))
        if grown is None:  # computed of several, or rounded
            return ANY
        name, factor, offset = grown
        least, most = self.bounds[name]
        if least == most:
            return Size.fixed(least * factor + offset)
        at_most = None if most is None else most * factor + offset
        return Size(max(0, least * factor + offset), factor, at_most, name if name in self.shared else None)


_Grown = tuple[str, int, int]
"""Symbol, factor and offset of a length that grows with one symbol alone."""


def _single(found: Linear | None) -> _Grown | None:
    if found is None or len(found.factors) != 1:
        return None
    ((name, factor),) = found.factors.items()
    return (name, factor, found.offset) if factor > 0 else None


def _narrowed(
    known: tuple[int, int | None], grown: _Grown, least: int | None, most: int | None
) -> tuple[int, int | None]:
    """Narrow the range of a symbol by that of what is computed of it."""
    _, factor, offset = grown
    low, high = known
    if least is not None:
        low = max(low, -((offset - least) // factor))
    if most is not None:
        high = min((most - offset) // factor, high if high is not None else most)
    return low, high
