#!/usr/bin/env bash
# Which:    Keras 3.15.1 (TensorFlow 2.19.1): model.export() of a model with layers of augmentation.
# What:     RandomFlip, RandomRotation and the like have `training=True` by default, and export() traces the model without
#           saying `training`: the exported file augments what it is served, differently at each call.
# Expected: the exported file gives what predict() gives; the guide to preprocessing layers says that these layers are
#           active during training only.
# Seen:     predict() gives the image as it is, each time; the SavedModel gives it flipped about every second time.
# Who:      those who put augmentation into the model, as that guide shows, and serve what they export: a map of classes
#           comes out mirrored, now and then.
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

print("keras", keras.__version__, "tensorflow", tf.__version__)
x = keras.Input((4, 4, 1))
model = keras.Model(x, keras.layers.RandomFlip("horizontal", seed=1)(x))
image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
predicted = [bool((model.predict(image, verbose=0) == image).all()) for _ in range(20)]
model.export(sys.argv[1] + "/exported", verbose=False)
exported = tf.saved_model.load(sys.argv[1] + "/exported")
served = [exported.serve(image).numpy() for _ in range(20)]
same = [bool((found == image).all()) for found in served]
flipped = [bool((found == image[:, :, ::-1]).all()) for found in served]
print("of 20 calls, the image as it is: predict", sum(predicted), "exported", sum(same), "flipped", sum(flipped))
assert all(predicted)
assert sum(flipped) > 2
assert sum(same) + sum(flipped) == 20
print("seen: the exported model flips what it is served")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
