"""Whether an output that is shorter than its input lies in the middle of it, found by running the model.

Sizes say how many pixels are lost, and not at which end. The first row of the input reaches as far into an output
that lies in the middle as the last row does from the other end; where one reaches further, the output lies elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from modelstac.catalog.errors import ModelStacError

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

_STEPS = 2
"""How far above the least length the model is run."""
_known: WeakKeyDictionary[Any, dict[tuple[str, str, str], bool]] = WeakKeyDictionary()


def is_centred(model: Runnable, given: TensorSignature, output: TensorSignature, dim: str) -> bool:
    """Tell whether an output lies in the middle of an input along a dimension; False where that cannot be told.

    It is run three times on small arrays, once for a model.
    """
    key = (given.name, output.name, dim)
    found = _known.setdefault(model, {})
    if key not in found:
        try:
            found[key] = _measured(model, given, output, dim)
        except ModelStacError:  # it does not run at these sizes
            found[key] = False
    return found[key]


def _measured(model: Runnable, given: TensorSignature, output: TensorSignature, dim: str) -> bool:
    random = np.random.default_rng(0)
    inputs = {tensor.name: random_values(tensor, random) for tensor in model.signature.inputs if not tensor.optional}
    inputs.setdefault(given.name, random_values(given, random))
    axis, along = given.dim_order.index(dim), output.dim_order.index(dim)
    plain = model.run(inputs)[output.name]
    changed = []
    for end in (0, -1):
        other = inputs[given.name].copy()
        place = tuple(end if i == axis else slice(None) for i in range(other.ndim))
        other[place] = random_values(given, random)[place]
        result = model.run({**inputs, given.name: other})[output.name]
        rows = np.moveaxis(result != plain, along, 0).reshape(plain.shape[along], -1).any(axis=1)
        changed.append(np.flatnonzero(rows))
    first, last = changed
    length: int = plain.shape[along]
    if not first.size or not last.size or first.size == length:
        return False
    return int(first.max()) + 1 == length - int(last.min())


def random_values(tensor: TensorSignature, random: np.random.Generator, *, steps: int = _STEPS) -> np.ndarray[Any, Any]:
    """Make values of an input, on open axes of so many steps above the least length."""
    lengths = [size.at_least if name == "batch" else size.above(steps) for name, size in tensor.axes.items()]
    values: np.ndarray[Any, Any] = random.random([max(length, 1) for length in lengths])
    if np.dtype(tensor.dtype).kind in "iub":
        values = np.rint(values)
    return values.astype(tensor.dtype)
