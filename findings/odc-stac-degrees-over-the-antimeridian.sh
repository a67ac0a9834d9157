#!/usr/bin/env bash
# Which:    odc-stac 0.5.3 (load) with odc-geo 0.5.3, rasterio 1.4.4 and pystac 1.15.2.
# What:     two items on both sides of the antimeridian, asked for by a box whose west is greater than its east, as STAC and
#           GeoJSON write it, on a grid in degrees.
# Expected: the pixels of both, as on a grid in metres, or an error.
# Seen:     the grid of the rest of the world, 359 degrees wide, in which nothing lies: all NaN, without a word. A box to 180.5
#           has one of the items, and NaN for the other. In a UTM zone and in a Pacific projection both are there.
# Who:      whoever makes a scene of Fiji, Chukotka or a global grid of classes from an API's items: a map of nothing, 359 times as
#           large as the place.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet odc-stac==0.5.3 odc-geo==0.5.3 rasterio==1.4.4 pystac==1.15.2 numpy==2.1.3 xarray==2025.7.1
cat > "$folder/show.py" <<'PY'
import sys
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import odc.stac
import pystac
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from shapely.geometry import box, mapping

print({name: version(name) for name in ("odc-stac", "odc-geo", "rasterio", "pystac")})
SIDE, PIXEL = 100, 100


def item(name, zone, west, value):
    """Make a raster of one value in a UTM zone of the south, and an item of it with its grid."""
    path, place = f"{sys.argv[1]}/{name}.tif", from_origin(west, 8_200_000, PIXEL, PIXEL)
    profile = {"driver": "GTiff", "count": 1, "height": SIDE, "width": SIDE, "dtype": "uint16", "nodata": 0}
    with rasterio.open(path, "w", crs=zone, transform=place, **profile) as file:
        file.write(np.full((1, SIDE, SIDE), value, np.uint16))
        around = transform_bounds(zone, 4326, *file.bounds)
    made = pystac.Item(name, mapping(box(*around)), list(around), datetime(2020, 6, 1, tzinfo=UTC), {})
    made.stac_extensions = ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"]
    made.properties |= {"proj:code": f"EPSG:{zone}", "proj:shape": [SIDE, SIDE], "proj:transform": list(place)[:6]}
    made.add_asset("b", pystac.Asset(path, media_type="image/tiff; application=geotiff", roles=["data"]))
    return made


items = [item("west-of-it", 32760, 790_000, 7), item("east-of-it", 32701, 180_000, 9)]
print("longitudes:", [(round(one.bbox[0], 2), round(one.bbox[2], 2)) for one in items])


def load(bbox, crs, resolution):
    values = odc.stac.load(items, bands=["b"], bbox=bbox, crs=crs, resolution=resolution, dtype="uint16").b.values
    found = {int(value): int((values == value).sum()) for value in (7, 9)}
    print(f"{bbox} in {crs}: a grid of {values.shape[1:]}, pixels by value {found}")
    return values.shape[2], found[7] > 0, found[9] > 0


over, beyond = (179.5, -17, -179.5, -16), (179.5, -17, 180.5, -16)
for metres in ("EPSG:32760", "EPSG:3832"):
    width, *both = load(over, metres, 100)
    assert both == [True, True] and width < 1200
assert load(over, "EPSG:4326", 0.01) == (35_900, False, False)
assert load(beyond, "EPSG:4326", 0.01) == (100, True, False)
print("seen: a box over the antimeridian becomes the rest of the world where the grid is in degrees")
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py" "$folder"
