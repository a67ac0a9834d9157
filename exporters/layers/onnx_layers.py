"""Layers of an ONNX graph: a copy of it, in memory, of which more is given out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.architecture import artifact_of, read_spec
from modelstac.exporters.layers import Array, Layer, by_file
from modelstac.training.architecture import ARCHITECTURES
from modelstac.training.spec import ConvLSTMSpec

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Arrays

_WEIGHED = frozenset({"Conv", "ConvTranspose", "Gemm", "BatchNormalization", "LayerNormalization"})
"""Operators that are a layer with its weights and its bias in one."""
_COUNTED = re.compile(r"_\d+$")
_COMMON = (1, 0, 3, 4, 2)
"""From (time, batch, channels, height, width) to the order that Keras has."""


def known(model: Model) -> Iterator[Layer]:
    """List what can be named: layers whose weights, or whose Keras layer, have a name in the graph; else every node."""
    graph = _graph(model)
    places = _places(model, graph)
    kinds = {name: node.op_type for node in graph.graph.node for name in node.output}
    if places:
        yield from (Layer(name, kinds[place]) for name, place in places.items())
    else:
        last = {output.name for output in graph.graph.output}
        yield from (
            Layer(node.output[0], node.op_type, named=False)
            for node in graph.graph.node
            if node.output[0] not in last and node.op_type not in {"Constant", "Shape"}
        )


def run(model: Model, inputs: Arrays, wanted: Sequence[str]) -> dict[str, Array]:
    """Give what they make of inputs."""
    graph = _graph(model)
    places = _places(model, graph)
    names = {name: places.get(name, name) for name in wanted}
    given_out = {output.name for output in graph.graph.output}
    graph.graph.output.extend(onnx.ValueInfoProto(name=place) for place in {*names.values()} - given_out)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = session.run([*names.values()], by_file(model, inputs, [value.name for value in session.get_inputs()]))
    found = {name: array.astype(np.float32) for name, array in zip(names, made, strict=True) if array.dtype.kind == "f"}
    if not _ours(graph):
        return found
    first = model.signature.inputs[0]
    batch = inputs[first.name].shape[first.dim_order.index("batch")]
    steps = {
        name: array if array.ndim == 5 else array.reshape(-1, batch, *array.shape[1:]) for name, array in found.items()
    }
    return {name: step.transpose(_COMMON) for name, step in steps.items()}


def _graph(model: Model) -> Any:
    return onnx.load_model_from_string(artifact_of(model).data)


def _ours(graph: Any) -> bool:
    return any(node.name.startswith("convlstm_") and "/" in node.output[0] for node in graph.graph.node)


def _places(model: Model, graph: Any) -> dict[str, str]:
    """Give the names of tensors of the graph by the name of the layer that makes them."""
    try:
        spec = read_spec(model.description)
    except ConversionError:  # somebody else's
        spec = None
    if isinstance(spec, ConvLSTMSpec) and _ours(graph):
        return dict(_written_by_hand(spec, graph))
    found = dict(_by_weights(model, graph)) or dict(_by_keras_names(graph))
    if spec is None:
        return found
    shared = {name.rpartition("/")[0] for name in ARCHITECTURES[model.description.architecture].shapes(spec)}
    return {name: place for name, place in found.items() if name in shared}


def _written_by_hand(spec: ConvLSTMSpec, graph: Any) -> Iterator[tuple[str, str]]:
    """In a loop the way out of a layer is part of its body; unrolled, it follows."""
    made = {name for node in graph.graph.node for name in node.output}
    for number in range(spec.layers):
        way_out = "norm" if spec.normalised(number) else "leaky"
        unrolled, loop = f"convlstm_{number}/{way_out}", f"convlstm_{number}/sequence"
        if (place := unrolled if unrolled in made else loop) in made:
            yield f"{way_out}_{number}", place


def _by_weights(model: Model, graph: Any) -> Iterator[tuple[str, str]]:
    """Of PyTorch's exporter the weights have the paths of their modules."""
    stored = {tensor.name for tensor in graph.graph.initializer}
    paths = _shared_paths(model)
    for node in graph.graph.node:
        weights = [name for name in node.input if name in stored and name.endswith(".weight")]
        if node.op_type in _WEIGHED and len(weights) == 1:
            path = weights[0].removesuffix(".weight")
            yield paths.get(path, path), node.output[0]


def _shared_paths(model: Model) -> dict[str, str]:
    try:
        from modelstac.exporters.layers.torch_layers import shared_names
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return {}  # then the names of modules are all there is
    return dict(shared_names(model.description))


def _by_keras_names(graph: Any) -> Iterator[tuple[str, str]]:
    """Of Keras' exporter nodes are named ``model_1/layer_1/operator``; the last of a layer gives what it gives."""
    for node in graph.graph.node:
        *before, layer, operator = node.name.split("/") if node.name.count("/") > 1 else ["", ""]
        if before and not re.search(r"__\d+$", operator):
            yield _COUNTED.sub("", layer), node.output[0]
