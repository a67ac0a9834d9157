"""Quick forecasts of Keras' own layers on PyTorch, for the two that are many times slower there than they need be.

Keras convolves a ConvLSTM2D's input anew in every step and each gate by itself, and PyTorch's convolution in three
dimensions is slow where it gives few channels. The model itself stays as it is: only what runs it differs, by rounding.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
from keras import ops
from keras.src.models.functional import Functional

FEW = 8
"""Channels that a convolution in three dimensions gives, up to which it is quicker in two."""


def packed(model: Any, flat: Sequence[Any]) -> Any:
    """Give tensors in the order of ``model.inputs`` in the structure that the model is called with."""
    functional = getattr(model, "_functional", None) or model
    struct = getattr(functional, "_inputs_struct", None)
    return flat[0] if struct is None else keras.tree.pack_sequence_as(struct, list(flat))


def quick(model: Any) -> Callable[[Sequence[Any]], Any]:
    """Give what runs a model in inference mode, the quickest way that is known for its layers.

    It takes what the model takes, in the order of ``model.inputs``, and gives what the model gives.
    """
    known = _known(model)
    if not known:
        return lambda flat: model(packed(model, flat), training=False)

    def choose(operation: Any) -> Any:
        found = known.get(id(operation))
        return operation if found is None else partial(_either, operation, found)

    def forecast(flat: Sequence[Any]) -> Any:
        given = [ops.convert_to_tensor(x, dtype=t.dtype) for x, t in zip(flat, model.inputs, strict=True)]
        # What the model does itself when it is called, there with its own layers.
        return model._run_through_graph(given, operation_fn=choose)

    return forecast


def has_quicker(model: Any) -> bool:
    """Tell whether :func:`quick` is another way than the model's own."""
    return bool(_known(model))


def _known(model: Any) -> dict[int, Callable[[Any], Any]]:
    """Give what runs a layer, by the layer; none where the model cannot be run with others in their place."""
    if type(model) is not Functional or "operation_fn" not in _parameters(model):
        return {}
    return {id(layer): found for layer in model.layers if (found := _run_of(layer)) is not None}


def _either(layer: Any, found: Callable[[Any], Any], x: Any, *states: Any, **options: Any) -> Any:
    """Run a layer the quick way, unless it was given a state, a mask or another mode."""
    plain = not states and all(option is None or option is False for option in options.values())
    return found(x) if plain and getattr(x, "_keras_mask", None) is None else layer(x, *states, **options)


def _parameters(model: Any) -> Any:
    # Not public: another version of Keras may have another one, and its own way is right, too.
    return inspect.signature(getattr(model, "_run_through_graph", lambda: None)).parameters


def _run_of(layer: Any) -> Callable[[Any], Any] | None:
    if layer.compute_dtype != "float32":
        return None
    if type(layer) is keras.layers.ConvLSTM2D:
        usual = not (layer.stateful or layer.go_backwards or layer.return_state) and layer.return_sequences
        return (lambda x: _conv_lstm(layer.cell, x)) if usual else None
    if type(layer) is keras.layers.Conv3D:
        plain = layer.strides == layer.dilation_rate == (1, 1, 1) and layer.groups == 1
        usual = plain and layer.padding == "same" and layer.data_format == "channels_last" and layer.filters <= FEW
        return (lambda x: _conv3d(layer, x)) if usual else None
    return None


def _conv_lstm(cell: Any, x: Any) -> Any:
    """Run cells over time: the input convolved for all steps and gates at once, the state for all gates."""
    batch, time, *rest = x.shape
    how = {"strides": cell.strides, "dilation_rate": cell.dilation_rate, "padding": cell.padding}
    gates = ops.conv(ops.reshape(x, (-1, *rest)), cell.kernel, data_format=cell.data_format, **how)
    axis = -1 if cell.data_format == "channels_last" else 1
    if cell.use_bias:
        gates += cell.bias if axis == -1 else cell.bias[:, None, None]
    gates = ops.reshape(gates, (batch, time, *gates.shape[1:]))
    h = c = None
    outputs = []
    for t in range(time):
        gate = gates[:, t]
        if h is not None:
            gate += ops.conv(h, cell.recurrent_kernel, padding="same", data_format=cell.data_format)
        i, f, candidate, o = ops.split(gate, 4, axis=axis)
        fresh = cell.recurrent_activation(i) * cell.activation(candidate)
        c = fresh if c is None else cell.recurrent_activation(f) * c + fresh
        h = cell.recurrent_activation(o) * cell.activation(c)
        outputs.append(h)
    return ops.stack(outputs, axis=1)


def _conv3d(layer: Any, x: Any) -> Any:
    """Convolve in two dimensions for each step of the kernel in time, and add up the steps."""
    batch, time, *rest = x.shape
    reach, *size, channels, filters = layer.kernel.shape
    kernel = ops.reshape(ops.transpose(layer.kernel, (1, 2, 3, 0, 4)), (*size, channels, reach * filters))
    parts = ops.conv(ops.reshape(x, (-1, *rest)), kernel, padding="same", data_format="channels_last")
    before = (reach - 1) // 2
    parts = ops.reshape(parts, (batch, time, *parts.shape[1:3], reach, filters))
    parts = ops.pad(parts, [(0, 0), (before, reach - 1 - before), *[(0, 0)] * 4])
    frames = sum(parts[:, t : t + time, :, :, t] for t in range(reach))
    return layer.activation(frames + layer.bias if layer.use_bias else frames)
