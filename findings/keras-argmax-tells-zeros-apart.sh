#!/usr/bin/env bash
# Which:    Keras 3.15.1 on TensorFlow 2.19.1 (keras.ops.argmax and argmin), with tf2onnx 1.17.0; Keras on torch 2.13.0.
# What:     on TensorFlow, argmax takes -0.0 for less than 0.0, by its bits. The operators for that (Bitcast,
#           BitwiseAnd) are exported with the model.
# Expected: -0.0 equals 0.0, and the first of equals is given: so NumPy, torch, tf.argmax and Keras on torch.
#           An export that cannot be done raises.
# Seen:     scores times a mask of 0 are 0.0 and -0.0: Keras on TensorFlow gives the first class whose score was
#           positive, the others class 0. export(format="onnx") logs an error, returns and leaves a file that ONNX Runtime
#           refuses; the LiteRT converter raises on BitwiseAnd.
# Who:      everybody whose network ends in a map of labels (land cover, clouds) and masks scores by multiplying.
#           tf.argmax in a layer of one's own has none of this.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow-cpu==2.19.1 torch==2.13.0 numpy==2.1.3 onnx==1.22.0 tf2onnx==1.17.0 onnxruntime==1.32.0
cat > "$folder/show.py" <<'PY'
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import keras
import numpy as np

backend = keras.backend.backend()
scores = np.array([[-1.5, 0.5, 2.0], [-0.5, -2.0, 1.0], [1.0, -1.0, -3.0]], np.float32)
masked = scores * np.float32(0.0)
labels = keras.ops.convert_to_numpy(keras.ops.argmax(masked, axis=-1)).tolist()
print(f"keras {keras.__version__} on {backend}: argmax of masked scores {labels}, numpy {masked.argmax(-1).tolist()}")
assert masked.argmax(-1).tolist() == [0, 0, 0]
if backend == "torch":
    assert labels == [0, 0, 0], labels
    sys.exit()

import onnxruntime
import tensorflow as tf

print("tensorflow", tf.__version__, "tf.argmax", tf.argmax(masked, axis=-1).numpy().tolist())
assert tf.argmax(masked, axis=-1).numpy().tolist() == [0, 0, 0]
assert labels == [1, 2, 0], labels

x = keras.Input((4, 4, 3))
model = keras.Model(x, keras.ops.argmax(x, axis=-1))
model(np.zeros((1, 4, 4, 3), np.float32))
folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
file = folder / "labels.onnx"
tf.get_logger().setLevel(logging.ERROR)
model.export(file, format="onnx", verbose=False)
print("export(format='onnx') returned, file written:", file.exists())
try:
    onnxruntime.InferenceSession(file)
    refusal = None
except Exception as error:
    refusal = str(error)
print("onnxruntime", onnxruntime.__version__, "says:", refusal)
assert refusal and "Bitcast" in refusal

model.export(folder / "saved", format="tf_saved_model", verbose=False)
try:
    tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert()
    refusal = None
except Exception as error:
    refusal = str(error)
assert refusal and "BitwiseAnd" in refusal, refusal
print("the LiteRT converter refuses BitwiseAnd")
print(f"seen: argmax of masked scores is {labels} on TensorFlow and [0, 0, 0] elsewhere; export wrote a file that ONNX Runtime refuses")
PY
KERAS_BACKEND=torch "$folder/venv/bin/python" "$folder/show.py" "$folder"
KERAS_BACKEND=tensorflow "$folder/venv/bin/python" "$folder/show.py" "$folder" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
