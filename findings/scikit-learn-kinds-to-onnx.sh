#!/usr/bin/env bash
# Which:    scikit-learn 1.9.1, skl2onnx 1.20.0, ONNX Runtime 1.32.0.
# What:     to_onnx leaves four settings of a model out of the graph, without an error or a warning: the exponential of
#           histogram boosting with loss="poisson" or "gamma", categorical_features, a tuned threshold
#           (TunedThresholdClassifierCV), and the columns that SimpleImputer(add_indicator=True) adds.
# Expected: the same numbers, or that such a model is refused, as FixedThresholdClassifier is.
# Seen:     counts are their logarithms; categories are split as numbers; labels are those of the threshold 0.5; the
#           imputer gives four columns in place of five. The same boosting with the squared error is equal.
# Who:      whoever fits counts or biomass, soil and land-cover codes, a rare class with its threshold, or pixels with gaps.
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
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV

print("scikit-learn", sklearn.__version__, "skl2onnx", skl2onnx.__version__, "onnxruntime", onnxruntime.__version__)
chance = np.random.default_rng(0)
pixels = chance.random((2000, 4)).astype(np.float32)
count = 40 * pixels[:, 0] + 1
soil = pixels.copy()
soil[:, 3] = chance.integers(0, 8, len(soil))
kind = np.isin(soil[:, 3], (0, 2, 5, 7)).astype(int)
rare = (pixels[:, 0] + chance.normal(0, 0.3, len(pixels)) > 1.1).astype(int)
gaps = pixels.copy()
gaps[::9, 0] = np.nan
MODELS = {
    "squared error": (HistGradientBoostingRegressor(max_iter=20), pixels, count),
    "poisson": (HistGradientBoostingRegressor(max_iter=20, loss="poisson"), pixels, count),
    "gamma": (HistGradientBoostingRegressor(max_iter=20, loss="gamma"), pixels, count),
    "categories": (HistGradientBoostingClassifier(max_iter=20, categorical_features=[3]), soil, kind),
    "threshold": (TunedThresholdClassifierCV(LogisticRegression(), scoring="f1"), pixels, rare),
    "imputer": (SimpleImputer(add_indicator=True), gaps, None),
}
found = {}
for name, (model, table, target) in MODELS.items():
    model.fit(table, target)
    graph = skl2onnx.to_onnx(model, table[:1], options={"zipmap": False} if hasattr(model, "classes_") else None)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    given = session.run(None, {"X": table})[0]
    expected = model.transform(table) if target is None else model.predict(table)
    if target is None:
        found[name] = given.shape[1], expected.shape[1]
        print(f"{name}: {given.shape[1]} columns, and the model {expected.shape[1]}")
        continue
    apart = np.abs(given.reshape(len(table)) - expected)
    found[name] = float((apart > 1e-3).mean())
    print(f"{name}: {found[name]:.0%} of the rows differ, by {apart.max():.2g} at most, of values up to {expected.max():.2g}")
same = found["squared error"] == 0 and found["imputer"] == (4, 5)
same = same and all(found[name] > 0.9 for name in ("poisson", "gamma"))
raise SystemExit(not (same and all(found[name] > 0.02 for name in ("categories", "threshold"))))
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "changed: not as described above"; exit 1; }
