"""One loaded model as clients see it: its metadata, whether its requests may run together, and how it ends."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from modelstac.catalog.errors import CannotRunError, DataError, ModelStacError
from modelstac.registry.running.batch import BatchAxes, batch_difference
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import TensorSignature
from modelstac.registry.serving.batching import Batcher
from modelstac.registry.serving.settings import InferenceSettings
from modelstac.registry.serving.tensors import DATATYPES, Array

LOG = logging.getLogger("modelstac.server")


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
        axes = BatchAxes.of(signature, settings.max_batch) if together else None
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
    if BatchAxes.of(model.signature, settings.max_batch) is None:
        return False
    try:
        moved = model.description.moves_with_batch or batch_difference(model)
    except ModelStacError as error:
        LOG.warning("requests of %s run one by one: %s", model.item.id, error)
        return False
    if moved:
        LOG.warning("requests of %s run one by one: others in a batch move a result by %.1e", model.item.id, moved)
    return not moved


def _tensor(tensor: TensorSignature) -> dict[str, Any]:
    said: dict[str, Any] = {"dim_order": ",".join(tensor.dim_order)}
    open_ones = {axis: str(size) for axis, size in tensor.axes.items() if not (size.is_fixed or size.is_any)}
    if open_ones:
        said["sizes"] = ", ".join(f"{axis} {size}" for axis, size in open_ones.items())
    if tensor.optional:
        said["optional"] = True
    return {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": list(tensor.shape), "parameters": said}
