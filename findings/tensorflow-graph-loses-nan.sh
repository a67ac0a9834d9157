#!/usr/bin/env bash
# Which:    TensorFlow 2.19.1 on the CPU.
# What:     fused batch normalisation followed by ReLU keeps NaN when it is called, and makes zeros of it inside a
#           tf.function: the graph's optimiser fuses the two into one operator, whose maximum of NaN and 0 is 0.
# Expected: the same numbers from a function and its graph, or NaN in both.
# Seen:     72 NaN of 2,048 values eagerly, none and 72 zeros in the graph; with the optimiser's remapping off, 72.
# Who:      whoever runs a SavedModel made from Keras 2, whose normalisation is this operator (Keras 3's is not), and looks
#           for NaN in its result to find pixels without data: they are ordinary zeros there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.19.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

print("tensorflow", tf.__version__)
rng = np.random.default_rng(0)
kernel, ones, zeros = rng.normal(size=(3, 3, 4, 8)).astype(np.float32), np.ones(8, np.float32), np.zeros(8, np.float32)


def network(x):
    x = tf.nn.conv2d(x, kernel, 1, "SAME")
    x, _, _ = tf.compat.v1.nn.fused_batch_norm(x, ones, zeros, zeros, ones, is_training=False)
    return tf.nn.relu(x)


scene = rng.random((1, 16, 16, 4)).astype(np.float32)
scene[0, 2, 2, 0] = np.nan


def graph():
    function = tf.function(lambda x: network(x))
    return function(tf.constant(scene)).numpy()


eager = network(tf.constant(scene)).numpy()
fused = graph()
tf.config.optimizer.set_experimental_options({"remapping": False})
plain = graph()
missing = np.isnan(eager)
print("NaN eagerly:", missing.sum(), "in a graph:", np.isnan(fused).sum(), "without remapping:", np.isnan(plain).sum())
print("what the graph has in their place:", np.unique(fused[missing]))
assert missing.sum() == 72 and not np.isnan(fused).any() and np.isnan(plain).sum() == 72
assert (fused[missing] == 0).all() and np.allclose(fused[~missing], eager[~missing], atol=1e-5)
print("seen: the graph turns missing values into zeros")
PY
"$folder/venv/bin/python" "$folder/show.py" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
