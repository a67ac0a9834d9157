"""A small notebook in which an ONNX graph is written down node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def node(self, op: str, inputs: Sequence[str], *, name: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add a node and give the name of its first output (``name`` in this scope, unless ``outputs`` says more)."""
        name = self._scope + name
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
