#!/usr/bin/env bash
# Which:    ONNX Runtime 1.32.0 (quantize_dynamic), onnx 1.22.0, CPU.
# What:     a classifier of patches, quantised by onnxruntime.quantization.quantize_dynamic, run on 64 dark patches: each
#           alone, all in one batch, and all in one batch with one bright patch, such as a cloud, beside them.
# Expected: the class of a patch does not depend on which others are in its batch; in the file of float32 it does not.
# Seen:     scales are taken of the whole batch: 3 of 64 patches have another class together than alone, and 18 of 64
#           another one beside the bright patch. Nothing says so, and the accuracy on a set of single patches hides it.
# Who:      whoever runs tiles of a scene, or requests of several clients, together through a file that was quantised
#           dynamically: a map depends on the size of the batch, and on what lies beside.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.22.0 onnxruntime==1.32.0 numpy==2.1.3
cat > "$folder/run.py" <<'PY'
import logging
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

logging.disable(logging.WARNING)
os.chdir(sys.argv[1])
BANDS, SIDE, CLASSES, COUNT = 4, 32, 8, 64
rng = np.random.default_rng(0)
weights = {"w": rng.normal(size=(16, BANDS, 3, 3)), "v": rng.normal(size=(16, CLASSES))}
patches = (0.1 + 0.05 * rng.random((COUNT, BANDS, SIDE, SIDE)) * rng.random((COUNT, BANDS, 1, 1))).astype(np.float32)
bright = np.full((1, BANDS, SIDE, SIDE), 1.2, np.float32)


def scores(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda given: session.run(None, {"patches": given})[0]


def save(usual):
    nodes = [
        helper.make_node("Conv", ["patches", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("ReduceMean", ["b"], ["c"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["c", "v"], ["d"]),
        helper.make_node("Sub", ["d", "usual"], ["scores"]),
    ]
    shapes = ("patches", ["n", BANDS, SIDE, SIDE]), ("scores", ["n", CLASSES])
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    arrays = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in {**weights, "usual": usual}.items()]
    graph = helper.make_graph(nodes, "patches", [given], [found], arrays)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "float32.onnx")


save(np.zeros(CLASSES))
save(scores("float32.onnx")(patches).mean(0))  # so that every class is the highest somewhere
quantize_dynamic("float32.onnx", "int8.onnx", weight_type=QuantType.QUInt8)
print("ONNX Runtime", onnxruntime.__version__)
moved = {}
for path in ("float32.onnx", "int8.onnx"):
    run = scores(path)
    alone = np.concatenate([run(patch[None]) for patch in patches])
    together, beside = run(patches), run(np.concatenate([patches, bright]))[:COUNT]
    moved[path] = [int((alone.argmax(1) != other.argmax(1)).sum()) for other in (together, beside)]
    apart = [float(np.abs(alone - other).max() / np.abs(alone).max()) for other in (together, beside)]
    print(f"{path}: classes that differ from those of each patch alone: {moved[path][0]} of {COUNT} together, "
          f"{moved[path][1]} beside a bright one; scores by up to {apart[0]:.0%} and {apart[1]:.0%} of the largest")
assert moved["float32.onnx"] == [0, 0], moved
assert moved["int8.onnx"][0] >= 1 and moved["int8.onnx"][1] >= 10, moved
print("as found: the class of a patch depends on the others in its batch")
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
