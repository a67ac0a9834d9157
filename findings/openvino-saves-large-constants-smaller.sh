#!/usr/bin/env bash
# Which:    OpenVINO 2026.4.1: openvino.save_model, which compresses to float16 unless told not to; with onnx 1.22.0.
# What:     what a tensor of constants holds beyond 65,504 is set to 65,504, and what is below the smallest number of float16
#           to 0, where that befalls less than three quarters of the tensor; above that the tensor stays float32.
# Expected: float16 costs three digits. Numbers that it cannot hold are kept, as they are where they stand alone, or refused;
#           at least they become inf, and somebody warns.
# Seen:     an output scaled back to 101,325 Pa and 273.15 K is 65,504 Pa and 273.25 K from the file, and 101,325 Pa if it is
#           the pressure alone, or with one temperature beside three pressures: whether a constant is right depends on its
#           neighbours. inf becomes 65,504, 1e-8 becomes 0. No warning. The model that was saved is right, in memory.
# Who:      whoever saves a network whose last layer gives physical units (surface pressure, geopotential, metres of a
#           projection), or one with -1e9 in a mask. compress_to_fp16=False keeps all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.22.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import sys
import warnings

sys.modules["openvino_telemetry"] = None

import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper, numpy_helper

warnings.simplefilter("error")
core = openvino.Core()
print("openvino", openvino.__version__)


def scaled_back(offsets):
    """A network's last step, x + offset of each channel, read from ONNX."""
    size = len(offsets)
    node = helper.make_node("Add", ["x", "offsets"], ["y"])
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size]) for name in ("x", "y")]
    constant = numpy_helper.from_array(np.array(offsets, np.float32), "offsets")
    graph = helper.make_graph([node], "g", sides[:1], sides[1:], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, f"{sys.argv[1]}/model.onnx")
    return core.read_model(f"{sys.argv[1]}/model.onnx")


def computed(model, size):
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [round(float(value), 2) if abs(value) > 1 else float(value) for value in compiled(np.zeros((1, size), np.float32))[0][0]]


def shown(name, *offsets):
    model = scaled_back(offsets)
    openvino.save_model(model, f"{sys.argv[1]}/half.xml")
    openvino.save_model(model, f"{sys.argv[1]}/single.xml", compress_to_fp16=False)
    before = computed(model, len(offsets))
    after, single = (computed(core.read_model(f"{sys.argv[1]}/{file}.xml"), len(offsets)) for file in ("half", "single"))
    print(f"{name}: {before}, saved {after}, with compress_to_fp16=False {single}")
    assert before == single
    return after


assert shown("pressure and temperature", 101_325, 273.15) == [65_504, 273.25]
assert shown("pressure alone", 101_325) == [101_325]
assert shown("three pressures, one temperature", 101_325, 100_000, 85_000, 273.15) == [101_325, 100_000, 85_000, 273.15]
assert shown("a mask", -1e9, 0) == [-65_504, 0]
assert shown("no limit and one", np.inf, 1) == [65_504, 1]
assert shown("an epsilon beside 1", 1e-8, 1) == [0, 1]
print("seen: 101,325 Pa is 65,504 Pa in the saved file, without a word")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
