#!/usr/bin/env bash
# Which:    OpenVINO 2026.4.1 on CPU, ONNX Runtime 1.32.0, onnx 1.22.0.
# What:     sums, differences and products of int8 and uint8 stop at the ends of their type in place of going around, and
#           comparisons with NaN are true.
# Expected: ONNX computes as NumPy does: 200 + 100 of uint8 is 44, and NaN is greater than nothing.
# Seen:     200 + 100 is 255, 100 * -3 of int8 is -128 (ONNX Runtime: -44). NaN > 0 and NaN >= 0 are true, and so is 1 > NaN,
#           while NaN < 0 and NaN == 0 are false; exp(NaN) is inf, and the largest of numbers with NaN is the largest number.
# Who:      hashes and flags of quality bands, which go around; masks "x > 0" of a model that is given NaN for nodata: a gap
#           becomes water, cloud or fire.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.22.0 onnxruntime==1.32.0 numpy==2.1.3
export XDG_CACHE_HOME="$folder"
cat > "$folder/show.py" <<'PY'
import sys

sys.modules["openvino_telemetry"] = None

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

core = openvino.Core()
print("openvino", openvino.__version__)


def both(operator, kind, out, *arrays):
    names = [f"x{number}" for number in range(len(arrays))]
    sides = [helper.make_tensor_value_info(name, kind, [None]) for name in names]
    made = [helper.make_tensor_value_info("y", out, [None])]
    graph = helper.make_graph([helper.make_node(operator, names, ["y"])], "g", sides, made)
    path = f"{sys.argv[1]}/m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    feed = dict(zip(names, arrays, strict=True))
    [right] = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feed)
    found = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(feed)[0]
    print(f"{operator} of {arrays[0].dtype}: ONNX Runtime {right.tolist()}, OpenVINO {found.tolist()}")
    return right.tolist(), found.tolist()


bytes_ = np.array([7, 200, 200], np.uint8), np.array([2, 100, 2], np.uint8)
signed = np.array([7, 100, -100], np.int8), np.array([2, -3, 100], np.int8)
assert both("Add", TensorProto.UINT8, TensorProto.UINT8, *bytes_) == ([9, 44, 202], [9, 255, 202])
assert both("Mul", TensorProto.UINT8, TensorProto.UINT8, *bytes_) == ([14, 32, 144], [14, 255, 255])
assert both("Mul", TensorProto.INT8, TensorProto.INT8, *signed) == ([14, -44, -16], [14, -128, -128])
assert both("Sub", TensorProto.INT8, TensorProto.INT8, *signed) == ([5, 103, 56], [5, 103, -128])
wide = [array.astype(np.int32) for array in signed]
right, found = both("Mul", TensorProto.INT32, TensorProto.INT32, *wide)
assert right == found

gap = np.array([np.nan, 1, -1], np.float32), np.array([0, np.nan, 0], np.float32)
for operator, expected in (("Greater", [True, True, False]), ("GreaterOrEqual", [True, True, False]),
                           ("Less", [False, False, True]), ("Equal", [False, False, False])):  # fmt: skip
    right, found = both(operator, TensorProto.FLOAT, TensorProto.BOOL, *gap)
    assert right == [False, False, operator == "Less"]
    assert found == expected
right, found = both("Exp", TensorProto.FLOAT, TensorProto.FLOAT, gap[0])
assert np.isnan(right[0])
assert found[0] == np.inf
print("seen: small whole numbers stop at their ends, NaN is greater than 0")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
