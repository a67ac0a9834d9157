#!/usr/bin/env bash
# Which:    Keras 3.15.1 (TensorFlow 2.19.1): the argument `training` of a layer in a functional model.
# What:     what a layer was called with when the model was made counts only where the model is called without
#           `training`. predict() and fit() call it with False and True, and these win: Dropout()(x, training=True) drops
#           nothing in predict(), and BatchNormalization()(x, training=False) moves its statistics in fit().
# Expected: an argument that was given to a layer stays, as in Keras 2, and as Keras' guide to transfer learning says of
#           `base_model(inputs, training=False)`.
# Seen:     predict() gives one result where model(x) draws a new one each time; statistics move from 0 by fit().
# Who:      those who predict an uncertainty by dropout (Monte Carlo), and those who tune a network whose normalisations
#           are to stay as they are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow-cpu==2.19.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from keras import layers

print("keras", keras.__version__)
x = keras.Input((64,))
drop = keras.Model(x, layers.Dropout(0.5)(x, training=True))
ones = np.ones((1, 64), np.float32)
called = [np.asarray(drop(ones)) for _ in range(2)]
predicted = drop.predict(ones, verbose=0)
print("called twice:", int((called[0] != called[1]).sum()), "of 64 differ; predict: dropped", int((predicted == 0).sum()))
assert not np.array_equal(*called)
assert np.array_equal(predicted, ones)

inner_input = keras.Input((4,))
norm = layers.BatchNormalization()
base = keras.Model(inner_input, norm(inner_input))
x = keras.Input((4,))
model = keras.Model(x, layers.Dense(1)(base(x, training=False)))
model.compile("sgd", "mse")
data = np.random.default_rng(0).random((256, 4), np.float32) + 5
model.fit(data, data[:, :1], epochs=1, verbose=0)
moved = float(np.abs(np.asarray(norm.moving_mean)).max())
print(f"the mean of a base called with training=False moved by {moved:.2f}")
assert moved > 0.1, moved
print("seen: predict() and fit() override the argument that a layer was given")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
