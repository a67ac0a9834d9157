"""From a Keras model of any architecture to LiteRT, its recurrences unrolled.

Keras' own ``export(format="litert")`` turns a recurrence into a loop over tensor lists, which the plain runtime
does not have. Keras' recurrent layers can say the same step by step (``unroll=True``), for a known number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.closing import asked
from modelstac.exporters.conversion import EXPORTED, FIXED, Conversion, no_options
from modelstac.exporters.converters.interfaces.keras import inputs_of
from modelstac.exporters.converters.interfaces.saved_model import write_keras
from modelstac.exporters.converters.to_litert import written
from modelstac.exporters.sizes import sized
from modelstac.exporters.tracing import shapes_near
from modelstac.registry.running.signature import BATCH
from modelstac.registry.runtimes.keras_on_torch import packed

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model

UNROLLED = f"{EXPORTED}, recurrences unrolled"


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.tflite`` into a folder.

    Raises
    ------
    ConversionError
        When TensorFlow needs operators that are not built into LiteRT (names them), or a recurrence over an open number
        of steps (names its layer).
    SpecError
        On an option.
    """
    no_options(options, "LiteRT")
    network, fixed = model.native, _fixed(model, options)
    rolled = any(map(_is_rolled, network._flatten_layers()))
    if fixed:
        network = _clone(network, lambda layer: type(layer).from_config(layer.get_config()), _inputs(model, fixed))
    if (open_ := _endless(network)) is not None:
        raise ConversionError(
            f"LiteRT takes a fixed number of steps, and the layer {open_.name!r} ({type(open_).__name__}) of "
            f"{model.description.id!r} takes any: fix its axis, such as --fixed time=12"
        )
    unpacked = folder / "saved_model"
    write_keras(_unrolled(network), model.signature, unpacked, item_id=model.description.id)
    return written(model.description, unpacked, folder, method=UNROLLED if rolled else EXPORTED)


def _fixed(model: Model, options: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]]:
    """Give the lengths to fix: those asked for, or where any will do some for all axes but the batch, if it must be."""
    if options.get(FIXED) is not True or _endless(model.native) is None:
        return asked(model.description, options)
    shapes = shapes_near(sized(model), {})
    return {
        tensor.name: {
            axis: length
            for axis, length in zip(tensor.dim_order, shapes[tensor.name], strict=True)
            if axis != BATCH and not tensor.axes[axis].is_fixed
        }
        for tensor in model.signature.inputs
    }


def _inputs(model: Model, fixed: Mapping[str, Mapping[str, int]]) -> Any:
    """Give inputs like those of the model, with some axes fixed, in the structure in which it is called."""
    tensors = inputs_of(model.native, model.signature, f"the file of {model.description.id!r}")
    made = {}
    for tensor in model.signature.inputs:
        old, lengths = tensors[tensor.name], fixed.get(tensor.name, {})
        shape = [lengths.get(axis, size) for axis, size in zip(tensor.dim_order, old.shape, strict=True)]
        made[id(old)] = keras.Input(batch_shape=shape, dtype=old.dtype, name=old.name)
    return packed(model.native, [made[id(old)] for old in model.native.inputs])


def _is_rolled(layer: Any) -> bool:
    return not getattr(layer, "unroll", True)


def _endless(network: keras.Model) -> Any:
    """Give a layer that runs over an open number of steps, itself or by what it wraps."""
    placed = (
        layer for layer in network._flatten_layers() if layer._inbound_nodes and not isinstance(layer, keras.Model)
    )
    running = (layer for layer in placed if any(map(_is_rolled, layer._flatten_layers())))
    return next((layer for layer in running if keras.tree.flatten(layer.input)[0].shape[1] is None), None)


def _clone(network: keras.Model, clone: Callable[[Any], Any], inputs: Any = None) -> keras.Model:
    copy = keras.models.clone_model(network, input_tensors=inputs, clone_function=clone)
    copy.set_weights(network.get_weights())
    return copy


def _unrolled(network: keras.Model) -> keras.Model:
    """Build the same model with recurrences that write down each step."""
    return _clone(network, lambda layer: type(layer).from_config(_unrolling(layer.get_config())))


def _unrolling(config: Any) -> Any:
    """Say of every recurrence in a configuration, those in wrappers too, that it is to be unrolled."""
    if isinstance(config, dict):
        return {key: True if key == "unroll" else _unrolling(value) for key, value in config.items()}
    return [_unrolling(value) for value in config] if isinstance(config, list) else config
