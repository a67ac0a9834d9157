#!/usr/bin/env bash
# Which:    scikit-learn 1.9.1, skl2onnx 1.20.0; xgboost-cpu 3.2.0, onnxmltools 1.16.0; ONNX Runtime 1.32.0.
# What:     models of several numbers a row. A perceptron of two targets becomes a column of twice as many rows; least
#           squares (PLS) say as many columns as they read; quantiles and several targets of XGBoost are other numbers.
# Expected: what the model predicts, or a refusal, as for trees of several targets in one (multi_output_tree).
# Seen:     5 rows and 2 targets: 10 rows of 1 from MLPRegressor; a declared width of 4 for 2 columns from PLSRegression;
#           from XGBoost arrays of the right shape in which not one row is the model's.
# Who:      whoever fits traits of leaves, heights with their quantiles, or wind in two components.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 skl2onnx==1.20.0 onnxmltools==1.16.0 xgboost-cpu==3.2.0 \
    onnx==1.22.0 onnxruntime==1.32.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os
import warnings

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
warnings.simplefilter("ignore")

import numpy as np
import onnxmltools
import onnxruntime
import skl2onnx
import sklearn
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.cross_decomposition import PLSRegression
from sklearn.neural_network import MLPRegressor

print("scikit-learn", sklearn.__version__, "skl2onnx", skl2onnx.__version__, "xgboost", xgboost.__version__)
pixels = np.random.default_rng(0).random((500, 4)).astype(np.float32)
wind = np.stack([pixels[:, 0] + pixels[:, 1], 3 - pixels[:, 2]], axis=1)
quantiles = {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}
MODELS = {
    "MLPRegressor": (MLPRegressor(hidden_layer_sizes=(8,), max_iter=200, random_state=0), wind),
    "PLSRegression": (PLSRegression(2), wind),
    "XGBoost, two targets": (xgboost.XGBRegressor(n_estimators=9), wind),
    "XGBoost, three quantiles": (xgboost.XGBRegressor(n_estimators=9, **quantiles), wind[:, 0]),
}
found = {}
for name, (model, target) in MODELS.items():
    model.fit(pixels, target)
    if name.startswith("XGB"):
        graph = onnxmltools.convert_xgboost(model, initial_types=[("X", FloatTensorType([None, 4]))])
    else:
        graph = skl2onnx.to_onnx(model, pixels[:1])
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(graph.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    [given], expected = session.run(None, {"X": pixels[:5]}), model.predict(pixels[:5])
    declared = [d.dim_value for d in graph.graph.output[0].type.tensor_type.shape.dim]
    apart = np.abs(given - expected).max(axis=1) if given.shape == expected.shape else None
    found[name] = (declared, given.shape, apart)
    by = "" if apart is None else f", apart by {apart.min():.2g} to {apart.max():.2g}"
    print(f"{name}: declares {declared}, gives {given.shape}, and the model {expected.shape}{by}")
same = found["MLPRegressor"][1] == (10, 1) and found["PLSRegression"][0][1] == 4 and found["PLSRegression"][1] == (5, 2)
raise SystemExit(not (same and all(found[n][2] is not None and (found[n][2] > 0.1).all() for n in list(found)[2:])))
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "changed: not as described above"; exit 1; }
