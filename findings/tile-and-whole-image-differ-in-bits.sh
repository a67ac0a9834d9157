#!/usr/bin/env bash
# Which:    torch 2.13.0 (oneDNN), ONNX Runtime 1.32.0 and OpenVINO 2026.4.1, each on the CPU with one thread, float32.
#           Seen on x86-64 with AVX-512; other processors choose other kernels, and this script may say "changed" there.
# What:     whether a pixel comes out bit for bit the same from a tile and from the whole image, where the tile holds
#           all that the pixel depends on ("valid" convolutions, nothing padded, 18 tiles of 17 to 64 pixels).
# Expected: that none does or that all do: each computes the same sums of the same numbers.
# Seen:     ONNX Runtime and OpenVINO give the same bits for each tile of each network. torch chooses its kernel by the size
#           of the image, adds in another order and differs (by up to 1e-6), for some layers at every size of tile; without
#           oneDNN it differs for others. See the table that is printed.
# Who:      everybody who proves that tiling is seamless by asking for equal numbers, or who writes thresholds and
#           argmax maps tile by tile: a pixel on the threshold changes with the tiling in torch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.1.3 onnx==1.22.0 onnxscript==0.7.2 onnx-ir==1.1.0 onnxruntime==1.32.0 openvino==2026.4.1
cat > "$folder/show.py" <<'PY'
import io
import logging
import os
import warnings

os.environ["OPENVINO_TELEMETRY_OPT_OUT"] = "1"

import numpy as np
import onnxruntime
import openvino
import torch
from torch.export import Dim

warnings.simplefilter("ignore")
logging.disable()
torch.set_num_threads(1)
WHOLE = 96
TILES = [(size, at) for size in (17, 24, 32, 47, 48, 64) for at in (0, 5, 8)]


def conv(channels, kernel):
    return torch.nn.Conv2d(channels, channels, kernel)


def runtimes(module, example):
    sizes = {2: Dim("h", min=16, max=512), 3: Dim("w", min=16, max=512)}
    shapes = {"input": sizes} if isinstance(module, torch.nn.Sequential | torch.nn.Conv2d) else {"x": sizes}
    program = torch.onnx.export(module, (example,), dynamo=True, verbose=False, dynamic_shapes=shapes)
    graph = program.model_proto.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options)
    name = session.get_inputs()[0].name
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(graph), "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    )

    def eager(x, onednn=True):
        with torch.no_grad(), torch.backends.mkldnn.flags(enabled=onednn):
            return module(torch.from_numpy(x)).numpy()

    return {
        "torch": eager,
        "torch, no oneDNN": lambda x: eager(x, onednn=False),
        "ONNX Runtime": lambda x: session.run(None, {name: x})[0],
        "OpenVINO": lambda x: compiled(x)[0].copy(),
    }


print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability(), "onnxruntime", onnxruntime.__version__, "openvino", openvino.__version__)
torch.manual_seed(0)
networks = {
    "conv 4 channels, 3 x 3": conv(4, 3),
    "conv 16 channels, 3 x 3": conv(16, 3),
    "conv 16 channels, 5 x 5": conv(16, 5),
    "conv 32 channels, 3 x 3": conv(32, 3),
    "conv 3 channels, 7 x 7": conv(3, 7),
    "three layers, 4-16-16-4": torch.nn.Sequential(
        torch.nn.Conv2d(4, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 4, 3)
    ),
}
equal = {}
for name, module in networks.items():
    image = torch.randn(1, next(module.parameters()).shape[1], WHOLE, WHOLE)
    for runtime, call in runtimes(module.eval(), image).items():
        whole = call(image.numpy())
        lost = WHOLE - whole.shape[2]
        apart = []
        for size, at in TILES:
            tile = call(np.ascontiguousarray(image.numpy()[:, :, at : at + size, at : at + size]))
            kept = size - lost
            apart.append(float(np.abs(tile - whole[:, :, at : at + kept, at : at + kept]).max()))
        equal[name, runtime] = apart.count(0.0)
        print(f"{name} | {runtime} | {apart.count(0.0)} of {len(TILES)} tiles equal | at most {max(apart):.1e} apart")
        assert max(apart) < 1e-5, apart
for runtime in ("ONNX Runtime", "OpenVINO"):
    assert all(equal[name, runtime] == len(TILES) for name in networks), equal
for runtime in ("torch", "torch, no oneDNN"):
    assert any(equal[name, runtime] < len(TILES) for name in networks), equal
told = {runtime: sum(equal[name, runtime] for name in networks) for runtime in ("torch", "torch, no oneDNN", "ONNX Runtime", "OpenVINO")}
print("seen: tiles equal to the whole image, bit for bit, of", len(TILES) * len(networks), told)
PY
"$folder/venv/bin/python" "$folder/show.py"
