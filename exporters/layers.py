"""Where two models begin to differ: what their layers give for the same input, side by side.

Layers are known of a ConvLSTM in Keras, native PyTorch and ONNX; of another architecture or format the output alone is
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.messages import Report, ignore
from modelstac.exporters.architecture import artifact_of, read_spec
from modelstac.exporters.cases import make_cases, permutation
from modelstac.exporters.parity import TOLERANCES
from modelstac.exporters.sizes import find_sizes
from modelstac.training.spec import ConvLSTMSpec

if TYPE_CHECKING:
    from modelstac.exporters.workers import Workers
    from modelstac.registry.model import Model
    from modelstac.training.architecture import Spec

Array = NDArray[Any]
Layers = dict[str, Array]
OUTPUT = "output"
TOLERANCE = TOLERANCES["fp32"].relative
_COMMON = (1, 0, 3, 4, 2)
"""From (time, batch, channels, height, width), in which PyTorch and ONNX compute, to Keras' order."""


@dataclass(frozen=True)
class LayerDifference:
    """How far two models are apart after one layer.

    Parameters
    ----------
    layer
        ``layer 1`` and so on, as far as both are known, and ``output``.
    shape
        Of what the layer gives; (batch, time, height, width, channels) for layers, as in the first model for the
        output.
    largest, relative
        Largest difference, and the same as a share of the largest value of the first model.
    passed
        Whether the share is within the tolerance.
    first_frame
        Number of the first frame, from 1, that is out of tolerance; None where none is or there are no frames.
    """

    layer: str
    shape: tuple[int, ...]
    largest: float
    relative: float
    passed: bool
    first_frame: int | None = None


def diff(
    first: pystac.Item,
    second: pystac.Item,
    workers: Workers,
    *,
    tolerance: float = TOLERANCE,
    report: Report = ignore,
) -> list[LayerDifference]:
    """Compare two models after each layer on the same random input; the first row that did not pass is where it begins.

    Parameters
    ----------
    first, second
        Items of the two; the second may declare its dimensions in another order.
    workers
        Where Keras models run.
    tolerance
        Largest difference that passes, as a share of the largest value of the first model in the same layer.

    Raises
    ------
    ConversionError
        When the two cannot take the same input, or give outputs of different shapes.
    """
    with workers.open(first, report=report) as one, workers.open(second, report=report) as other:
        cases = make_cases(one.signature, other.signature, sizes=find_sizes(one, other))
        inputs = next(case.inputs for case in cases if case.name == "random")
        inwards = permutation(one.signature.inputs[0], other.signature.inputs[0])
        given = np.ascontiguousarray(inputs.transpose(inwards))
        ours, theirs = _layers_of(one, inputs), _layers_of(other, given)
        outwards = permutation(other.signature.outputs[0], one.signature.outputs[0])
        theirs[OUTPUT] = theirs[OUTPUT].transpose(outwards)
        frames = {name: 1 for name in ours if name != OUTPUT}
        if "time" in (order := one.signature.outputs[0].dim_order):
            frames[OUTPUT] = order.index("time")
    return [_compare(name, ours[name], theirs[name], frames.get(name), tolerance) for name in ours if name in theirs]


def _layers_of(model: Any, inputs: Array) -> Layers:
    """Ask a model that is here, or one in a worker."""
    found: Layers = model.layers(inputs) if hasattr(model, "layers") else layers(model, inputs)
    return found


def _compare(name: str, ours: Array, theirs: Array, time: int | None, tolerance: float) -> LayerDifference:
    if ours.shape != theirs.shape:
        raise ConversionError(f"{name} has the shapes {list(ours.shape)} and {list(theirs.shape)}: other networks")
    apart = np.abs(ours.astype(np.float64) - theirs)
    scale = float(np.max(np.abs(ours))) or 1.0
    largest = float(np.max(apart))
    passed = largest <= tolerance * scale
    first_frame = None
    if time is not None and not passed:
        by_frame = np.max(np.moveaxis(apart, time, 0).reshape(apart.shape[time], -1), axis=1)
        first_frame = int(np.argmax(by_frame > tolerance * scale)) + 1
    return LayerDifference(name, ours.shape, largest, largest / scale, passed, first_frame)


def layers(model: Model, inputs: Array) -> Layers:
    """Run a model and return what its layers give, as far as they are known, and its output.

    Parameters
    ----------
    model
        A loaded model.
    inputs
        In its layout.
    """
    found: Layers = {}
    read = READERS.get(model.description.format)
    if read is not None:
        try:
            spec: Spec | None = read_spec(model.description)
        except ConversionError:  # another architecture
            spec = None
        if isinstance(spec, ConvLSTMSpec):  # layers of others have no names in common yet
            found = read(model, spec, inputs)
    return found | {OUTPUT: np.asarray(model.predict(inputs))}


def _torch(model: Model, spec: ConvLSTMSpec, inputs: Array) -> Layers:
    found: Layers = {}

    def keep(number: int, made: Any) -> None:
        found[_name(number)] = made.detach().cpu().numpy().transpose(_COMMON)

    hooks = [
        model.native.norms[number].register_forward_hook(lambda *seen, number=number: keep(number, seen[-1]))
        for number in range(spec.layers)
    ]
    try:
        model.predict(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _keras(model: Model, spec: ConvLSTMSpec, inputs: Array) -> Layers:
    import keras

    names = [f"{'norm' if spec.normalised(number) else 'leaky'}_{number}" for number in range(spec.layers)]
    inner = keras.Model(model.native.inputs, [model.native.get_layer(name).output for name in names])
    return {
        _name(number): np.asarray(keras.ops.convert_to_numpy(made))
        for number, made in enumerate(inner(inputs, training=False))
    }


def _onnx(model: Model, spec: ConvLSTMSpec, inputs: Array) -> Layers:
    import onnx
    import onnxruntime

    graph = onnx.load_model_from_string(artifact_of(model).data)
    made = {name for node in graph.graph.node for name in node.output}
    # In a loop the way out of a layer is part of its body; unrolled, it follows.
    places = [
        (f"convlstm_{number}/sequence", f"convlstm_{number}/{'norm' if spec.normalised(number) else 'leaky'}")
        for number in range(spec.layers)
    ]
    names = [unrolled if unrolled in made else loop for loop, unrolled in places]
    if not set(names) <= made:  # written by something else
        return {}
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    batch = inputs.shape[model.signature.inputs[0].dim_order.index("batch")]
    outputs = session.run(names, {session.get_inputs()[0].name: inputs})
    steps = (out if out.ndim == 5 else out.reshape(-1, batch, *out.shape[1:]) for out in outputs)
    return {_name(number): step.astype(np.float32).transpose(_COMMON) for number, step in enumerate(steps)}


def _name(number: int) -> str:
    return f"layer {number + 1}"


READERS: Mapping[str, Callable[[Model, ConvLSTMSpec, Array], Layers]] = MappingProxyType(
    {"torch": _torch, "keras": _keras, "onnx": _onnx}
)
