"""The ConvLSTM in Keras 3, from its own layers only: plain Keras loads the file, with ``safe_mode``, on any backend."""

from __future__ import annotations

from typing import Any

import keras

from modelstac.training.architectures import variables_keras
from modelstac.training.spec import BATCH_NORM_EPSILON, OUTPUT_KERNEL, ConvLSTMSpec
from modelstac.training.weights import CONVLSTM_PARTS, NORM_PARTS, Weights


def build(spec: ConvLSTMSpec) -> Any:
    """Build the functional Keras model of a specification.

    Parameters
    ----------
    spec
        The architecture.

    Returns
    -------
    keras.Model
        Maps (batch, frames, height, width, 1) to the same shape; values from 0 to 1 in both.
    """
    inputs = keras.Input((spec.frames, spec.height, spec.width, 1), name="frames")
    x = inputs
    for layer, (filters, kernel) in enumerate(zip(spec.filters, spec.kernels, strict=True)):
        x = keras.layers.ConvLSTM2D(
            filters,
            kernel,
            padding="same",
            return_sequences=True,
            activation=_cell_activation(spec),
            recurrent_activation=spec.recurrent_activation,
            name=f"convlstm_{layer}",
        )(x)
        x = keras.layers.LeakyReLU(negative_slope=spec.leaky_slope, name=f"leaky_{layer}")(x)
        if spec.normalised(layer):
            x = keras.layers.BatchNormalization(
                momentum=spec.batch_norm_momentum, epsilon=BATCH_NORM_EPSILON, name=f"norm_{layer}"
            )(x)
    outputs = keras.layers.Conv3D(1, OUTPUT_KERNEL, padding="same", activation=spec.output_activation, name="output")(x)
    return keras.Model(inputs, outputs, name="convlstm")


def _cell_activation(spec: ConvLSTMSpec) -> Any:
    # Keras' function leaky_relu has the fixed slope 0.2; the layer is callable too and is saved with its slope.
    return keras.layers.LeakyReLU(spec.leaky_slope) if spec.cell_activation == "leaky_relu" else spec.cell_activation


def get_weights(model: Any) -> Weights:
    """Give the weights of ``model`` in the form of :mod:`modelstac.training.weights`."""
    return variables_keras.read(_variables(model))


def set_weights(model: Any, weights: Weights) -> None:
    """Set the weights of ``model``, in place.

    Raises
    ------
    SpecError
        When ``weights`` have other names or shapes than those of ``model``.
    """
    variables_keras.write(_variables(model), weights)


def _variables(model: Any) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.ConvLSTM2D):
            variables.update({f"{layer.name}/{part}": getattr(layer.cell, part) for part in CONVLSTM_PARTS})
        elif isinstance(layer, keras.layers.BatchNormalization):
            variables.update({f"{layer.name}/{part}": getattr(layer, part) for part in NORM_PARTS})
        elif isinstance(layer, keras.layers.Conv3D):
            variables.update({f"{layer.name}/{part}": getattr(layer, part) for part in ("kernel", "bias")})
    return variables
