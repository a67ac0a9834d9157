#!/usr/bin/env bash
# Which:    torch 2.13.0, ONNX Runtime 1.32.0, OpenVINO 2026.4.1, TensorFlow 2.19.1, on the CPU.
# What:     the largest of a window that holds a NaN is NaN in PyTorch and the largest of the others in the three other
#           libraries. So torch.onnx.export turns max pooling that keeps missing pixels missing into one that hides
#           them; ONNX's ReduceMax and global pooling do the same. Of NaN, Relu makes 0 in OpenVINO alone.
# Expected: one meaning of "maximum" for one graph, or an export that says that it is another.
# Seen:     max_pool2d, amax: 1 NaN of 1 in PyTorch, 0 in ONNX Runtime and OpenVINO. Relu: 1, 1, 0. MaxPool in
#           TensorFlow: 0.
# Who:      whoever exports a U-Net and runs it on scenes with NaN for nodata: the hole is filled at the first pooling.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 onnxscript==0.7.2 onnx==1.22.0 onnxruntime==1.32.0 \
    openvino==2026.4.1 tensorflow-cpu==2.19.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os
import sys
import warnings

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "ORT_DISABLE_TELEMETRY": "1"}
sys.modules["openvino_telemetry"] = None
warnings.simplefilter("ignore")

import numpy as np
import onnxruntime
import openvino
import tensorflow as tf
import torch
from torch.nn import functional as F

print("torch", torch.__version__, "onnxruntime", onnxruntime.__version__, "tensorflow", tf.__version__)
print("openvino", openvino.__version__)
FUNCTIONS = {"max_pool2d": lambda t: F.max_pool2d(t, 2), "amax": lambda t: t.amax((2, 3)), "relu": torch.relu}
scene = np.random.default_rng(0).random((1, 1, 6, 6)).astype(np.float32)
scene[0, 0, 2, 3] = np.nan


class Network(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


found = {}
for name, function in FUNCTIONS.items():
    network, given = Network(function).eval(), torch.from_numpy(scene)
    expected = network(given).numpy()
    path = f"{sys.argv[1]}/{name}.onnx"
    torch.onnx.export(network, (given,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    by_onnx = session.run(None, {session.get_inputs()[0].name: scene})[0]
    by_openvino = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(scene)[0]
    found[name] = tuple(int(np.isnan(array).sum()) for array in (expected, by_onnx, by_openvino))
    print(f"{name}: NaN in PyTorch {found[name][0]}, ONNX Runtime {found[name][1]}, OpenVINO {found[name][2]}")
pooled = int(np.isnan(tf.nn.max_pool2d(scene.transpose(0, 2, 3, 1), 2, 2, "VALID").numpy()).sum())
print("max_pool2d in TensorFlow:", pooled)
assert found == {"max_pool2d": (1, 0, 0), "amax": (1, 0, 0), "relu": (1, 1, 0)}, found
assert pooled == 0
print("seen: PyTorch's pooling keeps a missing pixel missing, its export to ONNX hides it")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
