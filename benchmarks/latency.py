"""Latency of one forward pass of the same ConvLSTM: ONNX, PyTorch eager and compiled, Keras on TensorFlow.

The contenders take turns, so that a busy machine slows all of them alike: latencies are medians, and the ratio of a
contender is the median of its ratios, turn by turn, to the native execution with the smallest median. The floor of ONNX
is the convolutions of each step alone, in the same runtime; no graph is faster. The last cases are the ``reference``
preset on a smaller grid, so that a pass takes a second or two; ``BENCHMARK_GRID=344x315`` adds its own (about forty
seconds a pass).
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from modelstac.training.spec import PRESETS, ConvLSTMSpec
from modelstac.training.weights import Weights, initial_weights

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
LIMIT = 1.0
CHANNELS_LAST = ("batch", "time", "height", "width", "variables")
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]

CASES = {
    "2 layers, 8 filters, 18 frames, 64 x 64": ConvLSTMSpec(filters=(8, 8), kernels=(5, 3)),
    "3 layers, 16 filters, 6 frames, 48 x 44": ConvLSTMSpec(
        filters=(16, 16, 16), kernels=(5, 3, 3), cell_activation="linear", frames=6, height=48, width=44
    ),
    "4 layers, 32 filters, 18 frames, 48 x 48": ConvLSTMSpec(
        filters=(32,) * 4, kernels=(7, 5, 3, 1), cell_activation="linear", height=48, width=48
    ),
}
GRIDS = ("48x48", "64x64", *filter(None, [os.environ.get("BENCHMARK_GRID")]))
for grid in GRIDS:
    height, width = map(int, grid.split("x"))
    CASES[f"reference, 18 frames, {height} x {width}"] = dataclasses.replace(
        PRESETS["reference"], height=height, width=width
    )


def onnx_scan(spec: ConvLSTMSpec, weights: Weights, unroll: int | None = None) -> Predict:
    import onnxruntime

    from modelstac.exporters.converters import convlstm_onnx

    model = convlstm_onnx.build(spec, weights, dim_order=CHANNELS_LAST, unroll=unroll)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {convlstm_onnx.INPUT: x})[0]


def onnx_unrolled(spec: ConvLSTMSpec, weights: Weights) -> Predict:
    return onnx_scan(spec, weights, unroll=spec.frames)


def onnx_floor(spec: ConvLSTMSpec, weights: Weights) -> Predict:
    """Give what runs the convolutions of all layers once a step, and means over the grid, so that little comes out."""
    import onnxruntime
    from onnx import helper

    from modelstac.exporters.converters import convlstm_onnx
    from modelstac.exporters.converters.onnx_graph import GraphWriter

    writer, given = GraphWriter(), {}
    for layer, (channels, filters, kernel) in enumerate(zip(spec.channels, spec.filters, spec.kernels, strict=True)):
        sums = []
        for part, inside in (("kernel", channels), ("recurrent_kernel", filters)):
            name = f"convlstm_{layer}/{part}"
            given[f"{name}/x"] = np.ones((1, inside, spec.height, spec.width), np.float32)
            constant = writer.constant(name, convlstm_onnx.kernel_to_onnx(weights[name]))
            sums.append(writer.node("Conv", [f"{name}/x", constant], name=f"{name}/y", pads=[kernel // 2] * 4))
        total = writer.node("Add", sums, name=f"{layer}/sum")
        writer.node("GlobalAveragePool", [total], name=f"{layer}/mean")
    outputs = {f"{layer}/mean": [1, 4 * filters, 1, 1] for layer, filters in enumerate(spec.filters)}
    graph = writer.close("floor", {name: value.shape for name, value in given.items()}, outputs)
    opset = [helper.make_opsetid("", convlstm_onnx.OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=convlstm_onnx.IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda _: [session.run(None, given)[0] for _ in range(spec.frames)][-1]


def torch_eager(spec: ConvLSTMSpec, weights: Weights, *, compiled: bool = False) -> Predict:
    import torch

    from modelstac.training.architectures import convlstm_torch

    torch.set_num_threads(THREADS)
    net = convlstm_torch.build(spec).eval()
    convlstm_torch.set_weights(net, weights)
    run = torch.compile(net) if compiled else net

    def predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return run(torch.from_numpy(x).movedim(-1, 2)).movedim(2, -1).numpy()

    return predict


def torch_compiled(spec: ConvLSTMSpec, weights: Weights) -> Predict:
    import torch

    torch.compiler.reset()  # each case is compiled for its own shape
    return torch_eager(spec, weights, compiled=True)


def tf_function(spec: ConvLSTMSpec, weights: Weights) -> Predict:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    from modelstac.training.architectures import convlstm_keras

    assert keras.config.backend() == "tensorflow"
    model = convlstm_keras.build(spec)
    convlstm_keras.set_weights(model, weights)
    graph = tf.function(lambda x: model(x, training=False))
    return lambda x: graph(tf.constant(x)).numpy()


NATIVE = {"PyTorch eager": torch_eager, "PyTorch compiled": torch_compiled, "tf.function": tf_function}
CONTENDERS = {"ONNX Scan": onnx_scan, "ONNX unrolled": onnx_unrolled} | NATIVE
FLOOR = "floor of ONNX"


def measure(contenders: Mapping[str, Predict], x: NDArray[np.float32], turns: int) -> dict[str, list[float]]:
    """Give the seconds of each contender turn by turn; each turn starts with another one."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            contenders[name](x)
            times[name].append(time.perf_counter() - start)
    return times


def ratio(times: list[float], base: list[float]) -> float:
    """Give the median over turns of one contender's time to another's."""
    return statistics.median(a / b for a, b in zip(times, base, strict=True))


def main(turns: int = 11) -> None:
    print(f"Latency of one forward pass, batch 1, {THREADS} threads: median of {turns} turns (ratio to the fastest")
    load = os.getloadavg()[0]
    print(f"native execution; limit of ours: {LIMIT:g}, or the floor's by 0.95); load of the machine {load:.1f}\n")
    print(f"{'':42}" + "".join(f"{name:>22}" for name in (*CONTENDERS, FLOOR)), flush=True)
    for title, spec in CASES.items():
        weights = initial_weights(spec, seed=0)
        x = np.random.default_rng(0).random((1, spec.frames, spec.height, spec.width, 1), np.float32)
        built = {name: make(spec, weights) for name, make in CONTENDERS.items()}
        outputs = {name: predict(x) for name, predict in built.items()}  # warms up, too
        for name, output in outputs.items():
            np.testing.assert_allclose(output, outputs["PyTorch eager"], rtol=0, atol=1e-5, err_msg=name)
        times = measure(built | {FLOOR: onnx_floor(spec, weights)}, x, turns)
        fastest = min(NATIVE, key=lambda name: statistics.median(times[name]))
        cells = (f"{statistics.median(t) * 1e3:.1f} ms ({ratio(t, times[fastest]):.2f})" for t in times.values())
        print(f"{title:42}" + "".join(f"{cell:>22}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
