#!/usr/bin/env bash
# Which:    Keras 3.15.1 on PyTorch 2.13.0, where TensorFlow 2.19.1 is installed, too.
# What:     model.save(path), and keras.utils.set_random_seed, import the whole of TensorFlow.
# Expected: a process with KERAS_BACKEND=torch imports PyTorch; building, calling, fitting and loading do only that.
# Seen:     the first save takes 2.4 s of a processor instead of 0.02, and 767 MB at the peak instead of 347: Keras asks
#           whether what it writes are types of TensorFlow, and imports it to ask. The configuration in the file is the
#           same without it. Loading the file does not import it.
# Who:      everybody who trains on PyTorch in an environment with both: each short job, each worker of a pool, and a GPU
#           whose memory TensorFlow looks at when it starts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 torch==2.13.0 tensorflow-cpu==2.19.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os
import resource
import sys
import time

os.environ["KERAS_BACKEND"], os.environ["TF_CPP_MIN_LOG_LEVEL"] = "torch", "3"
step, path = sys.argv[1:3]
if "hidden" in sys.argv:
    sys.modules["tensorflow"] = None  # as if it were not installed

import keras
import numpy as np

if step == "load":
    model = keras.saving.load_model(path)
else:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    model.compile("adam", "mse")
x = np.ones((1, 8, 8, 3), "float32")
model.predict(x, verbose=0)
model.fit(x, model(x), verbose=0)
before = sys.modules.get("tensorflow")
start = time.process_time()
if step == "save":
    model.save(path)
if step == "seed":
    keras.utils.set_random_seed(0)
seconds = time.process_time() - start
after = sys.modules.get("tensorflow")
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
print(step, before is not None, after is not None, f"{seconds:.2f}", f"{memory:.0f}", sep="\t")
PY
cat > "$folder/compare.py" <<'PY'
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version

print("keras", version("keras"), "torch", version("torch"), "tensorflow", version("tensorflow-cpu"))
folder, seen = sys.argv[1], {}
for step, *more in (("save",), ("save", "hidden"), ("load",), ("seed",)):
    file = f"{folder}/{'-'.join(('save', *more))}.keras"
    done = subprocess.run([sys.executable, f"{folder}/show.py", step, file, *more], capture_output=True, text=True, check=True)
    _, before, after, seconds, memory = done.stdout.strip().split("\t")
    seen[step, *more] = before == "True", after == "True", float(seconds), float(memory)
    name = " ".join((step, *more))
    print(f"{name}: TensorFlow imported before {before}, after {after}; {seconds} s of a processor, {memory} MB at the peak")
assert seen["save",][:2] == (False, True), seen
assert seen["save", "hidden"][:2] == (False, False), seen
assert seen["load",][:2] == (False, False), seen
assert seen["seed",][:2] == (False, True), seen
assert seen["save",][2] > 5 * seen["save", "hidden"][2], seen
assert seen["save",][3] > 100 + seen["save", "hidden"][3], seen
configs = []
for name in ("save", "save-hidden"):
    with zipfile.ZipFile(f"{folder}/{name}.keras") as archive:
        said = archive.read("config.json").decode()
        configs.append(re.sub(r'("shared_object_id"): \d+', r"\1", said))  # an address in memory
assert configs[0] == configs[1]
print("seen: saving, and setting a seed, import TensorFlow into a process of PyTorch; the file is the same without it")
PY
"$folder/venv/bin/python" "$folder/compare.py" "$folder"
