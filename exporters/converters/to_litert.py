"""To LiteRT: a ConvLSTM written in TensorFlow's plain operators, its time steps unrolled.

Keras' ``export(format="litert")`` makes loops over tensor lists, which need the Flex delegate that the plain runtime
does not have. Unrolled, every operator is a built-in one; frames, height and width are fixed and the batch is free.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import artifact_of, take_apart_convlstm
from modelstac.exporters.conversion import EXPORTED, REBUILT, Conversion, no_options
from modelstac.exporters.layouts import CHANNELS_LAST, Found, measured, relaid
from modelstac.registry.inspecting.folders import read_members, unpack
from modelstac.registry.inspecting.saved_model import MEMBERS, SERVED, served
from modelstac.registry.runtimes.names import identifiers
from modelstac.registry.trust.policy import DEFAULT_POLICY
from modelstac.training.spec import BATCH_NORM_EPSILON, ConvLSTMSpec

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.model import Model
    from modelstac.training.weights import Weights

# In what the converter says of an operator that it lacks: 'tf.TensorListReserve' op requires …; Flex ops: FlexErfc
_OPERATOR = re.compile(r"tf\.(?=[A-Z])\w+|\bFlex[A-Z]\w+", re.ASCII)

Activation = Callable[[Any], Any]


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Convert a SavedModel of any architecture that TensorFlow can express in LiteRT's built-in operators.

    Raises
    ------
    ConversionError
        When it needs other operators; names them.
    SpecError
        On an option.
    """
    no_options(options, "LiteRT")
    unpacked = folder / "saved_model"
    artifact = artifact_of(model)
    unpack(read_members(artifact.data, artifact.path, allowed=MEMBERS, max_bytes=DEFAULT_POLICY.max_bytes), unpacked)
    signature = served(model.native.signatures)
    return written(model.description, unpacked, folder, method=EXPORTED, signature=signature)


def written(
    description: ModelDescription, saved_model: Path, folder: Path, *, method: str, signature: str = SERVED
) -> Conversion:
    """Write ``model.tflite``, made of built-in operators only, with the signature of a SavedModel and its names."""
    path = folder / "model.tflite"
    content = _converted(description, tf.lite.TFLiteConverter.from_saved_model(str(saved_model), [signature]))
    with explained(f"write {path}"):
        path.write_bytes(content)
    step = Step(
        source_format=description.format,
        target_format="litert",
        tool="tf.lite.TFLiteConverter",
        version=semver(tf.__version__),
        method=method,
    )
    inputs, outputs = measured(description, *_tensors(content))
    return Conversion(
        artifact=path, framework_version=semver(tf.__version__), inputs=inputs, outputs=outputs, steps=(step,)
    )


def _converted(description: ModelDescription, converter: Any) -> bytes:
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises its own private classes
        names = sorted(set(_OPERATOR.findall(str(error))))
        reason = f"not among its operators: {', '.join(names[:3])}" if names else " ".join(str(error).split())[:300]
        raise ConversionError(f"TensorFlow cannot convert {description.id!r} to LiteRT: {reason}") from error


def _tensors(content: bytes) -> list[list[Found]]:
    runner = Interpreter(model_content=content).get_signature_runner()
    return [
        [
            Found(name, tuple(map(int, detail["shape_signature"])), np.dtype(detail["dtype"]).name)
            for name, detail in details.items()
        ]
        for details in (runner.get_input_details(), runner.get_output_details())
    ]


def rebuild(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.tflite`` into a folder.

    Raises
    ------
    ConversionError
        When the model is no ConvLSTM, its weights are not those of the architecture, or TensorFlow cannot convert it.
    SpecError
        On an option.
    """
    no_options(options, "LiteRT")
    spec, weights = take_apart_convlstm(model)
    fixed = {"batch": -1, "time": spec.frames, "height": spec.height, "width": spec.width}
    inputs, outputs = relaid(model.description, CHANNELS_LAST, fixed)
    layout = model.description.model_copy(update={"inputs": inputs, "outputs": outputs})
    into, back = (identifiers([entry.name])[entry.name] for entry in (inputs[0], outputs[0]))
    frames = tf.TensorSpec((None, spec.frames, spec.height, spec.width, 1), name=into)
    network, owner, unpacked = _network(spec, weights), tf.Module(), folder / "saved_model"
    owner.network = tf.function(lambda x: {back: network(x)}, input_signature=[frames], autograph=False)
    with explained(f"write {unpacked}"):
        tf.saved_model.save(owner, str(unpacked), signatures={SERVED: owner.network})
    return written(layout, unpacked, folder, method=REBUILT)


def _network(spec: ConvLSTMSpec, weights: Weights) -> Activation:
    def network(frames: Any) -> Any:
        steps = tf.unstack(frames, axis=1)
        for layer in range(spec.layers):
            steps = _layer(steps, spec, weights, layer)
        x = tf.nn.conv3d(tf.stack(steps, axis=1), weights["output/kernel"], [1] * 5, "SAME")
        return tf.sigmoid(x + weights["output/bias"])

    return network


def _layer(steps: list[Any], spec: ConvLSTMSpec, weights: Weights, layer: int) -> list[Any]:
    """Run one ConvLSTM layer with what follows it over a list of (batch, height, width, channels)."""
    kernel, recurrent_kernel, bias = (
        weights[f"convlstm_{layer}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")
    )
    cell, gate, finish = _cell_activation(spec), _gate(spec), _finish(spec, weights, layer)
    h = c = None
    outputs = []
    for step in steps:
        gates = tf.nn.conv2d(step, kernel, 1, "SAME") + bias
        if h is not None:
            gates += tf.nn.conv2d(h, recurrent_kernel, 1, "SAME")
        i, f, candidate, o = tf.split(gates, 4, axis=-1)
        fresh = gate(i) * cell(candidate)
        c = fresh if c is None else gate(f) * c + fresh
        h = gate(o) * cell(c)
        outputs.append(finish(h))
    return outputs


def _cell_activation(spec: ConvLSTMSpec) -> Activation:
    functions: dict[str, Activation] = {
        "linear": lambda x: x,
        "tanh": tf.tanh,
        "leaky_relu": lambda x: tf.nn.leaky_relu(x, spec.leaky_slope),
    }
    return functions[spec.cell_activation]


def _gate(spec: ConvLSTMSpec) -> Activation:
    if spec.recurrent_activation == "sigmoid":
        return tf.sigmoid  # type: ignore[no-any-return]
    return lambda x: tf.clip_by_value(x * (1 / 6) + 0.5, 0.0, 1.0)


def _finish(spec: ConvLSTMSpec, weights: Weights, layer: int) -> Activation:
    """Give LeakyReLU and batch normalisation, the latter as one multiplication and one addition."""
    if not spec.normalised(layer):
        return lambda h: tf.nn.leaky_relu(h, spec.leaky_slope)
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    gamma, beta, mean, variance = (weights[f"norm_{layer}/{part}"].astype(np.float64) for part in parts)
    scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    shift = (beta - mean * scale).astype(np.float32)
    return lambda h: tf.nn.leaky_relu(h, spec.leaky_slope) * scale.astype(np.float32) + shift
