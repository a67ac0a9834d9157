#!/usr/bin/env bash
# Which:    OpenVINO 2026.4.1 (Runtime, CPU).
# What:     compile_model takes out of a graph what does nothing, such as the slice of all that PyTorch writes for step[:, None],
#           and hands its names on to the input before it. An input of the compiled model then has names that the model did
#           not give it.
# Expected: inputs of a compiled model are called as those of the model that was compiled.
# Seen:     inputs "frames" and "step" of the model become "frames" and one of "3", "slice" and "step", in no stated order:
#           whoever takes one name of each, the shortest or the first, has an input "3" that no file names.
# Who:      whoever lists the inputs of a compiled model to feed it by name, as servers do, of networks with a time step,
#           a month or a noise level among their inputs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import numpy as np
import openvino
from openvino import opset13 as ops

print("openvino", openvino.__version__)
step, frames = ops.parameter([-1], name="step"), ops.parameter([-1, 4], name="frames")
zero, end, one = (np.array([n], np.int64) for n in (0, 2**63 - 1, 1))
whole = ops.slice(step, zero, end, one, zero)
result = ops.multiply(frames, ops.unsqueeze(whole, one))
for node, names in ((step, {"step"}), (whole, {"3", "slice"}), (frames, {"frames"}), (result, {"result"})):
    node.output(0).get_tensor().set_names(names)
model = openvino.Model([result], [frames, step], "net")
compiled = openvino.Core().compile_model(model, "CPU")
before, after = ([sorted(port.names) for port in one.inputs] for one in (model, compiled))
print("inputs of the model:", before)
print("inputs of the compiled model:", after)
raise SystemExit(not (before == [["frames"], ["step"]] and after == [["frames"], ["3", "slice", "step"]]))
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "changed: not as described above"; exit 1; }
