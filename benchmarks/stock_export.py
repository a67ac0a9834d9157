"""One export of a ConvLSTM by a stock tool, in a process of its own: ``python -m benchmarks.stock_export TOOL FOLDER``.

The folder holds ``spec.json`` and ``weights.npz``; the graph is written to ``TOOL.onnx``, and the seconds that the
export alone took, without building the model, are printed as the last line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import Weights

TOOLS = {
    "keras-tensorflow": "Keras on TensorFlow, model.export",
    "keras-torch": "Keras on PyTorch, model.export",
    "torch-dynamo": "torch.onnx.export, dynamo",
    "torch-legacy": "torch.onnx.export, legacy",
}


def prepare(tool: str, spec: ConvLSTMSpec, weights: Weights, path: Path) -> Callable[[], Any]:
    """Build the model and give the function that exports it."""
    shape = (1, spec.frames, spec.height, spec.width)
    if tool.startswith("keras"):
        os.environ["KERAS_BACKEND"] = tool.removeprefix("keras-")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from modelstac.training.architectures import convlstm_keras

        model = convlstm_keras.build(spec)
        convlstm_keras.set_weights(model, weights)
        model(np.zeros((*shape, 1), np.float32))
        return lambda: model.export(str(path), format="onnx", verbose=False)
    import torch

    from modelstac.training.architectures import convlstm_torch

    net = convlstm_torch.build(spec).eval()
    convlstm_torch.set_weights(net, weights)
    x = (torch.zeros(shape).unsqueeze(2),)
    if tool == "torch-dynamo":
        return lambda: torch.onnx.export(net, x, str(path), dynamo=True, external_data=False, verbose=False)
    return lambda: torch.onnx.export(net, x, str(path), dynamo=False)


def main(tool: str, folder: Path) -> None:
    spec = ConvLSTMSpec.from_dict(json.loads((folder / "spec.json").read_text()))
    with np.load(folder / "weights.npz") as arrays:
        weights = {name: arrays[name] for name in arrays.files}
    export = prepare(tool, spec, weights, folder / f"{tool}.onnx")
    began = time.perf_counter()
    export()
    print(f"\n{time.perf_counter() - began}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
