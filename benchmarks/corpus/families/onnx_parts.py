"""What graphs by hand are written with."""

from __future__ import annotations

import numpy as np


class Graph:
    """A graph in the making: weights are random, results are named by themselves."""

    def __init__(self, seed: int, opset: int = 17) -> None:
        self.rng, self.opset = np.random.default_rng(seed), opset
        self.nodes, self.weights, self.counted = [], [], 0

    def weight(self, *shape: int, scale: float = 0.4) -> str:
        return self.constant(self.rng.normal(0, scale, shape).astype(np.float32))

    def constant(self, value, dtype=None) -> str:
        from onnx import numpy_helper

        self.counted += 1
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), f"w{self.counted}"))
        return f"w{self.counted}"

    def __call__(self, operator: str, *inputs: str, outputs: int = 1, **attributes):
        from onnx import helper

        self.counted += 1
        names = [f"r{self.counted}_{n}" for n in range(outputs)]
        self.nodes.append(helper.make_node(operator, [*inputs], names, **attributes))
        return names[0] if outputs == 1 else names

    def model(self, inputs, outputs, domains=()):
        """Give the model: inputs and outputs by name, with shape and type; an output by the result that it is."""
        from onnx import helper

        def value(name, shape, kind="float32"):
            number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
            return helper.make_tensor_value_info(name, number, shape)

        for name, (result, *_) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [result], [name]))
        graph = helper.make_graph(
            self.nodes, "by-hand", [value(n, *s) for n, s in inputs.items()],
            [value(n, *s[1:]) for n, s in outputs.items()], self.weights,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 1) for d in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="by-hand")
