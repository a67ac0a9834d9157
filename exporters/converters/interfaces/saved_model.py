"""A SavedModel whose signature has the names of an item, from a Keras model or a function of TensorFlow.

Keras' own exporter calls outputs ``output_0`` and inputs as Keras numbered them. Here the arguments and results of the
signature have the item's names; TensorFlow wants identifiers there
(:func:`modelstac.registry.runtimes.names.identifiers`) and keeps no order, which is why names are what counts.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError, ModelStacError
from modelstac.exporters.converters.interfaces.keras import call_of, calling, inputs_of, merged_steps
from modelstac.exporters.layouts import Found
from modelstac.registry.inspecting.saved_model import SERVED
from modelstac.registry.runtimes.names import identifiers

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Signature


_RESIZING = (keras.layers.UpSampling1D, keras.layers.UpSampling2D, keras.layers.UpSampling3D, keras.layers.Resizing)


def write_keras(
    network: keras.Model,
    signature: Signature,
    folder: Path,
    *,
    item_id: str,
    fixed: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
) -> None:
    """Write a Keras model, with its variables, as a SavedModel into a folder that is not there yet.

    Parameters
    ----------
    network, signature
        The model, and inputs and outputs of its item.
    folder
        Where to write.
    item_id
        For messages.
    fixed
        Lengths of open axes for which it is traced, by input and axis.

    Raises
    ------
    ConversionError
        When TensorFlow cannot trace it; names the layer.
    InvalidItemError
        When its inputs and outputs are not those of the item.
    StorageError
        When it cannot be written.
    """
    where = f"the file of {item_id!r}"
    tensors, call = inputs_of(network, signature, where), call_of(network, signature, where)
    known = identifiers(tensors)
    orders = {tensor.name: tensor.dim_order for tensor in signature.inputs}
    arguments = []
    for name, tensor in tensors.items():
        lengths = fixed.get(name, {})
        shape = [lengths.get(axis, size) for axis, size in zip(orders[name], tensor.shape, strict=True)]
        arguments.append(tf.TensorSpec(shape, tensor.dtype, name=known[name]))
    names = identifiers(tensor.name for tensor in signature.outputs)

    def serve(*given: Any) -> dict[str, Any]:
        return {names[name]: tf.identity(tensor) for name, tensor in call(*given).items()}

    with explained(f"write {folder}"):
        try:
            archive = keras.export.ExportArchive()
            archive.track(network)
            archive.add_endpoint(SERVED, serve, arguments)
            with (
                _plain_operators(),
                _stated_channels(network),
                _constant_state(network),
                merged_steps(network),
                _alone(),
            ):
                archive.write_out(folder, verbose=False)
        except (OSError, ModelStacError):
            raise
        except Exception as error:  # Keras passes on what TensorFlow raises while it traces; it names the layer
            reason = " ".join(str(error).split())[:300]
            raise ConversionError(f"Keras cannot export {item_id!r}: {reason}") from error


def tensors_of(folder: Path) -> tuple[Sequence[Found], Sequence[Found]]:
    """Read which inputs and outputs a SavedModel in a folder has."""
    signature = tf.saved_model.load(str(folder)).signatures[SERVED]
    return (
        [_found(name, spec) for name, spec in signature.structured_input_signature[1].items()],
        [_found(name, spec) for name, spec in signature.structured_outputs.items()],
    )


def _found(name: str, spec: Any) -> Found:
    return Found(name, tuple(-1 if size is None else int(size) for size in spec.shape), spec.dtype.name)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep Keras from tracing a signature of its own beside ours, whose lengths are all open."""
    owner = keras.src.backend.tensorflow.layer.TFLayer
    before = owner._default_save_signature
    owner._default_save_signature = None
    try:
        yield
    finally:
        owner._default_save_signature = before


@contextmanager
def _constant_state(network: keras.Model) -> Iterator[None]:
    """Let what layers keep as tensors beside their weights be constants of the graph.

    Traced as they are, the statistics of a Normalization become inputs that the graph captures, which neither tf2onnx
    nor OpenVINO knows.
    """
    found = [
        (layer, name, value)
        for layer in network._flatten_layers()
        for name, value in vars(layer).items()
        if isinstance(value, tf.Tensor) and hasattr(value, "numpy")
    ]
    for layer, name, value in found:
        vars(layer)[name] = value.numpy()
    try:
        yield
    finally:
        for layer, name, value in found:
            vars(layer)[name] = value


@contextmanager
def _stated_channels(network: keras.Model) -> Iterator[None]:
    """Let upsampling state the sizes that Keras knows: on an open grid LiteRT's converter loses and needs them.

    Keras itself fails there where it interpolates.
    """
    layers = (layer for layer in network._flatten_layers() if isinstance(layer, _RESIZING) and _has_one_shape(layer))

    def stating(layer: Any, call: Any) -> Any:
        usual = call if _is_known(layer) else functools.partial(_interpolated, layer)
        return _stating(layer, usual, layer.output.shape)

    with calling(layers, stating):
        yield


def _has_one_shape(layer: Any) -> bool:
    """Tell whether all that a layer gave has one shape: those of a chain that was read from a file gave it twice."""
    return len({tuple(tensor.shape) for node in layer._inbound_nodes for tensor in node.output_tensors}) == 1


def _is_known(layer: Any) -> bool:
    """Tell whether Keras traces a layer: by interpolation it wants to know the grid, and repeats on any."""
    return getattr(layer, "interpolation", "nearest") == "nearest" or None not in layer.output.shape[1:]


def _interpolated(layer: Any, x: Any) -> Any:
    """Do what Keras does once it knows the grid."""
    if not isinstance(layer, keras.layers.UpSampling2D):
        return type(layer).call(layer, x)
    first = layer.data_format == "channels_first"
    x = tf.transpose(x, (0, 2, 3, 1)) if first else x
    x = tf.image.resize(x, tf.shape(x)[1:3] * tf.constant(layer.size, tf.int32), method=layer.interpolation)
    return tf.transpose(x, (0, 3, 1, 2)) if first else x


def _stating(layer: Any, call: Any, shape: tuple[int | None, ...]) -> Any:
    factors = np.ones(len(shape), int)
    if (size := getattr(layer, "size", None)) is not None:
        grid = np.atleast_1d(size)
        first = 2 if getattr(layer, "data_format", "channels_last") == "channels_first" else 1
        factors[first : first + len(grid)] = grid

    @functools.wraps(type(layer).call)
    def stating(x: Any, *args: Any, **kwargs: Any) -> Any:
        # From the sizes of what comes in: of those of what comes out, tf2onnx makes wrong ones.
        sizes = tf.shape(x) * tf.constant(factors, tf.int32)
        result = call(x, *args, **kwargs)
        return tf.reshape(result, [sizes[axis] if size is None else size for axis, size in enumerate(shape)])

    return stating


@contextmanager
def _plain_operators() -> Iterator[None]:
    """Let Keras find the sign of zeros without reading a number's bits, which neither ONNX nor LiteRT can.

    Keras asks for it in ``argmax`` and ``argmin``, and so for every map of labels: 1/x tells -0 from 0 as well.
    """
    module: Any = importlib.import_module("keras.src.backend.tensorflow.numpy")
    before = getattr(module, "signbit", None)  # not public: without it, Keras does as it does
    if before is None:
        yield
        return

    def signbit(x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        if not x.dtype.is_floating:
            return before(x)
        return tf.logical_or(tf.less(x, 0), tf.less(tf.math.divide(tf.ones([], x.dtype), x), 0))

    module.signbit = signbit
    try:
        yield
    finally:
        module.signbit = before
