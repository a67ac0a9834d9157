"""How an output lies over its input where sizes leave that open, found by running the model.

A model of 64 pixels that gives 32 may halve the grid, or cut off a margin of 16; one that gives 40 may leave off 12 at
either end, or 24 at one. Rows of the input are changed one after the other: where the output changes tells which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from modelstac.catalog.errors import ModelStacError
from modelstac.registry.running.labels.centred import random_values
from modelstac.registry.running.labels.growth import Growth

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

    Values = np.ndarray[Any, Any]

_PLACES = (6, 7, 9, 10)
"""Sixteenths of an input in which a row is changed: beside the middle, where all ways meet, and few, as a large model
takes seconds."""
_PERIODS = 3
"""Strides of which every row is changed, to find what is lost in front."""
_STEPS = 32
"""How far above the least length a model of open sizes is run."""
_STRIDES = range(2, 17)
_known: WeakKeyDictionary[Any, dict[tuple[str, str, str], Growth | None]] = WeakKeyDictionary()


@dataclass(frozen=True)
class _Changed:
    """Where the output changed with a row of the input: from a pixel to the edge of another, and whether in a part."""

    row: float
    low: int
    high: int
    local: bool


def growths_of_fixed(output: int, given: int) -> list[Growth]:
    """Give the ways in which an output of one length may follow from an input of one length, the plainest first.

    As many pixels of either in one of the other, over all of it; else the same pixels, or those of a stride or of a
    finer grid, but for as many at one end as at the other.
    """
    longer, shorter = max(output, given), min(output, given)
    found = [Growth(Fraction(output, given))] if shorter and longer % shorter == 0 else []
    for ratio in (Fraction(1), *(Fraction(1, n) for n in _STRIDES), *(Fraction(n) for n in _STRIDES)):
        lost = ratio * given - output
        if 0 < lost < ratio * given:
            found.append(Growth(ratio, lost))
    return found


def fitting(
    model: Runnable, given: TensorSignature, output: TensorSignature, dims: tuple[str, str], ways: Sequence[Growth]
) -> Growth | None:
    """Give the first way of several in which an output may lie over an input, by what changes with rows of the input.

    Parameters
    ----------
    model, given, output
        What runs, and the input and output.
    dims
        Names of the dimension at the input and at the output.
    ways
        What may be.

    Returns
    -------
    Growth or None
        None where it lies in none of these ways.
    """
    key = (given.name, output.name, dims[0])
    known = _known.setdefault(model, {})
    if key not in known:
        try:
            known[key] = _found(_Trying(model, given, output, dims), ways)
        except ModelStacError:  # it does not run on such values
            known[key] = ways[0]
    return known[key]


def _found(trying: _Trying, ways: Sequence[Growth]) -> Growth | None:
    length = trying.length
    seen = [one for one in trying.changed(length * part // 16 for part in _PLACES) if one.local]
    found = next((way for way in ways if all(_lies_in(way, one) for one in seen)), None)
    if found is None or not seen or not found.lost:
        return found
    stride = ceil(1 / found.ratio)
    return _exactly(found, trying.changed(range(length // 2, length // 2 + _PERIODS * stride)), stride)


def _lies_in(way: Growth, one: _Changed) -> bool:
    """Tell whether what should have changed did, or a pixel beside it: a pooling changes a block by any row of it."""
    place, near = float(way.ratio) * one.row - float(way.lost) / 2, max(1.0, float(way.ratio))
    return one.low - near <= place <= one.high + near


def _exactly(way: Growth, seen: Sequence[_Changed], stride: int) -> Growth:
    """Correct what is lost in front by the rows of some strides: of 64 by five in steps of two, the last is not read.

    Where strides differ among each other, as those of a network that pools do, nothing is corrected.
    """
    if len(seen) < _PERIODS * stride or not all(one.local for one in seen):
        return way
    lost = [2 * float(way.ratio) * one.row - (one.low + one.high) for one in seen]
    means = np.mean(np.reshape(lost, (_PERIODS, stride)), axis=1)
    if np.ptp(means) > 1e-9:
        return way
    return Growth(way.ratio, max(way.ratio * round(float(means[0]) / float(way.ratio)), Fraction(0)))


class _Trying:
    """Runs a model on random values, and on the same with one row changed."""

    def __init__(self, model: Runnable, given: TensorSignature, output: TensorSignature, dims: tuple[str, str]) -> None:
        self._model, self._given, self._output = model, given, output
        self._random = np.random.default_rng(0)
        needed = [tensor for tensor in model.signature.inputs if not tensor.optional or tensor.name == given.name]
        self._inputs = {tensor.name: random_values(tensor, self._random, steps=_STEPS) for tensor in needed}
        self._axis, self._along = given.dim_order.index(dims[0]), output.dim_order.index(dims[1])
        self._plain = model.run(self._inputs)[output.name]

    @property
    def length(self) -> int:
        """How long the input is along the dimension."""
        return int(self._inputs[self._given.name].shape[self._axis])

    def changed(self, rows: Iterable[int]) -> list[_Changed]:
        """Change rows one after the other, and give where something changed."""
        return [one for row in rows if (one := self._changed(row)) is not None]

    def _changed(self, row: int) -> _Changed | None:
        name = self._given.name
        other = self._inputs[name].copy()
        at = tuple(row if i == self._axis else slice(None) for i in range(other.ndim))
        other[at] = random_values(self._given, self._random, steps=_STEPS)[at]
        made = self._model.run({**self._inputs, name: other})[self._output.name]
        weight = np.moveaxis(made != self._plain, self._along, 0).reshape(self._plain.shape[self._along], -1)
        rows = np.flatnonzero(weight.any(axis=1))
        if not rows.size:
            return None
        low, high = int(rows[0]), int(rows[-1]) + 1
        return _Changed(row + 0.5, low, high, local=low > 0 and high < len(weight))
