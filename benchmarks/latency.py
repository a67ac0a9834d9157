"""Latency of one forward pass of the same ConvLSTM: our ONNX graph, native PyTorch, Keras on TensorFlow.

The contenders take turns, so that a busy machine slows all of them alike, and the fastest of the turns counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import Weights, initial_weights

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
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


def onnx_scan(spec: ConvLSTMSpec, weights: Weights) -> Predict:
    import onnxruntime

    from modelstac.exporters import convlstm_onnx

    model = convlstm_onnx.build(spec, weights, dim_order=("batch", "time", "height", "width", "variables"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {convlstm_onnx.INPUT: x})[0]


def torch_eager(spec: ConvLSTMSpec, weights: Weights) -> Predict:
    import torch

    from modelstac.training.architectures import convlstm_torch

    torch.set_num_threads(THREADS)
    net = convlstm_torch.build(spec).eval()
    convlstm_torch.set_weights(net, weights)

    def predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return net(torch.from_numpy(x).movedim(-1, 2)).movedim(2, -1).numpy()

    return predict


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


CONTENDERS = {"ONNX Scan": onnx_scan, "PyTorch eager": torch_eager, "tf.function": tf_function}


def measure(contenders: Mapping[str, Predict], x: NDArray[np.float32], turns: int) -> dict[str, float]:
    """Give the fastest run of each contender in seconds."""
    fastest = dict.fromkeys(contenders, float("inf"))
    for _ in range(turns):
        for name, predict in contenders.items():
            start = time.perf_counter()
            predict(x)
            fastest[name] = min(fastest[name], time.perf_counter() - start)
    return fastest


def main(turns: int = 10) -> None:
    print(
        f"Latency of one forward pass, batch 1, {THREADS} threads, fastest of {turns} turns (ratio to PyTorch eager)\n"
    )
    print(f"{'':42}" + "".join(f"{name:>22}" for name in CONTENDERS))
    for title, spec in CASES.items():
        weights = initial_weights(spec, seed=0)
        x = np.random.default_rng(0).random((1, spec.frames, spec.height, spec.width, 1), np.float32)
        built = {name: make(spec, weights) for name, make in CONTENDERS.items()}
        outputs = {name: predict(x) for name, predict in built.items()}  # warms up, too
        for name, output in outputs.items():
            np.testing.assert_allclose(output, outputs["PyTorch eager"], rtol=0, atol=1e-5, err_msg=name)
        times = measure(built, x, turns)
        cells = (f"{t * 1e3:.1f} ms ({t / times['PyTorch eager']:.2f})" for t in times.values())
        print(f"{title:42}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
