#!/usr/bin/env bash
# Which:    Keras 3.15.1 on TensorFlow 2.19.1: Bidirectional(LSTM | GRU | SimpleRNN, return_sequences=True, unroll=True) after
#           Masking, or with any mask.
# What:     of the half that goes backwards the steps are turned round and the mask that makes zeros is not.
# Expected: unroll=True is another way to the same numbers, with more memory and less overhead.
# Seen:     of series padded with zeros at the end, the first steps are zeros in place of the results: as many as were padded,
#           off by up to 0.98 of 1; without unroll they are right, and so is go_backwards=True alone. No warning.
# Who:      whoever unrolls for a format that has no loops (LiteRT, ONNX), and has series of unequal lengths: crops, buoys,
#           parcels with clouds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow==2.19.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import logging

import keras
import numpy as np

logging.getLogger("tensorflow").setLevel(logging.ERROR)
print("keras", keras.__version__)
series = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
series[0, 6:] = 0  # three steps of padding


def network(cell, unroll, both, padded=True):
    keras.utils.set_random_seed(0)
    how = {"return_sequences": True, "unroll": unroll}
    layer = keras.layers.Bidirectional(cell(4, **how)) if both else cell(4, go_backwards=True, **how)
    return keras.Sequential([keras.Input((9, 3)), *([keras.layers.Masking(0.0)] if padded else []), layer])


def apart(cell, both, padded=True):
    rolled, unrolled = network(cell, False, both, padded), network(cell, True, both, padded)
    unrolled.set_weights(rolled.get_weights())
    found = np.abs(rolled.predict(series, verbose=0) - unrolled.predict(series, verbose=0)).max(axis=-1)
    print(cell.__name__, "both ways" if both else "backwards", "masked" if padded else "not masked", np.round(found[0].astype(float), 2).tolist())
    return found


for cell in (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN):
    found = apart(cell, both=True)
    assert (found[0, :3] > 0.01).all(), "the first three steps, as three are padding"
    assert (found[0, 3:] < 1e-5).all()
    assert (found[1] < 1e-5).all(), "nothing is padded there"
assert apart(keras.layers.LSTM, both=False).max() < 1e-5
assert apart(keras.layers.LSTM, both=True, padded=False).max() < 1e-5
print("seen: unrolled, the wrong steps are zeros")
PY
"$folder/venv/bin/python" "$folder/show.py"
