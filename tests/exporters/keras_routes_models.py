"""Keras models that the usual way to a format refuses or gets wrong, one of a kind, with what Keras gives eagerly.

As a program, since a process has one Keras backend: ``python keras_routes_models.py CATALOG`` publishes and converts
them, keeps inputs and eager results beside the catalog, and prints what happened as JSON.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

GRID, SERIES, FLAT = ("batch", "height", "width", "channel"), ("batch", "time", "channel"), ("batch", "class")
CASES = {
    "gelu": ("onnx",),
    "grouped": ("onnx",),
    "statistics": ("litert", "onnx", "saved-model"),
    "masked": ("litert", "torch-export"),
    "both-ways": ("litert",),
    "masked-both-ways": ("litert", "torch-export"),
    "cells": ("torch-export",),
    "coarse": ("torch-export",),
    "upsampled": ("saved-model", "litert", "onnx", "openvino"),
    "chain": ("litert",),
    "chosen": ("onnx",),
    "half": ("litert",),
    "strided": ("litert",),
    "named": ("litert", "onnx", "saved-model"),
    "bits": ("saved-model",),
}
"""By the name of a model what it becomes."""
REFUSED = {"skipping": ("torch-export",)}
"""The same of what is not proved."""


def coarse(window):
    """Build a network of a step of sixteen pixels and then windows of 3 x 3, of which PyTorch refuses smaller maps."""
    import keras
    from keras import layers

    x = keras.Input((None, None, 3), name="x")
    y = layers.Conv2D(3, window, strides=16, padding="same", activation="relu")(x)
    return keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(y)))


def models():
    """Yield name, model, dimensions of input and output, and inputs in several sizes, the first size last again."""
    import keras
    from keras import layers, ops
    from keras.src.applications import convnext

    rng = np.random.default_rng(0)
    rows = rng.gamma(2, 700, (40, 8, 8, 3)).astype("float32")

    def image(*shape):
        return rng.normal(0.3, 1, (2, *shape, 3)).astype("float32")

    small = [image(8, 8)]
    x = keras.Input((8, 8, 3), name="x")
    y = convnext.LayerScale(0.5, 2)(layers.Conv2D(2, 3, activation="gelu")(x))  # a layer that Keras does not export
    yield "gelu", keras.Model(x, y), GRID, GRID, small
    x = keras.Input((8, 8, 3), name="x")
    yield "grouped", keras.Model(x, layers.Conv2D(6, 3, groups=3)(x)), GRID, GRID, small
    normalize = layers.Normalization()
    normalize.adapt(rows)
    inside = keras.Model(x, layers.Conv2D(4, 1)(normalize(x)))
    x = keras.Input((8, 8, 3), name="x")
    yield "statistics", keras.Model(x, layers.Add()([inside(x), inside(2 * x)])), GRID, GRID, [rows[:3]]
    yield "coarse", coarse(17), GRID, FLAT, [image(33, 33), image(64, 50)]
    yield "skipping", coarse(3), GRID, FLAT, []  # its program pads as much as on the grid that it was traced on
    x = keras.Input((5, 3), name="x")
    steps = rng.normal(0, 1, (3, 5, 3)).astype("float32")
    steps[0, 3:] = steps[1, 1] = 0
    yield "masked", keras.Model(x, layers.GRU(4)(layers.Masking()(x))), SERIES, FLAT, [steps]
    x = keras.Input((5, 3), name="x")
    yield "both-ways", keras.Model(x, layers.Bidirectional(layers.LSTM(4))(x)), SERIES, FLAT, [steps]
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(layers.Masking()(x))
    yield "masked-both-ways", keras.Model(x, layers.GlobalAveragePooling1D()(y)), SERIES, FLAT, [steps]
    x = keras.Input((5, 3), name="x")
    cells = layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])
    yield "cells", keras.Model(x, cells(x)), SERIES, FLAT, [steps]
    x = keras.Input((None, None, 3), name="x")
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.UpSampling2D(2, interpolation="bilinear")(y)
    open_ = [image(12, 16), image(20, 8), image(12, 16)]
    yield "upsampled", keras.Model(x, layers.Conv2D(2, 1)(y)), GRID, GRID, open_
    x = keras.Input((8, 8, 3), name="x")
    yield "chosen", keras.Model(x, ops.where(x > 0, ops.sqrt(x), 0.0)), GRID, GRID, small
    x = y = keras.Input((None, None, 3), name="x")
    for _ in range(3):
        y = layers.Conv2D(4, 3, strides=2)(y)
    yield "strided", keras.Model(x, y), GRID, GRID, [image(40, 40), image(24, 56), image(40, 40)]
    given = {"b": keras.Input((8, 8, 3), name="b"), "a": keras.Input((4, 4, 3), name="a")}
    wide = layers.UpSampling2D(2)(given["a"])
    made = {"sum": given["b"] + wide, "difference": given["b"] - wide}
    named = [{"b": image(8, 8), "a": image(4, 4)}]
    yield "named", keras.Model(given, made), {"a": GRID, "b": GRID}, {"sum": GRID, "difference": GRID}, named
    x = keras.Input((6,), name="x", dtype="int32")
    bits = ops.cast(ops.bitwise_and(x, ops.right_shift(ops.flip(x, 1), 1)), "float32")
    numbers = [rng.integers(0, 99, (3, 6)).astype("int32")]
    yield "bits", keras.Model(x, ops.roll(bits, 2, axis=1)), FLAT, FLAT, numbers


def chains():
    """Yield the same of models that are a chain of layers."""
    import keras
    from keras import layers

    rng = np.random.default_rng(1)
    small, large = (rng.normal(0.3, 1, (2, *shape, 3)).astype("float32") for shape in ((8, 8), (20, 12)))
    half = [layers.Conv2D(4, 3, dtype="mixed_float16"), layers.BatchNormalization(dtype="mixed_float16")]
    x = keras.Input((8, 8, 3), name="x")
    yield "half", keras.Sequential([x, *half, layers.Conv2D(2, 1)]), GRID, GRID, [small]
    open_ = [layers.Conv2D(4, 3, padding="same"), layers.UpSampling2D(2, interpolation="bilinear")]
    x = keras.Input((None, None, 3), name="x")
    yield "chain", keras.Sequential([x, *open_, layers.Conv2D(2, 1)]), GRID, GRID, [small, large]


def steps(folder):
    """Give shapes and the largest difference from Keras of a layer over an open time axis, as a SavedModel."""
    import keras
    import tensorflow as tf

    from modelstac.catalog.items.sizes import Size
    from modelstac.exporters.converters.interfaces.saved_model import write_keras
    from modelstac.registry.running.signature import Signature, TensorSignature

    x = keras.Input((None, 6, 6, 2), name="x")
    model = keras.Model(x, keras.layers.TimeDistributed(keras.layers.Conv2D(3, 3), name="y")(x))
    axes = ("batch", "time", "height", "width", "channel")
    sides = [
        (TensorSignature(name, (Size(1, 1), Size(1, 1), *map(Size.fixed, grid)), axes, "float32"),)
        for name, grid in (("x", (6, 6, 2)), ("y", (4, 4, 3)))
    ]
    write_keras(model, Signature(*sides), folder / "steps", item_id="steps")
    serve = tf.saved_model.load(str(folder / "steps")).signatures["serving_default"]
    shapes, apart = [], 0.0
    for batch, time in ((2, 5), (3, 2)):
        given = np.random.default_rng(time).random((batch, time, 6, 6, 2), np.float32)
        got = serve(x=tf.constant(given))["y"].numpy()
        shapes.append(list(got.shape))
        apart = max(apart, float(np.abs(got - np.asarray(model(given))).max()))
    return shapes, apart


def _neighbour(name):
    path = Path(__file__).with_name(name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def eager(model, given):
    """Give what a model gives, by the names of its outputs, without a graph of any kind."""
    made = model(given, training=False)
    named = made if isinstance(made, dict) else {"": made}
    return {name: np.asarray(tensor) for name, tensor in named.items()}


def main(href):
    from modelstac.catalog import open_catalog
    from modelstac.catalog.errors import ModelStacError
    from modelstac.catalog.items.writing import write_item
    from modelstac.exporters.jobs import ExportJob, export
    from modelstac.exporters.workers import Workers
    from modelstac.registry.describing.describe import describe_file
    from modelstac.registry.runtimes.backends import without_tensorflow

    statement = _neighbour("any_models.py").statement
    catalog, found = open_catalog(href, create=True), {}
    with tempfile.TemporaryDirectory() as folder, Workers() as workers:
        for name, model, dims, output_dims, inputs in itertools.chain(models(), chains()):
            path = Path(folder) / f"{name}.keras"
            with without_tensorflow():
                model.save(path)
            source = catalog.publish(write_item(describe_file(path, statement(name, "Net", dims, output_dims))))
            for number, given in enumerate(inputs):
                kept = {
                    f"in|{key}": array for key, array in (given if isinstance(given, dict) else {"x": given}).items()
                }
                kept |= {f"out|{key}": array for key, array in eager(model, given).items()}
                np.savez(Path(href).parent / f"{name}-{number}.npz", **kept)
            for target in (CASES | REFUSED)[name]:
                try:
                    found[f"{name} {target}"] = export(ExportJob(source.id, target), catalog, workers=workers).id
                except ModelStacError as error:
                    found[f"{name} {target}"] = f"{type(error).__name__}: {error}"
        found["steps"], found["steps apart"] = steps(Path(folder))
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
