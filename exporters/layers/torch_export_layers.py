"""Layers of an exported PyTorch program: its graph, run node by node.

Of the modules that it was traced from, nothing but the names of their weights is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modelstac.exporters.layers import Array, Layer, by_file
from modelstac.exporters.layers.torch_layers import shared_names

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Arrays

_WEIGHED = ("conv1d", "conv2d", "conv3d", "conv_transpose", "linear", "batch_norm", "layer_norm", "group_norm")
"""Operators that are a layer with its weights and its bias in one."""


def known(model: Model) -> Iterator[Layer]:
    """List the layers that have weights, by the path that their module had."""
    for name, node in _places(model, model.native.module()).items():
        yield Layer(name, str(node.target))


def run(model: Model, inputs: Arrays, wanted: Sequence[str]) -> dict[str, Array]:
    """Give what they make of inputs."""
    module = model.native.module()
    places = {node: name for name, node in _places(model, module).items() if name in wanted}
    found: dict[str, Array] = {}

    class Watched(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            made = super().run_node(n)
            if n in places:
                found[places[n]] = made.detach().cpu().float().numpy()
            return made

    given = by_file(model, inputs, tuple(model.native.graph_signature.user_inputs), named=False)
    with torch.inference_mode():
        Watched(module).run(*(torch.from_numpy(np.array(array)) for array in given.values()))
    return found


def _places(model: Model, module: Any) -> dict[str, torch.fx.Node]:
    paths = shared_names(model.description)
    found: dict[str, torch.fx.Node] = {}
    for node in module.graph.nodes:
        operator = str(node.target).removeprefix("aten.")
        weights = [
            str(one.target)
            for one in node.all_input_nodes
            if one.op == "get_attr" and str(one.target).endswith(".weight")
        ]
        if node.op == "call_function" and operator.startswith(_WEIGHED) and len(weights) == 1:
            path = weights[0].removesuffix(".weight")
            if not paths or path in paths:
                found.setdefault(paths.get(path, path), node)
    return found
