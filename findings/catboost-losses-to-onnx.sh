#!/usr/bin/env bash
# Which:    catboost 1.2.10, save_model(format="onnx"), with ONNX Runtime 1.32.0.
# What:     the graph has the trees and not what the loss makes of their sum.
# Expected: the same numbers as predict and predict_proba, or a refusal, as of categorical features.
# Seen:     a count model (Poisson, Tweedie) gives the logarithm of the rate: -0.02 for 0.98. MultiClassOneVsAll gives other
#           probabilities, up to 0.17 off. A threshold set with set_probability_threshold is left out: one label in nine is
#           another. Of several targets (MultiRMSE) the file says zero of them, and ONNX Runtime does not open it. RMSE,
#           MAE, quantiles, expectiles, Huber, MultiClass, class weights and NaN are right to the last digits.
# Who:      whoever publishes a model of counts (fires, lightning, ships in a cell) or of land cover by one-against-all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet catboost==1.2.10 onnxruntime==1.32.0 onnx==1.16.1 numpy==2.4.6
export XDG_CACHE_HOME="$folder"
cat > "$folder/show.py" <<'PY'
import sys

import catboost
import numpy as np
import onnxruntime

onnxruntime.set_default_logger_severity(4)
rng = np.random.default_rng(0)
features = rng.normal(size=(300, 5)).astype(np.float32)
signal = features[:, 0] + features[:, 1] / 2 + rng.normal(size=300) * 0.2
counts, classes = rng.poisson(np.exp(signal / 2)), np.digitize(signal, [-0.5, 0.5])
print("catboost", catboost.__version__, "onnxruntime", onnxruntime.__version__)
how = {"iterations": 20, "verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": 0}


def from_onnx(model):
    path = f"{sys.argv[1]}/model.onnx"
    model.save_model(path, format="onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: features})


def regression(loss, target):
    model = catboost.CatBoostRegressor(loss_function=loss, **how).fit(features, target)
    [found], own = from_onnx(model), model.predict(features)
    apart = float(np.abs(found.ravel() - own).max())
    print(f"{loss}: predict {np.round(own[:3], 3)}, ONNX {np.round(found.ravel()[:3], 3)}, apart by at most {apart:.2g}")
    return found.ravel(), own, apart


def probabilities(model):
    labels, maps = from_onnx(model)
    found = np.array([[row[key] for key in sorted(row)] for row in maps])
    return labels.ravel(), float(np.abs(found - model.predict_proba(features)).max())


for loss in ("RMSE", "MAE", "Quantile:alpha=0.8", "Expectile:alpha=0.7", "Huber:delta=1"):
    assert regression(loss, signal)[2] < 1e-5
for loss in ("Poisson", "Tweedie:variance_power=1.5"):
    found, own, apart = regression(loss, counts.astype(float))
    assert apart > 0.5
    assert np.allclose(np.exp(found), own, rtol=1e-5), "it is the logarithm"

for loss, right in (("MultiClass", True), ("MultiClassOneVsAll", False)):
    _, apart = probabilities(catboost.CatBoostClassifier(loss_function=loss, **how).fit(features, classes))
    print(f"{loss}: probabilities apart by at most {apart:.2g}")
    assert (apart < 1e-5) == right

model = catboost.CatBoostClassifier(**how).fit(features, (signal > 0).astype(int))
model.set_probability_threshold(0.8)
same = float((from_onnx(model)[0].ravel() == model.predict(features)).mean())
print(f"threshold of 0.8: {same:.0%} of the labels are the same")
assert same < 0.95

model = catboost.CatBoostRegressor(loss_function="MultiRMSE", **how).fit(features, np.c_[signal, 2 * signal])
try:
    from_onnx(model)
except Exception as error:  # noqa: BLE001
    print("MultiRMSE:", " ".join(str(error).split())[-80:])
    assert "n_targets_or_classes" in str(error)
else:
    raise SystemExit("changed: a model of two targets opens")
print("seen: log rates for rates, other probabilities, other labels, without a word")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
