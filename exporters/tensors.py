"""The weights of a model by name, of whatever maker: to be compared, not to be moved.

Those of our own architectures have the same names and layouts in every format; of others each tensor has the name and
the layout that its file gives it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.architecture import artifact_of, named, read_spec, take_apart

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model

Tensors = dict[str, NDArray[Any]]


def tensors(model: Model) -> Tensors:
    """Give the weights of a loaded model; none where its format does not give them back."""
    try:
        return dict(take_apart(model)[1])
    except ConversionError:  # another architecture, or a graph that was not rebuilt from its weights
        read = _READERS.get(model.description.format)
        return {} if read is None else read(model)


def _keras(model: Model) -> Tensors:
    keras = importlib.import_module("keras")
    return {weight.path: np.array(keras.ops.convert_to_numpy(weight)) for weight in model.native.weights}


def _torch(model: Model) -> Tensors:
    state = model.native.state_dict
    found = state() if callable(state) else state
    return {name: tensor.detach().cpu().float().numpy() for name, tensor in found.items()}


def _onnx(model: Model) -> Tensors:
    onnx = importlib.import_module("onnx")
    graph = onnx.load_from_string(artifact_of(model).data).graph
    stored = {tensor.name: np.array(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    return _of_our_module(model, stored) or stored


def _of_our_module(model: Model, stored: Tensors) -> Tensors:
    """Of a graph by PyTorch's exporter the weights are those of the module, by its own names."""
    try:
        adapter, spec = named(model.description).module("torch"), read_spec(model.description)
    except (ConversionError, ModuleNotFoundError):
        return {}
    torch = importlib.import_module("torch")
    module = adapter.build(spec)
    if not stored.keys() >= module.state_dict().keys():
        return {}
    module.load_state_dict({name: torch.from_numpy(stored[name]) for name in module.state_dict()})
    return dict(adapter.get_weights(module))


_READERS: MappingProxyType[str, Callable[[Model], Tensors]] = MappingProxyType(
    {"keras": _keras, "torch": _torch, "torch-export": _torch, "onnx": _onnx}
)
