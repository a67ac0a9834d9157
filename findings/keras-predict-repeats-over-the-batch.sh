#!/usr/bin/env bash
# Which:    Keras 3.15.1 on TensorFlow 2.19.1: TimeDistributed in a model for any number of steps.
# What:     predict() gives as many steps as there are samples, without an error, once it has seen a second shape: it
#           then traces with open sizes, and the layer maps over the length of the batch instead of the time. In front of
#           a layer that takes any number of steps (LSTM) the shape is right and the numbers are wrong. model.export
#           traces with open sizes from the start.
# Expected: predict() gives what the model gives when it is called, whatever was predicted before.
# Seen:     (3, 3, 4) instead of (3, 7, 4); with an LSTM after it numbers that are 0.23 apart; a SavedModel likewise.
# Who:      everybody who predicts image sequences of more than one length, or exports such a model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow-cpu==2.19.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

print("keras", keras.__version__, "tensorflow", tf.__version__)
keras.utils.set_random_seed(0)
x = keras.Input((None, 8))
steps = layers.TimeDistributed(layers.Dense(4))(x)
frames, last = keras.Model(x, steps), keras.Model(x, layers.LSTM(3)(steps))
rng = np.random.default_rng(0)
first, second = rng.random((2, 5, 8), np.float32), rng.random((3, 7, 8), np.float32)

assert np.allclose(frames.predict(first, verbose=0), frames(first), atol=1e-6)  # the first shape is right
last.predict(first, verbose=0)
called, predicted = frames(second), frames.predict(second, verbose=0)
apart = float(np.abs(last.predict(second, verbose=0) - np.asarray(last(second))).max())
print("called", tuple(called.shape), "predict", predicted.shape, "after it an LSTM:", f"{apart:.3f} apart")
assert tuple(called.shape) == (3, 7, 4)
assert predicted.shape == (3, 3, 4), predicted.shape
assert apart > 0.01, apart

fresh = keras.models.clone_model(frames)
fresh.set_weights(frames.get_weights())
assert fresh.predict(second, verbose=0).shape == (3, 7, 4)  # as the first shape it is right, too

frames.export(sys.argv[1] + "/saved", format="tf_saved_model", verbose=False)
loaded = tf.saved_model.load(sys.argv[1] + "/saved")
served = loaded.serve(second)
print("SavedModel", tuple(served.shape))
assert tuple(served.shape) == (3, 3, 4), served.shape
print("seen: predict() of a second shape, and a SavedModel, repeat the layer once for each sample, not for each step")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
