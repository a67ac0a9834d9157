"""Inputs and outputs of an ONNX graph by the names of an item, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from modelstac.catalog.items.sizes import OPEN
from modelstac.exporters.converters.onnx_graph import parts
from modelstac.registry.running.signature import Signature, TensorSignature
from modelstac.registry.runtimes.names import apart


def name_as(graph: onnx.GraphProto, signature: Signature, inputs: Mapping[str, str], outputs: Sequence[str]) -> None:
    """Give inputs and outputs of a graph the names of an item, and put them in its order.

    Parameters
    ----------
    graph
        Is changed.
    signature
        Inputs and outputs of the item.
    inputs
        What the graph calls them, by their names in the item. One that the graph does not use, and which the tool
        left out therefore, becomes an input again.
    outputs
        What the graph calls them, in the order of the item; one tensor may be several of them.
    """
    values = {value.name: value for value in graph.input}
    made = {value.name: value for value in graph.output}
    renamed = {inputs[tensor.name]: tensor.name for tensor in signature.inputs if inputs[tensor.name] in values}
    given = set(values)
    del graph.output[:]
    for tensor, place in zip(signature.outputs, outputs, strict=True):
        name = apart(tensor.name, inputs)
        value = onnx.ValueInfoProto()
        value.CopyFrom(made[place])
        if place in given or place in renamed:  # an input is given as it is, or one tensor twice
            value.name = _free(graph, "output")
            graph.node.append(helper.make_node("Identity", [place], [value.name], name=value.name))
        renamed[value.name] = name
        graph.output.append(value)
    _rename(graph, renamed)
    known = {value.name: value for value in graph.input}
    first = [known.pop(tensor.name, None) or _unused(tensor) for tensor in signature.inputs]
    rest = [value for value in graph.input if value.name in known]  # initialisers, which old versions list
    del graph.input[:]
    graph.input.extend([*first, *rest])


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename tensors throughout a graph and its bodies; others that have one of these names get another."""
    changed = {old: new for old, new in names.items() if old != new}
    taken = _names(graph)
    for new in list(changed.values()):
        if new in taken and new not in names:
            changed[new] = _free(graph, f"{new}_inside", {*changed.values(), *names.values()})
    for part in parts(graph):
        for node in part.node:
            for side in (node.input, node.output):
                side[:] = [changed.get(name, name) for name in side]
        for value in (*part.input, *part.output, *part.value_info, *part.initializer):
            value.name = changed.get(value.name, value.name)
        for sparse in part.sparse_initializer:
            sparse.values.name = changed.get(sparse.values.name, sparse.values.name)


def _names(graph: onnx.GraphProto) -> set[str]:
    found: set[str] = set()
    for part in parts(graph):
        found.update(value.name for value in (*part.input, *part.output, *part.initializer))
        found.update(name for node in part.node for name in (*node.input, *node.output))
    return found


def _free(graph: onnx.GraphProto, name: str, others: Iterable[str] = ()) -> str:
    taken, number = _names(graph).union(others), 0
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _unused(tensor: TensorSignature) -> onnx.ValueInfoProto:
    shape = [axis if size == OPEN else size for axis, size in zip(tensor.dim_order, tensor.shape, strict=True)]
    return helper.make_tensor_value_info(tensor.name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), shape)
