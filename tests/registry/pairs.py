"""A model of two inputs and two outputs in every format: radar and optical in, height and mask out.

``x = concatenate(s1, s2)``, ``height = x HEIGHT`` and ``mask = x MASK``. Names stand in the file in another order than
in the item: what goes by an order alone is wrong.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure

DIMS = ("batch", "height", "width", "bands")
S1, S2 = ("vv",), ("red", "green", "nir")
SHAPE = (6, 5)
HEIGHT = np.array([[2.0], [1.0], [0.0], [0.5]], np.float32)
MASK = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 1.0]], np.float32)
IN_FILE = ("s2", "s1"), ("height", "mask")


def fields(height: int = -1, width: int = -1) -> dict[str, Any]:
    """Return inputs and outputs as the item has them: in the order s1, s2 and mask, height."""

    def layout(kind: type[Any], bands: int) -> Any:
        return kind(shape=(-1, height, width, bands), dim_order=DIMS, data_type="float32")

    return {
        "inputs": (
            ModelInput(name="s1", bands=S1, input=layout(InputStructure, 1)),
            ModelInput(name="s2", bands=S2, input=layout(InputStructure, 3)),
        ),
        "outputs": (
            ModelOutput(name="mask", bands=("a", "b"), tasks=("segmentation",), result=layout(ResultStructure, 2)),
            ModelOutput(name="height", bands=("h",), tasks=("regression",), result=layout(ResultStructure, 1)),
        ),
    }


def example(batch: int = 2) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return inputs, and the outputs that they give."""
    random = np.random.default_rng(3)
    s1, s2 = (random.random((batch, *SHAPE, bands), np.float32) for bands in (1, 3))
    together = np.concatenate([s1, s2], -1)
    return {"s1": s1, "s2": s2}, {"mask": together @ MASK, "height": together @ HEIGHT}


def write_onnx(folder: Path) -> Path:
    layouts = [["batch", "height", "width", bands] for bands in (3, 1, 1, 2)]
    names = [*IN_FILE[0], *IN_FILE[1]]
    s2, s1, height, mask = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, layout)
        for name, layout in zip(names, layouts, strict=True)
    )
    nodes = [
        helper.make_node("Concat", ["s1", "s2"], ["x"], axis=-1),
        helper.make_node("MatMul", ["x", "a"], ["height"]),
        helper.make_node("MatMul", ["x", "b"], ["mask"]),
    ]
    weights = [numpy_helper.from_array(HEIGHT, "a"), numpy_helper.from_array(MASK, "b")]
    graph = helper.make_graph(nodes, "g", [s2, s1], [height, mask], weights)
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


ARCHITECTURE = """
    import torch

    class Pair(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.height = torch.nn.Linear(4, 1, bias=False)
            self.mask = torch.nn.Linear(4, 2, bias=False)

        def forward(self, s2, s1):
            x = torch.cat([s1, s2], -1)
            return {"height": self.height(x), "mask": self.mask(x)}

    def build(architecture):
        return Pair()
"""


def torch_module() -> Any:
    import textwrap

    import torch

    known: dict[str, Any] = {}
    exec(textwrap.dedent(ARCHITECTURE), known)
    module = known["build"]({})
    module.load_state_dict({"height.weight": torch.from_numpy(HEIGHT.T), "mask.weight": torch.from_numpy(MASK.T)})
    return module


def write_torch(folder: Path) -> Path:
    from safetensors.torch import save_file

    state = {name: tensor.contiguous() for name, tensor in torch_module().state_dict().items()}
    save_file(state, folder / "model.safetensors")
    return folder / "model.safetensors"


def write_torch_export(folder: Path) -> Path:
    import torch

    sizes = {i: torch.export.Dim(name) for i, name in enumerate(("batch", "height", "width"))}
    given = tuple(torch.zeros(2, *SHAPE, bands) for bands in (3, 1))
    program = torch.export.export(torch_module(), given, dynamic_shapes=(sizes, sizes))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    (folder / "model.pt2").write_bytes(buffer.getvalue())
    return folder / "model.pt2"


def saved_model(folder: Path) -> Path:
    import tensorflow as tf

    class Network(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None, None, 3), name="s2"),
                tf.TensorSpec((None, None, None, 1), name="s1"),
            ]
        )
        def __call__(self, s2: Any, s1: Any) -> Any:
            x = tf.concat([s1, s2], -1)
            return {"height": x @ HEIGHT, "mask": x @ MASK}

    network = Network()
    tf.saved_model.save(network, str(folder / "saved"), signatures=network.__call__)
    return folder / "saved"


def write_saved_model(folder: Path) -> Path:
    from modelstac.registry.inspecting.folders import pack

    pack(saved_model(folder), folder / "model.savedmodel.zip")
    return folder / "model.savedmodel.zip"


def write_litert(folder: Path) -> Path:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model(folder)))
    (folder / "model.tflite").write_bytes(converter.convert())
    return folder / "model.tflite"


def write_openvino(folder: Path) -> Path:
    import openvino

    from modelstac.registry.inspecting.folders import pack

    (folder / "ov").mkdir()
    openvino.save_model(openvino.convert_model(write_onnx(folder)), folder / "ov" / "model.xml", compress_to_fp16=False)
    pack(folder / "ov", folder / "model.openvino.zip")
    return folder / "model.openvino.zip"


def write_keras(folder: Path) -> Path:
    """Only in a process that has a backend for it alone."""
    import keras

    from modelstac.registry.runtimes.backends import without_tensorflow

    s2, s1 = (keras.Input((None, None, bands), name=name) for name, bands in (("s2", 3), ("s1", 1)))
    x = keras.layers.Concatenate()([s1, s2])
    heads = [keras.layers.Dense(n, use_bias=False, name=name) for name, n in (("height", 1), ("mask", 2))]
    model = keras.Model([s2, s1], [head(x) for head in heads])
    for head, weights in zip(heads, (HEIGHT, MASK), strict=True):
        head.set_weights([weights])
    with without_tensorflow():
        model.save(folder / "model.keras")
    return folder / "model.keras"


WRITERS: dict[str, Callable[[Path], Path]] = {
    "onnx": write_onnx,
    "torch": write_torch,
    "torch-export": write_torch_export,
    "saved-model": write_saved_model,
    "litert": write_litert,
    "openvino": write_openvino,
}
