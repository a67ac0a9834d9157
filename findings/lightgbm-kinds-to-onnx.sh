#!/usr/bin/env bash
# Which:    lightgbm 4.7.0, onnxmltools 1.16.0 (skl2onnx 1.20.0), ONNX Runtime 1.32.0.
# What:     convert_lightgbm leaves four settings of a model out of the graph, without an error or a warning: linear_tree
#           (leaves of constants stand for leaves of straight lines), zero_as_missing, the mean of boosting_type="rf" and
#           the probabilities of multiclassova.
# Expected: the same numbers, or that such a model is refused, as convert_xgboost refuses missing=-9999.
# Seen:     of a random forest and of linear trees nearly every row is other, of one-against-all every probability, with
#           zero_as_missing those rows that hold a zero; plain trees are equal.
# Who:      whoever trains on pixels where 0 is nodata, or on few samples (linear trees), and serves the file by ONNX.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet lightgbm==4.7.0 onnxmltools==1.16.0 skl2onnx==1.20.0 onnx==1.22.0 \
    onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os
import warnings

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
warnings.simplefilter("ignore")

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
from onnxmltools.convert.common.data_types import FloatTensorType

print("lightgbm", lightgbm.__version__, "onnxmltools", onnxmltools.__version__, "onnxruntime", onnxruntime.__version__)
chance = np.random.default_rng(0)
pixels = chance.random((2000, 4)).astype(np.float32)
height = pixels[:, 0] + 2 * pixels[:, 1]
kind = np.floor(pixels[:, 0] * 3)
with_zeros = np.where(chance.random(pixels.shape) < 0.2, 0, pixels).astype(np.float32)
FOREST = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
MODELS = {
    "plain": ({}, height, pixels),
    "linear_tree": ({"linear_tree": True}, height, pixels),
    "zero_as_missing": ({"zero_as_missing": True}, height, with_zeros),
    "rf": (FOREST, height, pixels),
    "multiclassova": ({"objective": "multiclassova"}, kind, pixels),
}
found = {}
for name, (settings, target, table) in MODELS.items():
    of_classes = name == "multiclassova"
    model = (lightgbm.LGBMClassifier if of_classes else lightgbm.LGBMRegressor)(
        n_estimators=20, verbose=-1, n_jobs=1, random_state=0, **settings
    ).fit(table, target)
    graph = onnxmltools.convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 4]))], zipmap=False)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    given = session.run(None, {"x": table})[1 if of_classes else 0].reshape(len(table), -1)
    expected = (model.predict_proba if of_classes else model.predict)(table).reshape(len(table), -1)
    apart = np.abs(given - expected).max(axis=1)
    found[name] = float((apart > 1e-3).mean())
    print(f"{name}: {found[name]:.0%} of the rows differ, by {apart.max():.2g} at most, of values up to {expected.max():.2g}")
same = found["plain"] == 0 and found["zero_as_missing"] > 0.1
same = same and all(found[name] > 0.9 for name in ("linear_tree", "rf", "multiclassova"))
raise SystemExit(not same)
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "changed: not as described above"; exit 1; }
