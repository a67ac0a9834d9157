"""Models of anybody's, as their makers save them: three by Keras, two by PyTorch, one by another tool as ONNX.

As a program, since a process has one Keras backend: ``python any_models.py CATALOG`` saves the three by Keras,
publishes and converts them, and prints what happened as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from modelstac.catalog.items.writing import write_item
from modelstac.registry.describing.describe import Statement, describe_file

KERAS = {
    "land-cover": ("ResNet", ("batch", "height", "width", "bands"), ("batch", "class"), ("B02", "B03", "B04", "B08")),
    "water": ("U-Net", ("batch", "height", "width", "bands"), ("batch", "height", "width", "class"), ("r", "g", "b")),
    "crop": ("LSTM", ("batch", "time", "feature"), ("batch", "target"), ()),
}
TARGETS = ("onnx", "saved-model", "litert", "openvino", "torch-export", "keras-torch")


def statement(name, architecture, input_dims, output_dims, bands=(), **more):
    box = [[5.0, 50.0], [10.0, 50.0], [10.0, 55.0], [5.0, 55.0], [5.0, 50.0]]
    said = {
        "name": name,
        "version": "1.0.0",
        "tasks": ("regression",),
        "architecture": architecture,
        "license": "MIT",
        "geometry": {"type": "Polygon", "coordinates": [box]},
        "start": datetime(2020, 1, 1, tzinfo=UTC),
        "end": datetime(2021, 1, 1, tzinfo=UTC),
        "input_dims": input_dims,
        "output_dims": output_dims,
        "bands": bands,
    }
    return Statement(**said | more)


def resnet(layers):
    import keras

    x = inputs = keras.Input((16, 16, 4), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(4, 3, padding="same")(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def unet(layers):
    import keras

    inputs = keras.Input((None, None, 3))
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    b = layers.Conv2D(6, 3, padding="same", activation="relu")(layers.MaxPooling2D()(a))
    c = layers.Conv2D(6, 3, padding="same", activation="relu")(layers.MaxPooling2D()(b))
    d = layers.Concatenate()([layers.Conv2DTranspose(6, 2, strides=2)(c), b])
    e = layers.Concatenate()([layers.UpSampling2D()(layers.Conv2D(4, 3, padding="same")(d)), a])
    return keras.Model(inputs, layers.Conv2D(2, 1, activation="sigmoid")(e))


def lstm(layers):
    import keras

    first = layers.LSTM(5, return_sequences=True)
    return keras.Sequential([keras.Input((4, 3)), first, layers.LSTM(4), layers.Dense(1)])


def save_keras(folder):
    """Save the three models, none of whose statistics is zero or one, as after training."""
    import keras

    from modelstac.registry.runtimes.backends import without_tensorflow

    rng = np.random.default_rng(0)
    for build, name in ((resnet, "land-cover"), (unet, "water"), (lstm, "crop")):
        model = build(keras.layers)
        weights = [w + np.abs(rng.normal(0, 0.02, w.shape)).astype(w.dtype) for w in model.get_weights()]
        model.set_weights(weights)
        with without_tensorflow():
            model.save(folder / f"{name}.keras")


def save_torch(folder):
    """Save a convolutional network, a transformer block and one that takes tokens as exported programs."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
            self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.norm(x)
            x = x + self.attention(y, y, y, need_weights=False)[0]
            return x + self.mlp(x)

    torch.manual_seed(0)
    parts = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    auto = torch.export.Dim.AUTO
    for name, module, shape, dynamic in (
        ("cnn", nn.Sequential(*parts), (2, 3, 12, 12), {0: auto}),
        ("block", Block(), (2, 7, 8), {0: auto, 1: auto}),
        ("tokens", nn.Sequential(nn.Embedding(20, 8), Block()), (2, 7), {0: auto, 1: auto}),
    ):
        given = torch.rand(shape) if name != "tokens" else torch.randint(0, 20, shape)
        program = torch.export.export(module.eval(), (given,), dynamic_shapes=(dynamic,))
        torch.export.save(program, folder / f"{name}.pt2")


def save_onnx(path):
    """Write a small network as another tool would: opset 13, a name for the batch, another producer."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(6, 3)), "b": rng.normal(size=3)}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["z"], name="dense"),
        helper.make_node("Softmax", ["z"], ["y"], name="softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=7, producer_name="other-tool"), path)


def main(href):
    from modelstac.catalog import open_catalog
    from modelstac.catalog.errors import ModelStacError
    from modelstac.exporters.jobs import ExportJob, export
    from modelstac.exporters.workers import Workers

    catalog, found = open_catalog(href, create=True), {}
    with tempfile.TemporaryDirectory() as folder, Workers() as workers:
        save_keras(Path(folder))
        for model, (architecture, *dims, bands) in KERAS.items():
            said = statement(model, architecture, *dims, bands)
            source = catalog.publish(write_item(describe_file(Path(folder) / f"{model}.keras", said))).id
            for target in TARGETS:
                try:
                    found[f"{model} {target}"] = export(ExportJob(source, target), catalog, workers=workers).id
                except ModelStacError as error:
                    found[f"{model} {target}"] = f"{type(error).__name__}: {error}"
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
