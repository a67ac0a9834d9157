#!/usr/bin/env bash
# Which:    rasterio 1.4.4 with the GDAL 3.10.3 of its wheel: read(out_shape=..., resampling=...) and build_overviews of
#           a float raster whose nodata value is NaN.
# What:     bilinear, cubic and lanczos leave pixels without data out by giving them no weight. Where their value is NaN,
#           no weight times NaN is NaN again, so that one pixel takes all with it that its kernel reaches.
# Expected: what the same raster gives with -9999 in place of NaN: nodata is nodata, whatever its value.
# Seen:     of a raster with 5 % of gaps, read at half its size, all pixels have data with -9999 (97 % for lanczos); with NaN
#           43 % have (bilinear), 5 % (cubic) and none (lanczos). Overviews are the same, in the file for good. average,
#           and all methods of WarpedVRT, treat both alike.
# Who:      everybody who writes float rasters with NaN, as rioxarray and most networks' outputs have it, and makes
#           overviews for them: maps empty out as one zooms out. Mended in a later GDAL (its pull request 14360,
#           of April 2026) than that of the last rasterio for Python 3.11, which is this one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rasterio==1.4.4 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import sys

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

chance = np.random.default_rng(0)
values = chance.uniform(100, 101, (240, 240)).astype("float32")
gaps = chance.random(values.shape) < 0.05
grid = Affine(10, 0, 600_000, 0, -10, 5_800_000)
print("rasterio", rasterio.__version__, "GDAL", rasterio.__gdal_version__)


def share(found, code):
    """Share of the pixels that have data, which lie in the range of the source."""
    data = found[~np.isnan(found) & (found != code)]
    assert not len(data) or (data.min() > 99 and data.max() < 102)
    return round(data.size / found.size, 2)


def shares(method, code):
    """Shares of a raster at half its size: read, from its overview, and warped."""
    path = f"{sys.argv[1]}/{method.name}{code}.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=240, width=240, count=1, dtype="float32", nodata=code, crs="EPSG:32633", transform=grid
    ) as file:
        file.write(np.where(gaps, np.float32(code), values), 1)
    with rasterio.open(path) as file:
        read = file.read(1, out_shape=(120, 120), resampling=method)
        with WarpedVRT(file, crs="EPSG:32633", transform=grid @ Affine.scale(2), width=120, height=120, resampling=method) as warped:
            half = warped.read(1)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], method)
    with rasterio.open(path, OVERVIEW_LEVEL=0) as file:
        overview = file.read(1)
    return [share(found, code) for found in (read, overview, half)]


seen = {}
for name in ("average", "bilinear", "cubic", "lanczos"):
    seen[name] = {str(code): shares(Resampling[name], code) for code in (-9999.0, np.nan)}
    print(f"{name}: share with data when read, in the overview, warped: {seen[name]}")
assert seen["average"]["nan"] == seen["average"]["-9999.0"]
for name, most in {"bilinear": 0.6, "cubic": 0.15, "lanczos": 0.05}.items():
    number, nan = seen[name]["-9999.0"], seen[name]["nan"]
    assert min(number) > 0.9, number
    assert nan[0] == nan[1] < most, nan
    assert nan[2] == number[2], (nan, number)
print("seen: NaN as nodata takes its neighbours with it, and -9999 does not")
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py" "$folder"
