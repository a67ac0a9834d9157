#!/usr/bin/env bash
# Which:    Keras 3.15.1 on PyTorch 2.13.0: model.export(path, format="torch").
# What:     the program computes with constants. The model's weights are in it once more, as parameters that no
#           operator uses, and before each operator its tensors are moved to where they are.
# Expected: as of torch.export of a PyTorch module: each weight once, as a parameter; new weights give new results.
# Seen:     the file of two convolutions takes 2.5 times the bytes of its weights. load_state_dict with zeros succeeds
#           and changes no digit of the result. Of 47 operators 28 move a tensor to where it is, or
#           assert where and of which type. PyTorch's own export of these weights: 1.2 times the bytes; zeros give zeros.
# Who:      everybody who publishes a Keras model as .pt2, by its size; whoever loads other weights into it, by its numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 torch==2.13.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os
import sys
import warnings
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
warnings.simplefilter("ignore")

import keras
import torch

print("keras", keras.__version__, "torch", torch.__version__)
keras.utils.set_random_seed(0)
image = keras.Input((32, 32, 3))
first = keras.layers.Conv2D(64, 3, activation="relu")
second = keras.layers.Conv2D(64, 3)
model = keras.Model(image, second(first(image)))
x = torch.rand(1, 32, 32, 3)


def plain():
    """The same in PyTorch's own layers, with channels first."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3)).eval()
    for ours, theirs in ((module[0], first), (module[2], second)):
        kernel, bias = (torch.tensor(keras.ops.convert_to_numpy(value)) for value in theirs.weights)
        ours.load_state_dict({"weight": kernel.permute(3, 2, 0, 1), "bias": bias})
    return torch.export.export(module, (x.movedim(3, 1),))


def result(module, given):
    made = module(given)
    return (made[0] if isinstance(made, (list, tuple)) else made).detach()


files = {name: Path(sys.argv[1], f"{name}.pt2") for name in ("keras", "torch")}
model.export(files["keras"], format="torch", verbose=False)
torch.export.save(plain(), files["torch"])
seen = {}
for name, file in files.items():
    given = x if name == "keras" else x.movedim(3, 1)
    program = torch.export.load(file)
    module = program.module()
    before = result(module, given)
    module.load_state_dict({key: torch.zeros_like(value) for key, value in module.state_dict().items()})
    after = result(module, given)
    operators = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    idle = sum(one.startswith(("aten.to.", "aten._assert_tensor_metadata")) for one in operators)
    times = file.stat().st_size / (4 * model.count_params())
    same, largest = torch.equal(before, after), float(after.abs().max())
    seen[name] = round(times, 1), len(program.constants), len(operators), idle, same, largest
    print(f"{name}: {times:.1f} times the bytes of its weights, {len(program.constants)} constants")
    print(f"  {len(operators)} operators, of which {idle} move or assert; with zeros for weights, the same result: {same}")
assert seen["keras"][1:5] == (4, 47, 28, True) and seen["keras"][0] > 2, seen
assert seen["keras"][5] > 0, seen
assert seen["torch"][1:] == (0, 3, 0, False, 0.0) and seen["torch"][0] < 1.5, seen
print("seen: Keras' program keeps its weights as parameters that nothing uses, and computes with constants beside them")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
