#!/usr/bin/env bash
# Which:    spyndex 0.12.0 (computeIndex), beside rio-tiler 9.4.12 (expressions) and xarray-spatial 0.5.3 (ndvi).
# What:     spectral indices of bands as files store them, unsigned integers.
# Expected: the index, or a word that fractions are needed: all three take such arrays.
# Seen:     NDVI of bare soil (near infrared 300, red 800, uint16) is 59.1 with spyndex and -0.45 with the others; of bytes 200
#           and 100 it is 2.27 for 0.33. No warning. Where no difference is negative and no sum too large, it is right, so
#           that meadows look as they should. Arrays of xarray are taken as they come, too.
# Who:      whoever adds an index as a band for a network from a scene's counts: water, soil and snow become numbers beyond 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet spyndex==0.12.0 rio-tiler==9.4.12 xarray-spatial==0.5.3 numpy==2.1.3 xarray==2026.9.0
cat > "$folder/show.py" <<'PY'
import warnings
from importlib.metadata import version

import numpy as np
import spyndex
import xarray as xr
from rio_tiler.models import ImageData
from xrspatial.multispectral import ndvi

print({name: version(name) for name in ("spyndex", "rio-tiler", "xarray-spatial", "numpy")})
warnings.simplefilter("error")
near, red = np.array([[300, 3000]], np.uint16), np.array([[800, 500]], np.uint16)  # soil and a meadow
exact = (near.astype(float) - red) / (near.astype(float) + red)


def told(name, found):
    found = np.asarray(found, float).round(2)
    print(f"{name}: {found.tolist()}")
    return found.tolist()


right = told("as fractions", exact)
assert right == [[-0.45, 0.71]]
for kind in (np.asarray, xr.DataArray):
    assert told(f"spyndex, {kind.__name__}", spyndex.computeIndex("NDVI", {"N": kind(near), "R": kind(red)})) == [[59.12, 0.71]]
fractions = {"N": near.astype(np.float32), "R": red.astype(np.float32)}
assert told("spyndex, float32", spyndex.computeIndex("NDVI", fractions)) == right
assert told("rio-tiler", ImageData(np.stack([near, red])).apply_expression("(b1-b2)/(b1+b2)").array[0]) == right
axes = ("y", "x")
assert told("xarray-spatial", ndvi(xr.DataArray(near, dims=axes), xr.DataArray(red, dims=axes))) == right
high, low = np.array([200], np.uint8), np.array([100], np.uint8)
assert told("spyndex, bytes", spyndex.computeIndex("NDVI", {"N": high, "R": low})) == [2.27]
print("seen: spyndex computes in the type of the bands, where differences and sums run over")
PY
"$folder/venv/bin/python" "$folder/show.py"
