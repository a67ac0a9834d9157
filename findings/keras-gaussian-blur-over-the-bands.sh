#!/usr/bin/env bash
# Which:    Keras 3.15.1 on torch 2.13.0 and on TensorFlow 2.19.1: keras.ops.image.gaussian_blur.
# What:     on torch an image of the usual layout (batch, height, width, bands) is blurred along width and bands, not along
#           height and width, unless the call says data_format="channels_last", which is the configured default, or is
#           a step of a functional model. On both backends the weights of a kernel that is not square are put out of order.
# Expected: the layout that keras.config.image_data_format() names, as in all of keras.ops.image; each band by itself; in a
#           model the same as outside of it.
# Seen:     on torch a spot in one of four bands spreads into the bands beside it (0.27, 0.45, 0.27, 0) and to no other row; a
#           model of this one step, and TensorFlow, spread it to rows and columns of its own band. Shapes are the same with
#           a 3 by 3 kernel; a 4 by 4 one makes five bands of four. With a 5 by 3 kernel more of the spot lies two
#           rows away than one, on both backends.
# Who:      whoever smooths images before a network or in a layer's call on torch: the bands are mixed, with no error. Mended
#           in Keras after this version (its pull request 23542, of August 2026).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow-cpu==2.19.1 torch==2.13.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import ops

backend = keras.backend.backend()
print(f"keras {keras.__version__} on {backend}, configured {keras.config.image_data_format()}")
assert keras.config.image_data_format() == "channels_last"
image = np.zeros((1, 9, 9, 4), np.float32)
image[0, 4, 4, 1] = 1  # a spot in the second of four bands


def blurred(size=(3, 3), **options):
    return ops.convert_to_numpy(ops.image.gaussian_blur(image, size, (1.0, 1.0), **options))[0].astype(float)


def shares(found):
    """How much of the spot lies in each row, column and band."""
    return {axis: found.sum(others).round(2).tolist() for axis, others in {"rows": (1, 2), "columns": (0, 2), "bands": (0, 1)}.items()}


line, spread = [0, 0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0.27, 0.45, 0.27, 0, 0, 0]
usual, said = shares(blurred()), shares(blurred(data_format="channels_last"))
even, flat = blurred((4, 4)).shape, blurred((5, 3), data_format="channels_last").sum((1, 2)).round(2).tolist()
print("default:", usual)
print("data_format='channels_last':", said)
print("shape after a 4 by 4 kernel:", even, "; rows after a 5 by 3 kernel:", flat)
assert said == {"rows": spread, "columns": spread, "bands": [0, 1, 0, 0]}, said
assert flat == [0, 0, 0.19, 0.11, 0.4, 0.11, 0.19, 0, 0], flat  # more of the spot two rows away than one
if backend == "torch":
    assert usual == {"rows": line, "columns": spread, "bands": [0.27, 0.45, 0.27, 0]}, usual
    assert even == (9, 10, 5), even
else:
    assert usual == said, usual
    assert even == (9, 9, 4), even

x = keras.Input((9, 9, 4))
model = keras.Model(x, ops.image.gaussian_blur(x))
assert shares(model.predict(image, verbose=0)[0].astype(float)) == said
if backend == "torch":
    print("seen: the blur runs over width and bands outside of a model, and over height and width in it")
PY
for backend in tensorflow torch; do
    KERAS_BACKEND=$backend "$folder/venv/bin/python" "$folder/show.py" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
done
