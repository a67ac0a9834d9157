"""The ConvLSTM as an ONNX graph written by hand: one ``Scan`` a layer, every dimension but the channels dynamic.

Tools that trace a recurrent convolution unroll its time steps, fix its shape or fail on it. Written down directly, the
graph has the same number of nodes whatever the number of frames, and its speed comes from four choices:

- time is the first dimension inside, so that a ``Scan`` reads its steps without copying them;
- the convolutions of input and state stand side by side in the loop's body, where ONNX Runtime has the second add to
  the first while it writes: one over all steps, outside, would be written, reordered and read again;
- their kernels are constants of the body, where the runtime packs them once, before the first step;
- gates are ordered input, forget, output, candidate, so that one ``Sigmoid`` serves three of them.

Unrolled for a fixed number of frames it can be faster, and its nodes grow with the
frames; that is an option.

Sources: ONNX operator specification, ``Scan``; Shi et al. (2015), "Convolutional LSTM network".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import onnx
import onnx.checker
import onnx.shape_inference
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from modelstac.catalog.errors import ConversionError, SpecError
from modelstac.exporters.converters.onnx_graph import GraphWriter
from modelstac.training.spec import BATCH_NORM_EPSILON, OUTPUT_KERNEL, ConvLSTMSpec
from modelstac.training.weights import CONVLSTM_PARTS, NORM_PARTS, Weights, check_weights, weight_shapes

OPSET = 20
IR_VERSION = 9
"""The first that knows opset 20: every runtime that has the operators then reads the file (ONNX, "Versioning")."""

INPUT, OUTPUT = "frames", "forecast"

_INSIDE = ("time", "batch", "variables", "height", "width")
_SPEC_KEY = "modelstac:spec"


def build(
    spec: ConvLSTMSpec, weights: Weights, *, dim_order: Sequence[str], unroll: int | None = None
) -> onnx.ModelProto:
    """Write the graph of a ConvLSTM.

    Parameters
    ----------
    spec
        The architecture. Its frames, height and width do not enter: the graph takes any.
    weights
        Its weights, as :mod:`modelstac.training.weights` describes them.
    dim_order
        Names of the five dimensions of input and output (``batch``, ``time``, ``variables``, ``height``, ``width``),
        in the order in which callers hold them: channels last for Keras, third for PyTorch.
    unroll
        Number of frames to which to fix the graph, with a copy of the cell for each instead of a loop.

    Returns
    -------
    onnx.ModelProto
        One float32 input ``frames`` and one output ``forecast`` of the same shape, ``variables`` being 1.

    Raises
    ------
    SpecError
        When the weights are not those of ``spec``, or ``dim_order`` names other dimensions.
    """
    check_weights(weight_shapes(spec), weights)
    if sorted(dim_order) != sorted(_INSIDE):
        raise SpecError(f"a ConvLSTM has the dimensions {', '.join(_INSIDE)} in any order, not {', '.join(dim_order)}")
    writer = GraphWriter()
    inwards = [list(dim_order).index(name) for name in _INSIDE]
    x = writer.node("Transpose", [INPUT], name="time_major", perm=inwards)
    shapes = _Shapes(writer, x)
    if unroll is not None:
        x = writer.node("Reshape", [x, shapes.merged(1)], name="merged")
    for layer in range(spec.layers):
        if unroll is None:
            x = _layer(writer, shapes, x, spec, weights, layer=layer)
        else:
            x = _unrolled(writer, x, spec, weights, layer=layer, frames=unroll)
    if unroll is not None:
        x = writer.node("Reshape", [x, shapes.split(spec.filters[-1])], name="split")
    x = _output(writer, x, weights)
    writer.node("Transpose", [x], name=OUTPUT, perm=[_INSIDE.index(name) for name in dim_order])

    fixed = {"variables": 1} | ({} if unroll is None else {"time": unroll})
    outside: list[int | str] = [fixed.get(name, name) for name in dim_order]
    graph = writer.close("convlstm", {INPUT: outside}, {OUTPUT: outside})
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="modelstac",
        producer_version=_own_version(),
    )
    helper.set_model_props(model, {"modelstac:architecture": "ConvLSTM", _SPEC_KEY: json.dumps(spec.to_dict())})
    return model


def read(model: onnx.ModelProto) -> tuple[ConvLSTMSpec, Weights]:
    """Read architecture and weights back from a graph that :func:`build` wrote, exactly.

    Raises
    ------
    ConversionError
        When the graph was written by something else, or changed since.
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if _SPEC_KEY not in properties:
        writer = model.producer_name or "an unknown tool"
        raise ConversionError(f"this ONNX graph was written by {writer} and does not say from which ConvLSTM")
    spec = ConvLSTMSpec.from_dict(json.loads(properties[_SPEC_KEY]))
    shapes = weight_shapes(spec)
    bodies = [a.g for node in model.graph.node if node.op_type == "Scan" for a in node.attribute if a.HasField("g")]
    tensors = [tensor for graph in (model.graph, *bodies) for tensor in graph.initializer]
    weights = {t.name: _from_onnx(t.name, numpy_helper.to_array(t)) for t in tensors if t.name in shapes}
    try:
        check_weights(shapes, weights)
    except SpecError as error:
        raise ConversionError(f"this ONNX graph is not the ConvLSTM that it claims to be: {error}") from error
    return spec, weights


def check(model: onnx.ModelProto) -> None:
    """Hold a graph against the standard: every rule of the checker, and shapes that fit together throughout.

    Raises
    ------
    ConversionError
        When the graph breaks a rule.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the ONNX graph is invalid: {' '.join(str(error).split())}") from error


class _Shapes:
    """Target shapes made from the shape of the input while the graph runs, each computed once."""

    def __init__(self, writer: GraphWriter, time_major: str) -> None:
        self._writer = writer
        self._time_major = time_major
        self._made: dict[str, str] = {}

    def merged(self, channels: int) -> str:
        """(time x batch, channels, height, width)."""
        head = self._writer.constant(f"any_{channels}", [-1, channels])
        return self._once(f"merged_{channels}", [head, "grid"])

    def split(self, channels: int) -> str:
        """(time, batch, channels, height, width)."""
        middle = self._writer.constant(f"only_{channels}", [channels])
        return self._once(f"split_{channels}", ["time_and_batch", middle, "grid"])

    def zeros(self, channels: int) -> str:
        """Give the zeros (batch, channels, height, width) from which a recurrence starts."""
        middle = self._writer.constant(f"only_{channels}", [channels])
        shape = self._once(f"state_{channels}", ["batch", middle, "grid"])
        name = f"zeros_{channels}"
        if name not in self._made:
            self._made[name] = self._writer.node("ConstantOfShape", [shape], name=name)
        return name

    def _once(self, name: str, parts: list[str]) -> str:
        ranges = {"time_and_batch": (0, 2), "batch": (1, 2), "grid": (3, 5)}
        for part in parts:
            if part in ranges and part not in self._made:
                start, end = ranges[part]
                self._made[part] = self._writer.node("Shape", [self._time_major], name=part, start=start, end=end)
        if name not in self._made:
            self._made[name] = self._writer.node("Concat", parts, name=name, axis=0)
        return name


def _layer(writer: GraphWriter, shapes: _Shapes, x: str, spec: ConvLSTMSpec, weights: Weights, *, layer: int) -> str:
    """Add a ConvLSTM layer with what follows it; (time, batch, channels, height, width) in and out."""
    name, start = f"convlstm_{layer}", shapes.zeros(spec.filters[layer])
    outputs = [f"{name}/last_h", f"{name}/last_c", f"{name}/sequence"]
    body = _body(spec, weights, layer)
    writer.node("Scan", [start, start, x], name=name, outputs=outputs, body=body, num_scan_inputs=1)
    return outputs[-1]


def _body(spec: ConvLSTMSpec, weights: Weights, layer: int) -> onnx.GraphProto:
    """Write one time step: the cell, and on its way out the LeakyReLU and the batch normalisation that follow it."""
    name, channels, filters = f"convlstm_{layer}", spec.channels[layer], spec.filters[layer]
    body = GraphWriter(f"{name}/step/")
    h, c, x = map(body.name, ("h_before", "c_before", "x"))
    h_now, c_now = _cell(body, x, (h, c), spec, weights, layer=layer)
    y = _way_out(body, h_now, spec, weights, layer=layer)
    state: list[int | str] = ["batch", filters, "height", "width"]
    step: list[int | str] = ["batch", channels, "height", "width"]
    return body.close(f"{name}/step", {h: state, c: state, x: step}, {h_now: state, c_now: state, y: state})


def _cell(
    step: GraphWriter, x: str, state: tuple[str, str] | None, spec: ConvLSTMSpec, weights: Weights, *, layer: int
) -> tuple[str, str]:
    """Write the cell for its input, and give its new state; None is a state of zeros."""
    filters = spec.filters[layer]
    gates = _gates(step, x, None if state is None else state[0], spec, weights, layer=layer)
    raw, candidate, i, f, o = map(step.name, ("raw", "candidate", "i", "f", "o"))
    sizes = step.constant(f"convlstm_{layer}/three_and_one", [3 * filters, filters])
    step.node("Split", [gates, sizes], name="split", outputs=[raw, candidate], axis=1)
    if spec.recurrent_activation == "sigmoid":
        opened = step.node("Sigmoid", [raw], name="opened")
    else:  # clip(x / 6 + 1 / 2, 0, 1), that of Keras 3 and PyTorch; ONNX's default slope is that of Keras 2
        opened = step.node("HardSigmoid", [raw], name="opened", alpha=1 / 6, beta=0.5)
    step.node("Split", [opened], name="parts", outputs=[i, f, o], axis=1, num_outputs=3)
    candidate = _cell_activation(step, candidate, spec, name="activated_candidate")
    c_now = step.node("Mul", [i, candidate], name="fresh")
    if state is not None:
        kept = step.node("Mul", [f, state[1]], name="kept")
        c_now = step.node("Add", [kept, c_now], name="c")
    return step.node("Mul", [o, _cell_activation(step, c_now, spec, name="activated_c")], name="h"), c_now


def _gates(step: GraphWriter, x: str, h: str | None, spec: ConvLSTMSpec, weights: Weights, *, layer: int) -> str:
    """Write the convolutions of input and state, with the gates in the order input, forget, output, candidate."""
    name, pads = f"convlstm_{layer}", [spec.kernels[layer] // 2] * 4
    kernel, recurrent, bias = (
        step.constant(f"{name}/{part}", kernel_to_onnx(reorder_gates(weights[f"{name}/{part}"])))
        for part in CONVLSTM_PARTS
    )
    gates = step.node("Conv", [x, kernel, bias], name="input", pads=pads)
    if h is None:
        return gates
    return step.node("Add", [gates, step.node("Conv", [h, recurrent], name="recurrent", pads=pads)], name="gates")


def _way_out(writer: GraphWriter, h: str, spec: ConvLSTMSpec, weights: Weights, *, layer: int) -> str:
    y = writer.node("LeakyRelu", [h], name="leaky", alpha=spec.leaky_slope)
    if not spec.normalised(layer):
        return y
    parts = [writer.constant(f"norm_{layer}/{part}", weights[f"norm_{layer}/{part}"]) for part in NORM_PARTS]
    return writer.node("BatchNormalization", [y, *parts], name="norm", epsilon=BATCH_NORM_EPSILON)


def _unrolled(writer: GraphWriter, x: str, spec: ConvLSTMSpec, weights: Weights, *, layer: int, frames: int) -> str:
    """Write the time steps of a layer one after the other; (time x batch, channels, height, width) in and out."""
    name = f"convlstm_{layer}"
    steps = [f"{name}/x_{step}" for step in range(frames)]
    if frames > 1:
        writer.node("Split", [x], name=f"{name}/steps", outputs=steps, axis=0, num_outputs=frames)
    else:
        steps = [x]
    state, sequence = None, []
    for number, step in enumerate(steps):
        state = _cell(writer.scoped(f"{name}/step_{number}/"), step, state, spec, weights, layer=layer)
        sequence.append(state[0])
    h = writer.node("Concat", sequence, name=f"{name}/sequence", axis=0)
    return _way_out(writer.scoped(f"{name}/"), h, spec, weights, layer=layer)


def _cell_activation(body: GraphWriter, x: str, spec: ConvLSTMSpec, *, name: str) -> str:
    if spec.cell_activation == "tanh":
        return body.node("Tanh", [x], name=name)
    if spec.cell_activation == "leaky_relu":
        return body.node("LeakyRelu", [x], name=name, alpha=spec.leaky_slope)
    return x


def _output(writer: GraphWriter, x: str, weights: Weights) -> str:
    kernel = writer.constant("output/kernel", kernel_to_onnx(weights["output/kernel"]))
    bias = writer.constant("output/bias", weights["output/bias"])
    x = writer.node("Transpose", [x], name="output/in", perm=[1, 2, 0, 3, 4])
    x = writer.node("Conv", [x, kernel, bias], name="output", pads=[OUTPUT_KERNEL // 2] * 6)
    x = writer.node("Sigmoid", [x], name="output/sigmoid")
    return writer.node("Transpose", [x], name="output/out", perm=[2, 0, 1, 3, 4])


def _from_onnx(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    array = np.array(array, np.float32)
    if array.ndim > 1:
        array = np.ascontiguousarray(array.transpose(*range(2, array.ndim), 1, 0))
    return reorder_gates(array) if name.startswith("convlstm_") else array


def reorder_gates(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Swap candidate and output along the last dimension: (i, f, c, o) to (i, f, o, c), and back."""
    i, f, c, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, o, c], axis=-1)


def kernel_to_onnx(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (*space, in, out) into (out, in, *space); leave vectors alone."""
    return kernel if kernel.ndim == 1 else kernel.transpose(kernel.ndim - 1, kernel.ndim - 2, *range(kernel.ndim - 2))


def _own_version() -> str:
    try:
        return version("modelstac")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
