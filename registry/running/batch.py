"""Samples of a batch: where they are, how they are put together, and whether each has its result to itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, ModelStacError
from modelstac.registry.running.differences import count_differing, differences, largest
from modelstac.registry.running.examples import read_example
from modelstac.registry.running.signature import BATCH

if TYPE_CHECKING:
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.running.signature import Runnable, Signature

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
_USUAL = 32
"""About so long is an open axis of inputs that are made up."""
_RELATIVE, _LABELS = 1e-4, 1e-3
"""How far numbers (as a share of the largest), and how many labels, may move where samples run together."""


@dataclass(frozen=True)
class BatchAxes:
    """Where the samples of each tensor are.

    Parameters
    ----------
    inputs, outputs
        Place of the axis ``batch`` by the name of the tensor.
    most
        The largest batch.
    """

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    most: int

    @classmethod
    def of(cls, signature: Signature, most: int) -> BatchAxes | None:
        """Find them; None where samples cannot run together, as an axis is closed, or there is none."""
        for tensor in (*signature.inputs, *signature.outputs):
            size = tensor.axes.get(BATCH)
            if size is None or size.step != 1 or size.at_least > 1:
                return None
            most = most if size.at_most is None else min(most, size.at_most)
        if most < 2:
            return None
        inputs, outputs = (
            {tensor.name: tensor.dim_order.index(BATCH) for tensor in side}
            for side in (signature.inputs, signature.outputs)
        )
        return cls(inputs, outputs, most)

    def samples(self, arrays: Arrays) -> int | None:
        """Return how many samples arrays have; None where nobody can tell."""
        counts = {
            array.shape[self.inputs[name]] if name in self.inputs and array.ndim > self.inputs[name] else None
            for name, array in arrays.items()
        }
        return counts.pop() if len(counts) == 1 else None

    def kind(self, arrays: Arrays) -> tuple[Any, ...]:
        """Return what arrays must have in common to run together: all but the number of samples."""
        return tuple(
            (name, array.dtype.str, array.shape[: self.inputs[name]], array.shape[self.inputs[name] + 1 :])
            for name, array in sorted(arrays.items())
        )

    def join(self, several: Sequence[Arrays]) -> dict[str, Array]:
        """Put samples one after the other."""
        return {name: np.concatenate([one[name] for one in several], self.inputs[name]) for name in several[0]}

    def parts(self, found: Arrays, counts: Sequence[int]) -> list[dict[str, Array]]:
        """Give each its own samples of a result.

        Raises
        ------
        DataError
            If there are not as many as were given.
        """
        if any(array.shape[self.outputs[name]] != sum(counts) for name, array in found.items()):
            raise DataError("the model gives another number of samples than it was given")
        ends = np.cumsum(counts)[:-1]
        split = {name: np.split(array, ends, self.outputs[name]) for name, array in found.items()}
        # Copied: who is slow to take theirs would hold that of all, and only theirs is counted.
        return [{name: parts[place].copy() for name, parts in split.items()} for place in range(len(counts))]


def batch_difference(model: Runnable, signature: Signature | None = None) -> float | None:
    """Tell how far the result of a sample moves with the others of its batch, by trying it.

    A neighbour with large values lies on either side of it. A model that takes its scales or its mean of the whole
    batch gives a sample another result beside others, and one that takes time for its batch does so as well.

    Parameters
    ----------
    model
        What runs.
    signature
        With the lengths that are known, where the model's own does not have them.

    Returns
    -------
    float or None
        As a share of the largest value, or of all labels; 0 where it is rounding alone. None where one sample, or so
        many, is all that it takes.

    Raises
    ------
    ModelStacError
        If it does not run on two samples.
    """
    signature = signature or model.signature
    axes = BatchAxes.of(signature, 2)
    if axes is None:
        return None
    one = _sample(model, signature, axes)
    other = {name: np.flip(a) * a.dtype.type(100) if a.dtype.kind == "f" else np.flip(a) for name, a in one.items()}
    alone = model.run(one)
    first = axes.parts(model.run(axes.join([one, other])), [1, 1])[0]
    last = axes.parts(model.run(axes.join([other, one])), [1, 1])[1]
    return max(_apart(alone[name], together[name]) for together in (first, last) for name in alone)


def _apart(expected: Array, found: Array) -> float:
    if expected.shape != found.shape:
        return 1.0
    if expected.dtype.kind != "f":
        share = count_differing(expected, found) / max(expected.size, 1)
        return share if share > _LABELS else 0.0
    share = float(differences(expected, found).max(initial=0.0)) / (largest(expected) or 1.0)
    allowed = _RELATIVE if expected.dtype.itemsize >= 4 else 100 * _RELATIVE
    return 0.0 if share <= allowed else share if math.isfinite(share) else 1.0


def _sample(model: Runnable, signature: Signature, axes: BatchAxes) -> dict[str, Array]:
    """Return one sample: that of the item's example, or one that is made up."""
    try:
        inputs, _ = read_example(model.item)
        return {name: np.take(array, [0], axes.inputs[name]) for name, array in inputs.items()}
    except (ModelStacError, KeyError, IndexError):
        pass
    numbers, steps = np.random.default_rng(0), dict[str, int]()
    found = {}
    for tensor in signature.inputs:
        shape = [1 if axis == BATCH else _length(size, steps) for axis, size in tensor.axes.items()]
        dtype = np.dtype(tensor.dtype)
        values = numbers.random(shape) if dtype.kind == "f" else numbers.integers(0, 2, shape)
        found[tensor.name] = values.astype(dtype)
    return found


def _length(size: Size, steps: dict[str, int]) -> int:
    if size.is_fixed:
        return size.at_least
    count = -(-max(0, _USUAL - size.at_least) // size.step)
    if size.at_most is not None:
        count = min(count, (size.at_most - size.at_least) // size.step)
    if size.symbol is not None:
        count = steps.setdefault(size.symbol, count)
    return max(1, size.at_least + count * size.step)
