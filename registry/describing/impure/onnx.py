"""Operators of an ONNX graph that draw random numbers or take the statistics of a batch, as far as an output sees them.

Source: ONNX operator schemas, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
SIGNS = tuple(name.encode() for name in sorted({*RANDOM, "Dropout", "training_mode"}))
"""A file without any of these words has no such operator: then it need not be read again."""
Constants = dict[str, "onnx.TensorProto"]


def read(data: bytes) -> list[str]:
    """Name the nodes."""
    if not any(sign in data for sign in SIGNS):
        return []
    import onnx

    model = onnx.load_from_string(data)
    impure: dict[tuple[str, str], list[str]] = {}
    for function in model.functions:  # one that calls another stands after it
        impure[function.domain, function.name] = _named(function.node, _constants(function.node), impure)
    constants = _constants(model.graph.node) | {tensor.name: tensor for tensor in model.graph.initializer}
    wanted = {value.name for value in model.graph.output}
    found: list[str] = []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input) | {name for graph in _graphs(node) for name in _outside(graph)}
            found = _named([node], constants, impure) + found
    return list(dict.fromkeys(found))


def _named(nodes: object, constants: Constants, impure: dict[tuple[str, str], list[str]]) -> list[str]:
    found = []
    for node in nodes:  # type: ignore[attr-defined]
        found += impure.get((node.domain, node.op_type), [])
        if node.domain in {"", "ai.onnx"} and (what := _what(node, constants)):
            place = f" in the node {node.name!r}" if node.name else ""
            found.append(f"{node.op_type}{place} {what}")
        for graph in _graphs(node):
            known = constants | _constants(graph.node) | {tensor.name: tensor for tensor in graph.initializer}
            found += _named(graph.node, known, impure)
    return found


def _what(node: onnx.NodeProto, constants: Constants) -> str:
    if node.op_type in RANDOM:
        return "draws random numbers"
    if node.op_type == "Dropout":
        import numpy as np
        from onnx import numpy_helper

        ratio, training = ([*node.input, "", ""][place] for place in (1, 2))
        at_work = training in constants and bool(np.any(numpy_helper.to_array(constants[training])))
        nothing = ratio in constants and not np.any(numpy_helper.to_array(constants[ratio]))
        return "drops values at random, as in training" if at_work and not nothing else ""
    if node.op_type == "BatchNormalization":
        at_work = any(a.name == "training_mode" and a.i for a in node.attribute)
        return "normalises by the statistics of each batch, as in training" if at_work else ""
    return ""


def _constants(nodes: object) -> Constants:
    return {
        node.output[0]: attribute.t
        for node in nodes  # type: ignore[attr-defined]
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _outside(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield names that the nodes of a graph take: those of the graph around it are among them."""
    for node in graph.node:
        yield from node.input
        for inner in _graphs(node):
            yield from _outside(inner)
    yield from (value.name for value in graph.output)
