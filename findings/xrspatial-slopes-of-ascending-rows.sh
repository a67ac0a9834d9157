#!/usr/bin/env bash
# Which:    xarray-spatial 0.5.3 (aspect, hillshade) with xarray 2026.9.0.
# What:     the coordinates say which way is north, and the default method ("planar") takes the first row for the northern one
#           whatever they say.
# Expected: the same numbers at the same places, whichever row an array begins with, as slope, curvature and the method
#           "geodesic" give them.
# Seen:     of a plane that rises to the north and faces south-south-west (197 degrees) with y falling, the aspect with y
#           rising is 343 degrees, north-north-west, and the hillshade 0.31 in place of 0.92. Nothing is said.
# Who:      whoever makes aspect or hillshade bands for a network from NetCDF, Zarr or sorted coordinates, whose rows rise
#           more often than not, beside others from GeoTIFFs, whose rows fall: slopes in the sun lie in the shade.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xarray-spatial==0.5.3 xarray==2026.9.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
from importlib.metadata import version

import numpy as np
import xarray as xr
from xrspatial import aspect, curvature, hillshade, slope

print("xarray-spatial", version("xarray-spatial"))
metres = np.arange(30) * 10.0 + 5
plane = np.add.outer(metres, 0.3 * metres)  # rises to the north, and a little to the east
rising = xr.DataArray(plane, {"y": metres, "x": metres}, ("y", "x"))
falling = rising.sortby("y", ascending=False)
inside = {"x": slice(1, -1), "y": slice(1, -1)}


def both(function, **how):
    """Give the middle, computed with rows from the south and from the north, and whether all pixels agree."""
    south, north = (function(array, **how).sortby("y").isel(inside) for array in (rising, falling))
    found = round(float(south[10, 10]), 2), round(float(north[10, 10]), 2)
    agree = bool(np.allclose(south, north, rtol=1e-4, atol=1e-4))
    print(f"{function.__name__} {how}: rows rising {found[0]}, rows falling {found[1]}, alike: {agree}")
    return *found, agree


true = np.degrees(np.arctan2(-0.3, -1)) % 360  # downhill, clockwise from north
assert both(aspect) == (round(180 - true + 360, 2), round(true, 2), False)
bright = both(hillshade)
assert bright[1] - bright[0] > 0.5
assert both(slope)[2] and both(curvature)[2]
degrees = 50 + np.arange(30) * 1e-4
rising = rising.assign_coords(y=degrees, x=degrees - 45)
falling = rising.sortby("y", ascending=False)
assert both(aspect, method="geodesic")[2]
print("seen: aspect and hillshade are mirrored where rows begin in the south")
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py"
