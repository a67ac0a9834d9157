#!/usr/bin/env bash
# Which:    pyogrio 0.13.0 with the GDAL 3.12.4 of its wheel, shapely 2.2.0: GeoJSON with RFC7946=YES (GDAL 3.6.2 alike).
# What:     polygons in degrees of 0 to 360 and beyond, as fields of weather and ocean count them.
# Expected: the same places between -180 and 180, cut at the antimeridian, as the option promises and does for 179 to 181.
# Seen:     of 359 to 361 the half beyond 360 is gone, and an empty polygon stands in its place, which shapely cannot
#           read; of 170 to 530, all the way round, what lies between 0 and 170 is gone; 0 to 360 is a collection of a
#           polygon and a line. Nothing is said.
# Who:      whoever writes polygons of a global field, over Greenwich, for a web map.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyogrio==0.13.0 shapely==2.2.0 geopandas==1.2.0 pyarrow
cat > "$folder/show.py" <<'PY'
import json
import sys

import geopandas
import pyogrio
import shapely

print("GDAL", pyogrio.__gdal_version_string__)


def written(west, east):
    frame = geopandas.GeoDataFrame(geometry=[shapely.box(west, 0, east, 1)], crs="EPSG:4326")
    frame.to_file(sys.argv[1], driver="GeoJSON", engine="pyogrio", RFC7946="YES")
    (feature,) = json.load(open(sys.argv[1]))["features"]
    return feature["geometry"]


def degrees(geometry):
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return sum(shapely.Polygon(part[0], part[1:]).area for part in parts if part)


for west, east in ((179, 181), (359, 361), (170, 530)):
    found = written(west, east)
    print(f"{west} to {east}: {degrees(found):g} of {east - west} degrees: {json.dumps(found)[:150]}")
assert degrees(written(179, 181)) == 2
half = written(359, 361)
assert half["coordinates"][0] == [], half
assert degrees(half) == 1
assert degrees(written(170, 530)) == 190
whole = written(0, 360)
print("0 to 360:", whole["type"], [part["type"] for part in whole["geometries"]])
assert [part["type"] for part in whole["geometries"]] == ["Polygon", "LineString"]
print("seen: what lies beyond 360 degrees is lost")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder/found.geojson" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
