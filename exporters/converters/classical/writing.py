"""Where the nodes and constants that stand for one operator are written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog.errors import ConversionError

_AXES_ARE_INPUTS = 18


class Writing:
    """What stands for one node of ``ai.onnx.ml``.

    Only operators whose form is the same from opset 11 on are written, or known, so that the graph keeps its own.

    Parameters
    ----------
    node
        What is replaced.
    prefix
        Begins every name that is made up.
    opset
        Of the graph.
    """

    def __init__(self, node: onnx.NodeProto, prefix: str, opset: int) -> None:
        self.node, self._prefix, self._opset = node, prefix, opset
        self.attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def value(self, name: str, default: Any = ()) -> Any:
        """Give an attribute; text as such."""
        found = self.attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else found

    def array(self, name: str, kind: Any) -> NDArray[Any]:
        """Give an attribute of several numbers."""
        return np.asarray(list(self.value(name)), kind)

    def constant(self, array: Any, kind: Any = np.float32) -> str:
        """Add a constant and give its name."""
        name = f"{self._prefix}_c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(array, kind)), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and give the name of what it makes."""
        name = f"{self._prefix}_n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def reduced(self, operator: str, value: str) -> str:
        """Add a node that reduces the last axis to one value; where it says so depends on the opset."""
        if self._opset < _AXES_ARE_INPUTS:
            return self.add(operator, value, axes=[-1], keepdims=1)
        return self.add(operator, value, self.constant([-1], np.int64), keepdims=1)

    def end(self, made: Sequence[str]) -> None:
        """Call what was made as the node called it."""
        for name, other in zip(self.node.output, made, strict=False):
            if name:
                self.nodes.append(helper.make_node("Identity", [other], [name], name=f"{self._prefix}_{name}"))

    def floats(self) -> str:
        """Give the first input in single precision, in which ONNX Runtime computes these operators."""
        return self.add("Cast", self.node.input[0], to=TensorProto.FLOAT)

    def refuse(self, what: str) -> ConversionError:
        """Say that this node is not written out."""
        return ConversionError(f"{self.node.op_type} with {what} is not written out in plain operators")
