#!/usr/bin/env bash
# Which:    torch 2.13.0, torch.onnx.export(dynamo=True), with onnxscript 0.7.2 (its optimiser runs by default).
# What:     an addition of 1e-8 or less and a multiplication or division within 1e-5 of one are taken out of the graph,
#           in float32 and in float64. The optimiser looks for "+ 0" and "* 1" and compares with a tolerance.
# Expected: the graph computes what the module computes: (nir - red) / (nir + red + 1e-8) is 0 where both bands are 0.
# Seen:     NaN there; log(x + 1e-10) of 0 is -inf; a northing of 5,000,000 m times a grid scale of 1.000005 moves by
#           0 m, not by 25 m. With optimize=False all three are right. From 1.1e-8 on the addition stays.
# Who:      everybody whose network has an epsilon of 1e-8 (a usual one) and pixels of exactly 0, as outside of a swath.
#           A comparison on random numbers does not show it: no random pixel is 0.
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


class Function(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


def both(function, *tensors, **options):
    module = Function(function).eval()
    program = torch.onnx.export(module, tensors, dynamo=True, verbose=False, **options)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    given = {value.name: tensor.numpy() for value, tensor in zip(session.get_inputs(), tensors)}
    return module(*tensors).numpy(), session.run(None, given)[0], [node.op_type for node in program.model_proto.graph.node]


def ndvi(epsilon):
    return lambda nir, red: (nir - red) / (nir + red + epsilon)


print("torch", torch.__version__, "onnxscript", onnxscript.__version__, "onnxruntime", onnxruntime.__version__)
bands = torch.tensor([0.0, 0.5]), torch.tensor([0.0, 0.25])
kept = {}
for name, epsilon in {"1e-7": 1e-7, "1.1e-8": 1.1e-8, "1e-8": 1e-8, "1e-12": 1e-12}.items():
    eager, graph, operators = both(ndvi(epsilon), *bands)
    plain = both(ndvi(epsilon), *bands, optimize=False)[1]
    print(f"NDVI + {name}: module {eager}, graph {graph} of {operators}, graph with optimize=False {plain}")
    assert np.isfinite(eager).all() and np.isfinite(plain).all()
    kept[name] = bool(np.isfinite(graph).all())
assert kept == {"1e-7": True, "1.1e-8": True, "1e-8": False, "1e-12": False}, kept

eager, graph, operators = both(lambda x: torch.log(x + 1e-10), torch.tensor([0.0]))
print(f"log(x + 1e-10) of 0: module {eager}, graph {graph} of {operators}")
assert np.isfinite(eager).all() and np.isneginf(graph).all()

northing = torch.tensor([5_000_000.0], dtype=torch.float64)
moved = {}
for factor in (1.000005, 0.999995):
    eager, graph, operators = both(lambda x: x * factor, northing)
    print(f"5,000,000 m * {factor}: module {eager}, graph {graph} of {operators}")
    moved[factor] = round(float(graph[0] - eager[0]), 3)
assert moved == {1.000005: -25.0, 0.999995: 25.0}, moved
print("seen: + 1e-8 and * 1.000005 are not in the graph; 0 / (0 + 1e-8) is NaN in it, and 0 in the module")
PY
"$folder/venv/bin/python" "$folder/show.py"
