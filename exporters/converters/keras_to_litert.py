"""From a Keras model of any architecture to LiteRT, its recurrences unrolled.

Keras' own ``export(format="litert")`` turns a recurrence into a loop over tensor lists, which the plain runtime
does not have. Keras' recurrent layers can say the same step by step (``unroll=True``), for a known number of steps.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.exporters.conversion import EXPORTED, Conversion, no_options
from modelstac.exporters.converters.to_litert import written

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model

_RESIZING = (keras.layers.UpSampling1D, keras.layers.UpSampling2D, keras.layers.UpSampling3D, keras.layers.Resizing)
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
    rolled = [layer for layer in model.native._flatten_layers() if getattr(layer, "unroll", True) is False]
    if open_ := next((layer for layer in rolled if layer.input.shape[1] is None), None):
        raise ConversionError(
            f"LiteRT takes a fixed number of steps, and the layer {open_.name!r} ({type(open_).__name__}) of "
            f"{model.description.id!r} takes any: publish it with a fixed one"
        )
    unpacked = folder / "saved_model"
    with explained(f"write {unpacked}"):
        try:
            _copy(model.native).export(unpacked, format="tf_saved_model", verbose=False)
        except OSError:
            raise
        except Exception as error:  # Keras passes on what TensorFlow raises while it traces; it names the layer
            reason = " ".join(str(error).split())[:300]
            raise ConversionError(f"Keras cannot export {model.description.id!r}: {reason}") from error
    converter = tf.lite.TFLiteConverter.from_saved_model(str(unpacked))
    return written(model.description, converter, folder, method=UNROLLED if rolled else EXPORTED)


def _copy(network: keras.Model) -> keras.Model:
    """Build the same model with recurrences that write down each step and upsampling that states its channels."""

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        new = type(layer).from_config(config | {"unroll": True} if "unroll" in config else config)
        if isinstance(layer, _RESIZING) and len(layer._inbound_nodes) == 1:
            new.call = _stating(new.call, layer.output.shape)
        return new

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    return copy


def _stating(call: Any, shape: tuple[int | None, ...]) -> Any:
    """State the sizes that Keras knows: on an open grid TensorFlow loses the channels, which LiteRT wants to know."""

    @functools.wraps(call)
    def stating(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        sizes = tf.shape(result)
        return tf.reshape(result, [sizes[axis] if size is None else size for axis, size in enumerate(shape)])

    return stating
