#!/usr/bin/env bash
# Which:    scikit-learn 1.9.1, skl2onnx 1.20.0, ONNX Runtime 1.32.0.
# What:     a KNeighborsRegressor with weights="distance" converts without a word and gives other numbers: in the median a
#           hundredth, at most a tenth of the target's spread, half of it at the places it was fitted on, where the nearest
#           neighbour should count alone. The classifier's probabilities are as far; weights="uniform" is equal.
# Expected: the mean by 1/distance, as scikit-learn says and its own prediction gives.
# Seen:     0.07 of a spread of 0.64 on new places, 0.3 on those of the fit; "uniform" 5e-7.
# Who:      whoever maps biomass, soil or yield by nearest neighbours and hands the ONNX file on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.22.0 onnxruntime==1.32.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import os
import warnings

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
warnings.simplefilter("ignore")

import numpy as np
import onnxruntime
import skl2onnx
import sklearn
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

print("scikit-learn", sklearn.__version__, "skl2onnx", skl2onnx.__version__, "onnxruntime", onnxruntime.__version__)
chance = np.random.default_rng(0)
plots = chance.random((1500, 5)).astype(np.float32)
biomass = plots[:, 0] + 2 * plots[:, 1]
elsewhere = chance.random((300, 5)).astype(np.float32)


def apart(model, places):
    options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    graph = skl2onnx.to_onnx(model, plots[:1], options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    given = session.run(None, {session.get_inputs()[0].name: places})[-1]
    expected = model.predict_proba(places) if options else model.predict(places)
    return np.abs(given.reshape(expected.shape) - expected).max()


found = {}
for weights in ("uniform", "distance"):
    regressor = KNeighborsRegressor(weights=weights).fit(plots, biomass)
    classifier = KNeighborsClassifier(weights=weights).fit(plots, np.floor(plots[:, 0] * 3))
    found[weights] = apart(regressor, elsewhere), apart(regressor, plots[:300]), apart(classifier, elsewhere)
    print(f"{weights}: regressor {found[weights][0]:.2g} on new places, {found[weights][1]:.2g} on those of the fit,")
    print(f"  classifier's probabilities {found[weights][2]:.2g}")
print(f"spread of the target: {biomass.std():.2g}")
raise SystemExit(not (max(found["uniform"]) < 1e-5 and min(found["distance"]) > 0.03))
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "changed: not as described above"; exit 1; }
