#!/usr/bin/env bash
# Which:    torch 2.13.0, torch.onnx.export(dynamo=True), with onnxscript 0.7.2.
# What:     a Python number in a float64 module, and torch.full(..., dtype=float64), become float32 on the way and are
#           widened again: the graph's constant is float64 by type and float32 by value. Optimised or not.
# Expected: a graph of float64 computes in float64, as the older exporter (dynamo=False) makes it do.
# Seen:     5,000,000 m * 0.9996 (the scale of UTM on its meridian) is 33.9 mm off, a false easting of 500,000.3 m 12.5 mm;
#           a float64 buffer of the same value is exact.
# Who:      everybody who puts a projection, a time scale or another float64 step before a network and exports both.
#           The types in the file are right, so that nothing but a comparison of numbers shows it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.1.3 onnx==1.22.0 onnxscript==0.7.2 onnx-ir==1.1.0 onnxruntime==1.32.0
cat > "$folder/show.py" <<'PY'
import io
import logging
import warnings

import onnxruntime
import onnxscript
import torch

warnings.simplefilter("ignore")
logging.disable()


class Function(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("scale", torch.tensor(0.9996, dtype=torch.float64))

    def forward(self, x):
        return self.function(self, x)


def apart(function, x, **options):
    """Millimetres between the graph and the module."""
    module, file = Function(function).eval(), io.BytesIO()
    torch.onnx.export(module, (x,), file, verbose=False, **options)
    session = onnxruntime.InferenceSession(file.getvalue())
    (given,) = session.get_inputs()
    (result,) = session.run(None, {given.name: x.numpy()})
    assert given.type == "tensor(double)" and result.dtype == "float64"
    return round(float(result[0] - module(x)[0]) * 1000, 1)


print("torch", torch.__version__, "onnxscript", onnxscript.__version__, "onnxruntime", onnxruntime.__version__)
x = torch.tensor([5_000_000.0], dtype=torch.float64)
functions = {
    "x * 0.9996": lambda self, x: x * 0.9996,
    "x - 500000.3": lambda self, x: x - 500_000.3,
    "x * full(0.9996, float64)": lambda self, x: x * torch.full((), 0.9996, dtype=torch.float64),
    "x * float64 buffer": lambda self, x: x * self.scale,
}
seen = {name: apart(function, x, dynamo=True) for name, function in functions.items()}
plain = {name: apart(function, x, dynamo=True, optimize=False) for name, function in functions.items()}
older = {name: apart(function, x, dynamo=False) for name, function in functions.items()}
for name in functions:
    print(f"{name}: off by {seen[name]} mm, with optimize=False {plain[name]} mm, with dynamo=False {older[name]} mm")
assert seen == plain, plain
assert seen == {"x * 0.9996": -33.9, "x - 500000.3": -12.5, "x * full(0.9996, float64)": -33.9, "x * float64 buffer": 0.0}, seen
assert not any(older.values()), older
print("seen: 5,000,000 m * 0.9996 is -33.9 mm off in a graph of float64; with a buffer of 0.9996 it is exact")
PY
"$folder/venv/bin/python" "$folder/show.py"
