#!/usr/bin/env bash
# Which:    tf2onnx 1.17.0, from_function, with TensorFlow 2.19.1.
# What:     a tensor that a tf.function reads from outside, and that is no variable, becomes an input of the graph, whose
#           value is in no file.
# Expected: a constant of the graph, as from python -m tf2onnx.convert --saved-model of the same function.
# Seen:     the graph has the inputs x and mul/y:0; without the second it does not run. Of a SavedModel that was loaded,
#           such as one that Keras exports with Normalization, the second is called by a number: its mean and its
#           deviation are asked for.
# Who:      whoever converts a loaded SavedModel, or a function that normalises by tf.constant, from Python.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.19.1 tf2onnx==1.17.0 onnx==1.19.1 onnxruntime==1.22.1 numpy==2.1.3
export TF_CPP_MIN_LOG_LEVEL=3 XDG_CACHE_HOME="$folder"
cat > "$folder/show.py" <<'PY'
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx

folder = sys.argv[1]
print("tf2onnx", tf2onnx.__version__, "tensorflow", tf.__version__, "onnxruntime", onnxruntime.__version__)
deviations = tf.constant([2.0, 3.0])
spec = tf.TensorSpec((None, 2), name="x")


class Scaled(tf.Module):
    @tf.function(input_signature=[spec])
    def __call__(self, x):
        return {"y": x * deviations}


module = Scaled()
x = np.array([[1, 1], [5, 7]], np.float32)
print("called:", module(tf.constant(x))["y"].numpy().tolist())
tf.saved_model.save(module, f"{folder}/model", signatures=module.__call__)
program = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", f"{folder}/model", "--output", f"{folder}/by-program.onnx"]
subprocess.run(program, check=True, capture_output=True)
served = tf.saved_model.load(f"{folder}/model").signatures["serving_default"]
graphs = {
    "python -m tf2onnx.convert": onnx.load(f"{folder}/by-program.onnx"),
    "from_function": tf2onnx.convert.from_function(module.__call__, input_signature=[spec])[0],
    "from_function of what was loaded": tf2onnx.convert.from_function(
        tf.function(lambda x: served(x=x)["y"], autograph=False), input_signature=[spec]
    )[0],
}
inputs = {how: [value.name for value in graph.graph.input] for how, graph in graphs.items()}
for how, names in inputs.items():
    print(f"{how}: inputs {names}")
session = onnxruntime.InferenceSession(graphs["from_function"].SerializeToString(), providers=["CPUExecutionProvider"])
try:
    session.run(None, {"x": x})
except Exception as error:  # noqa: BLE001
    print("ONNX Runtime, given x:", " ".join(str(error).split())[:120])
else:
    raise SystemExit("changed: it runs without the other input")
assert [len(names) for names in inputs.values()] == [1, 2, 2], inputs
print("seen: a constant of the function is an input of its graph, and its value is in no file")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder" 2>&1 | grep -v "^WARNING\|^[IWE]0000\|tf2onnx - \|INFO"
