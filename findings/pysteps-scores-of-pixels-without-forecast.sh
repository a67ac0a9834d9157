#!/usr/bin/env bash
# Which:    pysteps 1.21.5: verification.detcatscores.det_cat_fct, detcontscores.det_cont_fct, spatialscores.fss.
# What:     pixels without a forecast (NaN), which every extrapolation has where rain came in from outside: categorical
#           scores and the fractions skill score take them for dry, the correlation takes each field's mean and variance
#           over other pixels than their covariance.
# Expected: such pixels are left out of all of them, as their documentation says ("NaNs are ignored").
# Seen:     a forecast that is exact wherever there is one, on four fifths of the field: CSI and POD 0.82, accuracy 0.93,
#           FSS below 0.93, beside a mean error and a mean squared error of 0, which do leave them out. Over twelve such
#           fields the correlation, which should be 1, lies between 0.89 and 1.05. Where the forecast has rain and the
#           radar sees nothing, these pixels are false alarms.
# Who:      whoever compares a network, which forecasts all pixels, with extrapolation: each lead time lowers the latter's
#           scores by what came in, and only a correlation above 1 shows that something is wrong.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pysteps==1.21.5 numpy==2.1.3 scipy==1.17.1
cat > "$folder/show.py" <<'PY'
from importlib.metadata import version

import numpy as np
from pysteps.extrapolation.semilagrangian import extrapolate
from pysteps.verification.detcatscores import det_cat_fct
from pysteps.verification.detcontscores import det_cont_fct
from pysteps.verification.spatialscores import fss
from scipy.ndimage import gaussian_filter

print("pysteps", version("pysteps"))


def fields(seed):
    """Rain that moves 40 pixels to the east: what is observed, and its extrapolation."""
    wide = gaussian_filter(np.random.default_rng(seed).normal(size=(200, 240)), 6)
    wide = np.maximum(2 * wide / wide.std(), 0)
    before, after = wide[:, 40:], wide[:, :200]
    motion = np.stack([np.full(before.shape, 10.0), np.zeros(before.shape)])
    forecast = extrapolate(before, motion, 4)[-1]
    there = np.isfinite(forecast)
    assert there.mean() == 0.8
    assert np.array_equal(forecast[there], after[there])  # exact wherever there is one
    return forecast, after, there


def scores(predicted, observed):
    found = det_cat_fct(predicted, observed, 0.5, scores=["CSI", "POD", "FAR", "ACC"])
    found |= det_cont_fct(predicted, observed, scores=["ME", "MSE", "corr_p"])
    return {name: round(float(value), 3) for name, value in found.items()}


forecast, after, there = fields(0)
whole = scores(forecast, after)
print("as extrapolated:     ", whole)
print("pixels with forecast:", scores(forecast[there], after[there]))
exact = {"CSI": 1.0, "POD": 1.0, "FAR": 0.0, "ACC": 1.0, "ME": 0.0, "MSE": 0.0, "corr_p": 1.0}
assert scores(forecast[there], after[there]) == exact
assert (whole["ME"], whole["MSE"]) == (0, 0)
assert whole["CSI"] < 0.85 and whole["ACC"] < 0.95, whole
assert scores(np.nan_to_num(forecast), after)["CSI"] == whole["CSI"]  # taken for dry
correlations = [scores(*fields(seed)[:2])["corr_p"] for seed in range(12)]
print("correlations of twelve fields:", correlations)
assert min(correlations) < 0.9 and max(correlations) > 1.04, correlations

skill, dry = fss(forecast, after, 0.5, 10), fss(np.nan_to_num(forecast), after, 0.5, 10)
print(f"FSS at 10 pixels: {skill:.3f}; with 0 for what is missing: {dry:.3f}")
assert skill == dry < 0.93
unseen = np.where(there, after, np.nan)  # of a radar that sees less than the forecast has
alarms = scores(after, unseen)
print("no observation there:", alarms)
assert alarms["FAR"] > 0.1 and alarms["MSE"] == 0, alarms
print("seen: pixels without a forecast are scored as dry, and a correlation exceeds 1")
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py"
