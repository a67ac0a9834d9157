"""Layers of a Keras model: a model of the same layers with more outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from modelstac.exporters.layers import Array, Layer, by_file
from modelstac.registry.runtimes.keras import interface

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Arrays


def known(model: Model) -> Iterator[Layer]:
    """List the layers that are called once and give one array of floating point numbers."""
    for layer in model.native.layers:
        if _output(layer) is not None and not isinstance(layer, keras.layers.InputLayer):
            kind = type(layer).__name__
            counted = re.fullmatch(rf"{_snake(kind)}(_\d+)?", layer.name) is not None
            yield Layer(layer.name, kind, named=not counted)


def run(model: Model, inputs: Arrays, wanted: Sequence[str]) -> dict[str, Array]:
    """Give what they make of inputs."""
    outputs = [model.native.get_layer(name).output for name in wanted]
    inner = keras.Model(model.native.inputs, outputs)
    made = inner([*by_file(model, inputs, interface(model.native)[0]).values()], training=False)
    made = made if isinstance(made, list | tuple) else [made]
    return {name: np.asarray(keras.ops.convert_to_numpy(one)) for name, one in zip(wanted, made, strict=True)}


def _output(layer: Any) -> Any:
    try:
        output = layer.output
    except (AttributeError, ValueError):  # called more than once, or never: then it has no one output
        return None
    floats = isinstance(output, keras.KerasTensor) and keras.backend.is_float_dtype(output.dtype)
    return output if floats else None


def _snake(kind: str) -> str:
    """Give the name that Keras makes of a class."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
