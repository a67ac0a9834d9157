#!/usr/bin/env bash
# Which:    Keras 3.15.1 on TensorFlow 2.19.1 and its LiteRT converter: UpSampling2D on an input of open height and width.
# What:     nearest (the default) is built of repeats, in which the converter does not find the number of channels
#           again, although TensorFlow's own graph states it; bilinear cannot be traced at all, although it runs eagerly.
# Expected: both are exported and converted, as Conv2DTranspose is on the same grid and both are on a fixed one.
# Seen:     nearest: the SavedModel is right, and the converter refuses the convolution that follows, whose input it
#           prints as tensor<?x?x?x?xf32>. Bilinear: OperatorNotAllowedInGraphError from inside of the layer.
# Who:      everybody who exports a U-Net for images of any size: fix the grid, or take transposed convolutions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow-cpu==2.19.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

print("keras", keras.__version__, "tensorflow", tf.__version__)
layers = {
    "nearest": lambda: keras.layers.UpSampling2D(2),
    "bilinear": lambda: keras.layers.UpSampling2D(2, interpolation="bilinear"),
    "transposed": lambda: keras.layers.Conv2DTranspose(4, 2, strides=2),
}


def exported(model, grid):
    folder = tempfile.mkdtemp(dir=sys.argv[1])
    try:
        model.export(folder, format="tf_saved_model", verbose=False)
    except Exception as error:
        return type(error).__name__
    traced = tf.function(model).get_concrete_function(tf.TensorSpec((None, *grid, 4))).graph
    (convolution,) = [made for made in traced.get_operations() if made.type == "Conv2D"]
    assert convolution.inputs[0].shape[-1] == 4
    try:
        tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    except Exception as error:
        assert "tf.Conv2D(tensor<?x?x?x?xf32>" in str(error), error
        return "the converter refuses Conv2D of ?x?x?x?"
    return "converted"


seen = {}
for name, layer in layers.items():
    for grid in ((None, None), (8, 8)):
        x = keras.Input((*grid, 4))
        up = layer()(x)
        assert up.shape[-1] == 4
        model = keras.Model(x, keras.layers.Conv2D(3, 3, padding="same")(up))
        assert model(np.ones((1, 8, 8, 4), np.float32)).shape == (1, 16, 16, 3)
        seen[name, grid] = exported(model, grid)
        print(f"{name}, grid {grid}: Keras says {up.shape}; {seen[name, grid]}")
different = {case: said for case, said in seen.items() if said != "converted"}
assert different == {
    ("nearest", (None, None)): "the converter refuses Conv2D of ?x?x?x?",
    ("bilinear", (None, None)): "OperatorNotAllowedInGraphError",
}, different
print("seen: on an open grid nearest upsampling does not convert, and bilinear is not even exported; on a fixed one both do")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
