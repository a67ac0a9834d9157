"""A small U-Net (Ronneberger et al. 2015): in PyTorch to train it, and the same function written down as ONNX.

Two levels of 3 x 3 convolutions with rectifiers, halved by the largest of four pixels and doubled by the nearest one.
Written node by node, the graph has no version of an exporter in it, and its rows and columns stay open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody uses
from torch import Tensor, nn

if TYPE_CHECKING:
    import onnx

FILTERS = (12, 24, 48)
STRIDE = 2 ** (len(FILTERS) - 1)
"""Of what rows and columns must be multiples."""
INPUT, OUTPUT = "image", "scores"
OPSET = 17


def convolutions(bands: int, classes: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, kernel size, channels in and channels out of every convolution, in the order of computing."""
    channels = bands
    for level, filters in enumerate(FILTERS):
        yield f"down_{level}_0", 3, channels, filters
        yield f"down_{level}_1", 3, filters, filters
        channels = filters
    for level in reversed(range(len(FILTERS) - 1)):
        yield f"up_{level}_0", 3, channels + FILTERS[level], FILTERS[level]
        yield f"up_{level}_1", 3, FILTERS[level], FILTERS[level]
        channels = FILTERS[level]
    yield "classes", 1, channels, classes


class Network(nn.Module):
    """From bands (batch, band, row, column) to scores of classes (batch, class, row, column)."""

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                name: nn.Conv2d(channels, filters, kernel, padding=kernel // 2)
                for name, kernel, channels, filters in convolutions(bands, classes)
            }
        )
        for layer in self.layers.values():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, of which the highest is the class."""
        skipped = []
        for level in range(len(FILTERS)):
            x = self._pair(F.max_pool2d(x, 2) if level else x, f"down_{level}")
            skipped.append(x)
        for level in reversed(range(len(FILTERS) - 1)):
            x = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skipped[level]], dim=1)
            x = self._pair(x, f"up_{level}")
        scores: Tensor = self.layers["classes"](x)
        return scores

    def _pair(self, x: Tensor, name: str) -> Tensor:
        for number in (0, 1):
            x = F.relu(self.layers[f"{name}_{number}"](x))
        return x


def to_onnx(network: Network, bands: int, classes: int) -> onnx.ModelProto:
    """Write a network down as ONNX; batch, rows and columns stay open."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = [
        numpy_helper.from_array(value.detach().cpu().numpy(), name.removeprefix("layers."))
        for name, value in network.named_parameters()
    ]
    graph = helper.make_graph(
        list(_nodes(bands, classes)),
        "landcover",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", bands, "height", "width"])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", classes, "height", "width"])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="modelstac")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def _nodes(bands: int, classes: int) -> Iterator[Any]:
    from onnx import helper

    kernels = {name: kernel for name, kernel, *_ in convolutions(bands, classes)}

    def convolution(name: str, x: str, y: str) -> Any:
        pads = [kernels[name] // 2] * 4
        return helper.make_node("Conv", [x, f"{name}.weight", f"{name}.bias"], [y], name=name, pads=pads)

    def pair(x: str, name: str) -> Iterator[Any]:
        for number in (0, 1):
            one = f"{name}_{number}"
            yield convolution(one, x, f"{one}.sum")
            yield helper.make_node("Relu", [f"{one}.sum"], [one])
            x = one

    x = INPUT
    for level in range(len(FILTERS)):
        if level:
            yield helper.make_node("MaxPool", [x], [f"pool_{level}"], kernel_shape=[2, 2], strides=[2, 2])
            x = f"pool_{level}"
        yield from pair(x, f"down_{level}")
        x = f"down_{level}_1"
    yield helper.make_node("Constant", [], ["twice"], value_floats=[1.0, 1.0, 2.0, 2.0])
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    for level in reversed(range(len(FILTERS) - 1)):
        yield helper.make_node("Resize", [x, "", "twice"], [f"larger_{level}"], **how)
        yield helper.make_node("Concat", [f"larger_{level}", f"down_{level}_1"], [f"joined_{level}"], axis=1)
        yield from pair(f"joined_{level}", f"up_{level}")
        x = f"up_{level}_1"
    yield convolution("classes", x, OUTPUT)
