#!/usr/bin/env bash
# Which:    scikit-learn 1.9.1, skl2onnx 1.20.0, ONNX Runtime 1.32.0.
# What:     DecisionTree, RandomForest and ExtraTrees learn at each split where missing values (NaN) go. Converted, without a word,
#           all of them go to the right: ONNX has a field for it (nodes_missing_value_tracks_true), which is left 0.
# Expected: the labels of the model, as HistGradientBoosting gives them, whose converter writes that field.
# Seen:     three in ten labels of rows with a gap are other (29 to 30 %), and none of rows without.
# Who:      whoever classifies pixels with clouds cut out of some dates by a random forest, and hands the ONNX file on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.22.0 onnxruntime==1.32.0 numpy==2.1.3 \
    protobuf==5.29.6
cat > "$folder/show.py" <<'PY'
import os
import warnings

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
warnings.simplefilter("ignore")

import numpy as np
import onnxruntime
import skl2onnx
import sklearn
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

print("scikit-learn", sklearn.__version__, "skl2onnx", skl2onnx.__version__, "onnxruntime", onnxruntime.__version__)
chance = np.random.default_rng(0)
pixels = chance.random((2000, 4)).astype(np.float32)
crop = (pixels[:, 0] + pixels[:, 1] > 1).astype(int)
pixels[chance.random(pixels.shape) < 0.2] = np.nan
gaps = np.isnan(pixels).any(axis=1)
models = {
    "tree": DecisionTreeClassifier(max_depth=6, random_state=0),
    "forest": RandomForestClassifier(20, max_depth=6, random_state=0),
    "extra trees": ExtraTreesClassifier(20, max_depth=6, random_state=0),
    "histograms": HistGradientBoostingClassifier(max_iter=20, random_state=0),
}
found = {}
for name, model in models.items():
    model.fit(pixels, crop)
    graph = skl2onnx.to_onnx(model, pixels[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    other = session.run(None, {session.get_inputs()[0].name: pixels})[0] != model.predict(pixels)
    found[name] = float(other[gaps].mean()), float(other[~gaps].mean())
    print(f"{name}: {found[name][0]:.0%} other labels in rows with gaps, {found[name][1]:.0%} in rows without")
away = [found[name] for name in ("tree", "forest", "extra trees")]
raise SystemExit(not (all(a > 0.1 and b == 0 for a, b in away) and found["histograms"] == (0, 0)))
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "changed: not as described above"; exit 1; }
