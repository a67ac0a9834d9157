#!/usr/bin/env bash
# Which:    torch 2.13.0, torch.onnx.export(dynamo=True), with onnxscript 0.7.2; run by onnxruntime 1.32.0.
# What:     x // d, torch.div(..., rounding_mode="floor") and x % d of floating point numbers become floor(x / d), and
#           what that leaves. The quotient is rounded before its whole part is taken.
# Expected: the graph computes what the module computes. In float32, 0.1 goes into 0.5 four times: 0.1 is a little more
#           than a tenth there, and PyTorch, Python and NumPy compute it so.
# Seen:     5 in the graph; 0.5 % 0.1 is 0 in it, and 0.09999999 in the module. Of the tenths from -10 to 10, two in five
#           fall into another bin in the graph; of a million random numbers four do.
# Who:      everybody who puts values into bins (x // 0.1), or wraps an hour or an angle, where the values are stored in
#           steps, as tenths of a degree are. A comparison on random numbers does not show it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.1.3 onnx==1.22.0 onnxscript==0.7.2 onnx-ir==1.1.0 onnxruntime==1.32.0
cat > "$folder/show.py" <<'PY'
import logging
import warnings

import numpy as np
import onnxruntime
import onnxscript
import torch

warnings.simplefilter("ignore")
logging.disable()


class Bins(torch.nn.Module):
    def forward(self, x):
        return x // 0.1, x % 0.1


def both(x):
    module = Bins().eval()
    program = torch.onnx.export(module, (x,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    return [part.numpy() for part in module(x)], session.run(None, {session.get_inputs()[0].name: x.numpy()})


print("torch", torch.__version__, "onnxscript", onnxscript.__version__, "onnxruntime", onnxruntime.__version__)
module, graph = both(torch.tensor([0.5]))
print(f"0.5 // 0.1: module {module[0]}, graph {graph[0]}; 0.5 % 0.1: module {module[1]}, graph {graph[1]}")
assert module[0] == 4 and graph[0] == 5 and module[1] > 0.09 and graph[1] == 0

tenths = np.arange(-100, 101, dtype=np.float32) / np.float32(10)
exact = np.array([float(x) // float(np.float32(0.1)) for x in tenths])  # in Python's arithmetic of 64 bits
module, graph = both(torch.from_numpy(tenths))
assert (module[0] == exact).all()
others = int((graph[0] != exact).sum()), int((np.abs(graph[1] - module[1]) > 0.05).sum())
print(f"tenths from -10 to 10: of {len(tenths)}, {others[0]} whole parts and {others[1]} rests are others in the graph")
assert min(others) > 40

random = torch.rand(1_000_000, generator=torch.Generator().manual_seed(0)) * 20 - 10
module, graph = both(random)
apart = int((module[0] != graph[0]).sum())
print(f"a million random numbers: {apart} whole parts are others")
assert apart < 20
print("seen: values in steps fall into another bin in the graph, and random ones do not")
PY
"$folder/venv/bin/python" "$folder/show.py"
