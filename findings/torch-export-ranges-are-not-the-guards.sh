#!/usr/bin/env bash
# Which:    torch 2.13.0, torch.export with Dim.AUTO.
# What:     range_constraints of an exported program say neither what the program takes nor what it refuses.
# Expected: sizes inside the stated ranges run, sizes outside are refused.
# Seen:     a convolution of stride 2 (padding 1, kernel 3) states 2 and more for batch, height and width.
#           Batches of 1 and 0 run, though outside; height 2 is refused, though inside and though the module itself takes
#           it; a width of 1 is refused, too. x + x.transpose(2, 3) states no relation but takes squares only; a network
#           with one pooling states 2 and more and refuses odd heights. What decides are guards in program.module(),
#           which no field of the program lists.
# Who:      everybody who reads from a .pt2 which sizes it takes: the ranges are to be tried, not to be believed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import logging
import warnings

import torch
from torch.export import Dim

warnings.simplefilter("ignore")
logging.disable()


class Strided(torch.nn.Conv2d):
    def __init__(self):
        super().__init__(1, 1, 3, stride=2, padding=1)


class Pooled(torch.nn.Module):
    def forward(self, x):
        return x + torch.nn.functional.interpolate(torch.nn.functional.max_pool2d(x, 2), scale_factor=2.0)


class Transposed(torch.nn.Module):
    def forward(self, x):
        return x + x.transpose(2, 3)


def runs(call, shape):
    try:
        call(torch.zeros(shape))
    except (AssertionError, RuntimeError):
        return False
    return True


print("torch", torch.__version__)
seen = {}
for module, example, shapes in (
    (Strided(), (2, 1, 8, 12), [(2, 1, 9, 13), (1, 1, 8, 12), (0, 1, 8, 12), (2, 1, 2, 12), (2, 1, 8, 1)]),
    (Pooled(), (2, 1, 8, 12), [(2, 1, 16, 20), (2, 1, 9, 12)]),
    (Transposed(), (2, 1, 8, 8), [(2, 1, 16, 16), (2, 1, 8, 12)]),
):
    sizes = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    if isinstance(module, Strided):
        program = torch.export.export(module.eval(), (torch.zeros(example),), dynamic_shapes=(sizes,))
    else:
        program = torch.export.export(module.eval(), (torch.zeros(example),), dynamic_shapes={"x": sizes})
    ranges = {str(name): (int(found.lower), str(found.upper)) for name, found in program.range_constraints.items()}
    print(type(module).__name__, "states", ranges)
    assert all(found == (2, "int_oo") for found in ranges.values()), ranges
    for shape in shapes:
        inside = all(shape[axis] >= 2 for axis in sizes)
        seen[type(module).__name__, shape] = inside, runs(module, shape), runs(program.module(), shape)
        print("   ", shape, "inside" if inside else "outside", "| module runs: {1}, program runs: {2}".format(*seen[type(module).__name__, shape]))
expected = {  # inside the ranges, the module runs, the program runs
    ("Strided", (2, 1, 9, 13)): (True, True, True),
    ("Strided", (1, 1, 8, 12)): (False, True, True),
    ("Strided", (0, 1, 8, 12)): (False, True, True),
    ("Strided", (2, 1, 2, 12)): (True, True, False),
    ("Strided", (2, 1, 8, 1)): (False, True, False),
    ("Pooled", (2, 1, 16, 20)): (True, True, True),
    ("Pooled", (2, 1, 9, 12)): (True, False, False),
    ("Transposed", (2, 1, 16, 16)): (True, True, True),
    ("Transposed", (2, 1, 8, 12)): (True, False, False),
}
assert seen == expected, seen
print("seen: ranges of 2 and more; batches of 1 and 0 run, height 2 does not, and the module takes all of them")
PY
"$folder/venv/bin/python" "$folder/show.py"
