#!/usr/bin/env bash
# Which:    exactextract 0.3.0 (the Python package), median and quantile of a zone.
# What:     pixels of one value become a single value, and quantiles are read between such values on straight lines that
#           start at the least and end at the greatest: where there are two, it does not matter how often each occurs. Of
#           an integer raster the fraction is then cut off.
# Expected: of 100 whole pixels, 99 of them 0, the median and every quantile up to 0.98 is 0, as of numpy and of most
#           definitions of a weighted quantile.
# Seen:     99 pixels without rain and one of 10 mm have a median of 5 mm and a 0.9 quantile of 9 mm; the median of a mask
#           is 0.5 whether a tenth or nine tenths of it are set. As int16, -3 and -2 have a median of -2. Of 1,600
#           different numbers all are those of numpy.
# Who:      whoever takes medians of rain, classes, counts or masks by polygon. No warning; mean, count and mode are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet exactextract==0.3.0 numpy==2.1.3 geopandas==1.2.0 shapely==2.2.0 pyproj==3.7.2 pandas==3.1.1
cat > "$folder/show.py" <<'PY'
import importlib.metadata

import geopandas
import numpy as np
import shapely
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource


def zone(values, *statistics):
    """Statistics of a zone that holds every pixel of a raster whole."""
    height, width = values.shape
    source = NumPyRasterSource(values, xmin=0, ymin=0, xmax=width, ymax=height, srs_wkt=CRS.to_wkt())
    whole = geopandas.GeoDataFrame({"id": [1]}, geometry=[shapely.box(0, 0, width, height)], crs=CRS)
    return [round(float(exact_extract(source, whole, [name])[0]["properties"].popitem()[1]), 3) for name in statistics]


CRS = geopandas.GeoSeries(crs="EPSG:32633").crs
QUANTILES = "median", "quantile(q=0.9)"
print("exactextract", importlib.metadata.version("exactextract"))
rain = np.zeros((10, 10), np.float32)
rain[3, 4] = 10
found, right = zone(rain, *QUANTILES), np.quantile(rain, [0.5, 0.9]).tolist()
print(f"99 pixels of 0 mm, one of 10 mm: median and 0.9 quantile {found}, numpy {right}; mean {zone(rain, 'mean')}")
assert found == [5, 9] and right == [0, 0] and zone(rain, "mean") == [0.1]

chance = np.random.default_rng(0)
for share in (0.1, 0.9):
    mask = (chance.random((40, 40)) < share).astype(np.float32)
    found, right = zone(mask, "median"), float(np.median(mask))
    print(f"a mask with {share:.0%} set: median {found}, numpy {right:g}, mean {zone(mask, 'mean')}")
    assert found == [0.5] and right == round(share)

pair = np.array([[-3, -2]])
found = {kind: zone(pair.astype(kind), "median") for kind in ("float32", "int16")}
print("-3 and -2:", found)
assert found == {"float32": [-2.5], "int16": [-2]}

noise = chance.normal(size=(40, 40)).astype(np.float32)
apart = np.abs(np.array(zone(noise, *QUANTILES)) - np.quantile(noise, [0.5, 0.9])).max()
print(f"1,600 different numbers: within {apart:.1g} of numpy")
assert apart < 1e-3
print("seen: the median of 99 zeros and a ten is five")
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py"
