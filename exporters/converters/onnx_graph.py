"""A small notebook in which an ONNX graph is written down node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


class GraphWriter:
    """Collects nodes and constants of one graph (or of the body of a loop).

    Parameters
    ----------
    scope
        Prefix of every name that :meth:`node` makes up. ONNX wants names to be unique over a graph and its bodies.
    """

    def __init__(self, scope: str = "") -> None:
        self._scope = scope
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def scoped(self, scope: str) -> GraphWriter:
        """Give a writer of the same graph whose names have another prefix."""
        other = GraphWriter(scope)
        other._nodes, other._constants = self._nodes, self._constants
        return other

    def name(self, part: str) -> str:
        """Give the name of something in this scope."""
        return self._scope + part

    def node(self, op: str, inputs: Sequence[str], *, name: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add a node and give the name of its first output (``name`` in this scope, unless ``outputs`` says more)."""
        name = self.name(name)
        outputs = list(outputs) or [name]
        self._nodes.append(helper.make_node(op, list(inputs), outputs, name=name, **attributes))
        return outputs[0]

    def constant(self, name: str, value: NDArray[Any] | Sequence[int]) -> str:
        """Add a constant (integers become int64) and give its name; the same name twice is the same constant."""
        if name not in self._constants:
            array = value if isinstance(value, np.ndarray) else np.asarray(value, np.int64)
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def close(
        self, name: str, inputs: Mapping[str, Sequence[int | str]], outputs: Mapping[str, Sequence[int | str]]
    ) -> onnx.GraphProto:
        """Give the finished graph; ``inputs`` and ``outputs`` map names of float32 tensors to shapes."""
        return helper.make_graph(
            self._nodes,
            name,
            [_tensor(*pair) for pair in inputs.items()],
            [_tensor(*pair) for pair in outputs.items()],
            list(self._constants.values()),
        )


def _tensor(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def operators(graph: onnx.GraphProto) -> Counter[str]:
    """Count the operators of a graph and of the bodies of its loops and branches."""
    return Counter(node.op_type for part in parts(graph) for node in part.node)


def parts(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and the bodies of its loops and branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from parts(inner)
