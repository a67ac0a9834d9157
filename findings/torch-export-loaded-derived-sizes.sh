#!/usr/bin/env bash
# Which:    torch 2.13.0 (torch.export), with onnxscript 0.7.2.
# What:     a program whose sizes are derived (dynamic_shapes of 2*h: "an even height") is exported to ONNX and
#           decomposed. The same program after torch.export.save and torch.export.load is not.
# Expected: a loaded program does what the saved one did; it computes the same numbers and prints the same ranges.
# Seen:     AssertionError "expected sympy.Symbol" in run_decompositions, and a ConversionError of it in
#           torch.onnx.export. With plain sizes (h, w) the loaded program passes both.
# Who:      everybody who publishes a U-Net as .pt2 with the sizes that it truly takes, and converts it later or
#           elsewhere: convert before saving, or keep the module.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.1.3 onnx==1.22.0 onnxscript==0.7.2 onnx-ir==1.1.0
cat > "$folder/show.py" <<'PY'
import io
import logging
import warnings

import torch
from torch.export import Dim

warnings.simplefilter("ignore")
logging.disable()


class Net(torch.nn.Module):
    """One pooling and back: takes even heights and widths only."""

    def __init__(self):
        super().__init__()
        self.down = torch.nn.Conv2d(1, 2, 3, padding=1)
        self.up = torch.nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, x):
        deep = torch.nn.functional.max_pool2d(self.down(x), 2)
        deep = torch.nn.functional.interpolate(deep, scale_factor=2.0)
        return self.up(torch.cat([x, deep], 1))


def tried(what):
    try:
        what()
    except Exception as error:
        while error.__cause__ is not None:
            error = error.__cause__
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "works"


print("torch", torch.__version__)
h, w = Dim("h", min=2, max=64), Dim("w", min=2, max=64)
seen = {}
for name, module, sizes in (
    ("2*h", Net(), {2: 2 * h, 3: 2 * w}),
    ("h", Net().down, {2: h, 3: w}),
):
    program = torch.export.export(module.eval(), (torch.zeros(2, 1, 8, 12),), dynamic_shapes=(sizes,))
    held = io.BytesIO()
    torch.export.save(program, held)
    held.seek(0)
    loaded = torch.export.load(held)
    x = torch.randn(2, 1, 16, 20)
    assert torch.equal(program.module()(x), loaded.module()(x))
    assert str(program.range_constraints) == str(loaded.range_constraints)
    for which, subject in (("in memory", program), ("loaded", loaded)):
        for step, act in (
            ("run_decompositions", lambda: subject.run_decompositions()),
            ("torch.onnx.export", lambda: torch.onnx.export(subject, dynamo=True, verbose=False)),
        ):
            seen[name, which, step] = tried(act)
            print(f"sizes {name}, {which}, {step}: {seen[name, which, step]}")
failed = {case: said for case, said in seen.items() if said != "works"}
assert set(failed) == {("2*h", "loaded", "run_decompositions"), ("2*h", "loaded", "torch.onnx.export")}, failed
assert all("expected sympy.Symbol" in said for said in failed.values()), failed
print("seen: with sizes 2*h the loaded program computes the same, and neither decomposes nor exports: expected sympy.Symbol")
PY
"$folder/venv/bin/python" "$folder/show.py"
