#!/usr/bin/env bash
# Which:    TensorFlow 2.19.1's LiteRT converter, run by ai-edge-litert 2.3.0.
# What:     get_output_details() names tensors, not outputs: an output that hands an input on has the input's name, two
#           outputs that are one tensor have one name and one index, and the other names say nothing. The rows stand
#           neither in the order of the function nor in that of get_signature_list(), which is the alphabet's.
# Expected: three outputs that a program can tell apart by name, or at least by their order.
# Seen:     outputs probability, mask and clear of a network that hands its mask on: three rows, two names, so that
#           a dictionary by name has two outputs; rows paired with the signature's list give the probability out as
#           "clear". Only get_signature_runner() gives the three by their names.
# Who:      everybody who runs a segmentation network that passes its mask of valid pixels through, by the usual lines
#           of get_output_details() and get_tensor().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.19.1 ai-edge-litert==2.3.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import importlib.metadata
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter


class Network(tf.Module):
    @tf.function(
        input_signature=[tf.TensorSpec((1, 4), tf.float32, name="image"), tf.TensorSpec((1, 4), tf.float32, name="mask")]
    )
    def serve(self, image, mask):
        return {"probability": tf.sigmoid(image) * mask, "mask": mask, "clear": tf.identity(mask)}


print("tensorflow", tf.__version__, "ai-edge-litert", importlib.metadata.version("ai-edge-litert"))
network, folder = Network(), sys.argv[1] + "/saved"
tf.saved_model.save(network, folder, signatures={"serving_default": network.serve})
interpreter = Interpreter(model_content=tf.lite.TFLiteConverter.from_saved_model(folder).convert())
interpreter.allocate_tensors()
given = {"image": np.zeros((1, 4), np.float32), "mask": np.array([[1, 1, 0, 1]], np.float32)}
for row in interpreter.get_input_details():
    name = row["name"].removeprefix("serving_default_").removesuffix(":0")
    interpreter.set_tensor(row["index"], given[name])
interpreter.invoke()
rows = interpreter.get_output_details()
signature = interpreter.get_signature_list()["serving_default"]["outputs"]
print("outputs of the signature:", signature)
print("get_output_details():", [(row["name"], row["index"]) for row in rows])
by_name = {row["name"]: interpreter.get_tensor(row["index"]) for row in rows}
print("read by name:", {name: value.tolist() for name, value in by_name.items()})
expected = {name: value.numpy() for name, value in network.serve(**given).items()}
by_signature = interpreter.get_signature_runner("serving_default")(**given)
assert set(by_signature) == set(expected)
assert all(np.allclose(by_signature[name], expected[name]) for name in expected)
assert signature == ["clear", "mask", "probability"], signature
assert [row["name"] for row in rows] == ["PartitionedCall:2", "serving_default_mask:0", "serving_default_mask:0"], rows
assert rows[1]["index"] == rows[2]["index"] and len(by_name) == 2
paired = {name: interpreter.get_tensor(row["index"]) for name, row in zip(signature, rows)}
print("paired with the signature's list:", {name: value.tolist() for name, value in paired.items()})
assert np.allclose(paired["clear"], expected["probability"]) and not np.allclose(paired["clear"], expected["clear"])
print("seen: three outputs, two names, none of them an output's; in order, the probability comes out as 'clear'")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
