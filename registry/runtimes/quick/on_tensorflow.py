"""Keras on TensorFlow, as one traced graph for each shape.

Keras' own ``predict`` traces anew for a second shape and from then on with open sizes, with which some layers compute
something else (``TimeDistributed`` walks over the batch in place of the time) and others cannot be traced at all
(bilinear ``UpSampling2D``). Traced with the sizes of the arrays at hand, a layer sees what it sees when it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from modelstac.registry.runtimes.keras_on_torch import packed
from modelstac.registry.runtimes.quick.per_shape import Array, RunFlat


def traced(model: keras.Model, flat: Sequence[Any]) -> RunFlat:
    """Trace a model with the shapes of arrays in the order of ``model.inputs``; None is an input that is left out."""
    given = [number for number, array in enumerate(flat) if array is not None]
    specs = [tf.TensorSpec(flat[number].shape, model.inputs[number].dtype) for number in given]

    def forward(*tensors: Any) -> list[Any]:
        full: list[Any] = [None] * len(flat)
        for number, tensor in zip(given, tensors, strict=True):
            full[number] = tensor
        found: list[Any] = keras.tree.flatten(model(packed(model, full), training=False))
        return found

    graph = tf.function(forward, input_signature=specs).get_concrete_function()

    def run(flat: Sequence[Any]) -> list[Array]:
        tensors = [tf.convert_to_tensor(flat[i], spec.dtype) for i, spec in zip(given, specs, strict=True)]
        return [tensor.numpy() for tensor in graph(*tensors)]

    return run
