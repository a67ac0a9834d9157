#!/usr/bin/env bash
# Which:    Keras 3.15.1 on TensorFlow 2.19.1.
# What:     model.predict(x), which runs as a graph, replaces a division by a constant with a multiplication by its
#           reciprocal; model(x), which runs at once, divides. Exported SavedModels multiply as predict does.
# Expected: a model gives one answer to one input; and floor(x / 0.1) is that of the rounded quotient, as in NumPy.
# Seen:     of the tenths from -120 to 119.9, 153 in 2,400 fall into another bin by predict than by a call of the same
#           model. With random numbers none of 2,400 does.
# Who:      everybody whose data are stored in steps and whose model has bins or thresholds of a quotient inside, and who
#           checks one way of running it against the other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow-cpu==2.19.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
import keras
import numpy as np
import tensorflow as tf

given = keras.Input((1,))
model = keras.Model(given, keras.ops.floor(given / 0.1))
model.export("exported", verbose=False)
served = tf.saved_model.load("exported").serve


def ways(x):
    return {
        "call": keras.ops.convert_to_numpy(model(x)),
        "predict": model.predict(x, batch_size=len(x), verbose=0),
        "exported": served(x).numpy(),
    }


print("keras", keras.__version__, "tensorflow", tf.__version__)
steps = (np.arange(-1200, 1200, dtype=np.float64) / 10).astype(np.float32)[:, None]
random = np.random.default_rng(0).uniform(-120, 120, (2400, 1)).astype(np.float32)
seen = {}
for name, x in (("tenths", steps), ("random numbers", random)):
    quotient = np.floor(x / np.float32(0.1))
    seen[name] = {way: int((found != quotient).sum()) for way, found in ways(x).items()}
    print(f"{name}: of {len(x)}, in another bin than that of the quotient: {seen[name]}")
assert seen["tenths"]["call"] == 0
assert seen["tenths"]["predict"] == seen["tenths"]["exported"] == 153
assert not any(seen["random numbers"].values())
print("seen: predict and the exported model multiply by the reciprocal, and a call divides")
PY
cd "$folder"
"$folder/venv/bin/python" "$folder/show.py" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
