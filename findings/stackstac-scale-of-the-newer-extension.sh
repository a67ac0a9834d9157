#!/usr/bin/env bash
# Which:    stackstac 0.5.1 (rescale=True, its default), pystac 1.15.2.
# What:     scale and offset are taken from raster:bands of the raster extension 1; those of extension 2, which stands on the
#           asset or in STAC 1.1's bands (raster:scale, raster:offset), are not seen.
# Expected: the same reflectances from an item of STAC 1.0 and the same item migrated to 1.1; or a word.
# Seen:     0 to 0.2 from the old item, 1000 to 3000 from the new one. No warning; an index of ratios with an offset, or a
#           threshold of 0.3, is wrong afterwards.
# Who:      whoever stacks Sentinel-2 from a catalog that has moved to STAC 1.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet stackstac==0.5.1 pystac==1.15.2 rasterio==1.4.4 xarray==2026.9.0 dask==2026.8.0 numpy==2.4.6
cat > "$folder/show.py" <<'PY'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import rasterio
import stackstac
from rasterio.transform import from_origin

warnings.simplefilter("ignore", DeprecationWarning)
path = f"{sys.argv[1]}/red.tif"
counts = np.linspace(1000, 3000, 100 * 100).astype("uint16").reshape(100, 100)
how = {"driver": "GTiff", "width": 100, "height": 100, "count": 1, "dtype": "uint16", "nodata": 0, "crs": "EPSG:32632"}
with rasterio.open(path, "w", transform=from_origin(500000, 5600000, 10, 10), **how) as file:
    file.write(counts, 1)
print("stackstac", version("stackstac"))
RASTER = "https://stac-extensions.github.io/raster/v{}/schema.json"


def stacked(stac, raster, fields):
    place = [[9.0, 50.53], [9.02, 50.53], [9.02, 50.56], [9.0, 50.56], [9.0, 50.53]]
    item = {
        "type": "Feature", "stac_version": stac, "id": "a", "links": [], "stac_extensions": [RASTER.format(raster)],
        "geometry": {"type": "Polygon", "coordinates": [place]}, "bbox": [9.0, 50.53, 9.02, 50.56],
        "properties": {"datetime": "2024-06-15T10:30:00Z", "proj:epsg": 32632, "proj:shape": [100, 100],
                       "proj:transform": [10, 0, 500000, 0, -10, 5600000]},
        "assets": {"red": {"href": path, "type": "image/tiff; application=geotiff", **fields}},
    }  # fmt: skip
    found = stackstac.stack([item], assets=["red"], epsg=32632, resolution=10, rescale=True).compute()
    print(f"STAC {stac}, raster {raster}, {next(iter(fields))}: {float(found.min()):.4g} to {float(found.max()):.4g}")
    return float(found.min()), float(found.max())


old = stacked("1.0.0", "1.1.0", {"raster:bands": [{"scale": 1e-4, "offset": -0.1, "nodata": 0}]})
on_the_asset = stacked("1.1.0", "2.0.0", {"raster:scale": 1e-4, "raster:offset": -0.1, "nodata": 0})
in_bands = stacked("1.1.0", "2.0.0", {"bands": [{"name": "red", "raster:scale": 1e-4, "raster:offset": -0.1, "nodata": 0}]})
assert np.allclose(old, (0, 0.2))
assert on_the_asset == in_bands == (1000, 3000)
print("seen: reflectances of the old item, counts of the new ones")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
