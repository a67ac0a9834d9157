"""One loaded model as clients see it: its metadata, whether its requests may run together, and how it ends."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from modelstac.catalog.errors import CannotRunError, DataError, ModelStacError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.running.examples import read_example
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import BATCH, TensorSignature
from modelstac.registry.serving.batching import Axes, Batcher
from modelstac.registry.serving.settings import InferenceSettings
from modelstac.registry.serving.tensors import DATATYPES, Array

LOG = logging.getLogger("modelstac.server")
_USUAL = 32
"""About so long is an open axis of inputs that are made up."""
_RELATIVE, _LABELS = 1e-4, 1e-3
"""How far numbers (as a share of the largest), and how many labels, may move where samples run together."""


class Served:
    """A model that is loaded and answers.

    Parameters
    ----------
    model
        The model.
    settings
        How it is run.
    together
        Whether samples of several requests may run together, see :func:`may_run_together`.

    Raises
    ------
    CannotRunError
        If its tensors are of a kind that the protocol has no name for.
    """

    def __init__(self, model: Model, settings: InferenceSettings, *, together: bool) -> None:
        signature = model.signature
        for tensor in (*signature.inputs, *signature.outputs):
            if tensor.dtype not in DATATYPES:
                raise CannotRunError(
                    f"{model.item.id!r} has the tensor {tensor.name!r} of {tensor.dtype}, which the Open Inference "
                    f"Protocol cannot carry: {', '.join(DATATYPES)} can be served"
                )
        self.model = model
        self.item_id = model.item.id
        self.collection = str(model.item.collection_id)
        self.names = (f"{self.collection}/{self.item_id}", self.item_id)
        self.version = model.description.version
        axes = Axes.of(signature, settings.max_batch) if together else None
        self.batcher = Batcher(model, axes, settings.workers)

    def metadata(self, name: str) -> dict[str, Any]:
        """Return what the protocol says of a model."""
        description = self.model.description
        framework = (description.backend or description.framework).lower().replace(" ", "")
        signature = self.model.signature
        return {
            "name": name,
            "versions": [self.version],
            "platform": f"{framework}_{description.format}",
            "inputs": [_tensor(tensor) for tensor in signature.inputs],
            "outputs": [_tensor(tensor) for tensor in signature.outputs],
            "parameters": {"item": self.item_id, "title": description.title},
        }

    def check_kinds(self, arrays: Mapping[str, Array]) -> None:
        """Refuse numbers of another kind in the words of the protocol; the model's own are those of Python.

        Raises
        ------
        DataError
            If some are.
        """
        for tensor in self.model.signature.inputs:
            array, declared = arrays.get(tensor.name), np.dtype(tensor.dtype)
            if array is None or array.dtype.kind == declared.kind or {array.dtype.kind, declared.kind} == {"i", "u"}:
                continue
            kind, scaled = DATATYPES[tensor.dtype], ", scaled as its item says" if tensor.scaling else ""
            raise DataError(
                f"input {tensor.name!r} is {kind}, and was sent as {DATATYPES[array.dtype.name]}: send {kind}{scaled}"
            )

    def bytes_of(self, arrays: Mapping[str, Array]) -> int:
        """Return about how many bytes the results of these inputs have, as far as the item says it."""
        lengths: dict[str, int] = {}
        for tensor in self.model.signature.inputs:
            if tensor.name in arrays:
                for axis, length in zip(tensor.dim_order, arrays[tensor.name].shape, strict=False):
                    lengths[axis] = max(length, lengths.get(axis, 1))
        return sum(
            np.dtype(tensor.dtype).itemsize
            * math.prod(size.at_least if size.is_fixed else lengths.get(axis, 1) for axis, size in tensor.axes.items())
            for tensor in self.model.signature.outputs
        )

    async def close(self) -> None:
        """Let go of the model once all that was asked of it is answered."""
        await self.batcher.close()
        self.model.close()


def may_run_together(model: Model, settings: InferenceSettings) -> bool:
    """Tell whether the result of a sample is the same whatever other samples are in its batch, by trying it.

    Dynamic quantisation takes its scale of the whole batch: run with those of others, a sample would get another
    result. Not tried where the item says that it does; that it does not is believed of none. What is found is logged.
    """
    axes = Axes.of(model.signature, settings.max_batch)
    if axes is None:
        return False
    parity = model.description.parity
    moved = None if parity is None else parity.batch_difference
    try:
        moved = moved or _moved(model, axes)
    except ModelStacError as error:
        LOG.warning("requests of %s run one by one: %s", model.item.id, error)
        return False
    if moved:
        LOG.warning("requests of %s run one by one: others in a batch move a result by %.1e", model.item.id, moved)
    return not moved


def _moved(model: Model, axes: Axes) -> float:
    """Return how far a neighbour with large values, on either side, moves a result; 0 where it is rounding alone."""
    one = _sample(model, axes)
    other = {name: np.flip(a) * a.dtype.type(100) if a.dtype.kind == "f" else np.flip(a) for name, a in one.items()}
    alone = model.run(one)
    first = axes.parts(model.run(axes.join([one, other])), [1, 1])[0]
    last = axes.parts(model.run(axes.join([other, one])), [1, 1])[1]
    return max(_apart(alone[name], together[name]) for together in (first, last) for name in alone)


def _apart(expected: Array, found: Array) -> float:
    if expected.shape != found.shape:
        return math.inf
    if expected.dtype.kind != "f":
        share = float(np.mean(expected != found)) if expected.size else 0.0
        return share if share > _LABELS else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(expected.astype("f8") - found.astype("f8"))
        largest = float(np.nanmax(np.abs(expected.astype("f8")), initial=0.0))
    difference[np.isnan(expected) & np.isnan(found)] = 0
    share = float(difference.max(initial=0.0)) / (largest or 1.0)
    allowed = _RELATIVE if expected.dtype.itemsize >= 4 else 100 * _RELATIVE
    return 0.0 if share <= allowed else share


def _sample(model: Model, axes: Axes) -> dict[str, Array]:
    """Return one sample: that of the item's example, or one that is made up."""
    try:
        inputs, _ = read_example(model.item)
        return {name: np.take(array, [0], axes.inputs[name]) for name, array in inputs.items()}
    except (ModelStacError, KeyError, IndexError):
        pass
    numbers, steps = np.random.default_rng(0), dict[str, int]()
    found = {}
    for tensor in model.signature.inputs:
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


def _tensor(tensor: TensorSignature) -> dict[str, Any]:
    said: dict[str, Any] = {"dim_order": ",".join(tensor.dim_order)}
    open_ones = {axis: str(size) for axis, size in tensor.axes.items() if not (size.is_fixed or size.is_any)}
    if open_ones:
        said["sizes"] = ", ".join(f"{axis} {size}" for axis, size in open_ones.items())
    if tensor.optional:
        said["optional"] = True
    return {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": list(tensor.shape), "parameters": said}
