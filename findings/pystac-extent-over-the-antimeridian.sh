#!/usr/bin/env bash
# Which:    pystac 1.15.2 (Extent.from_items, SpatialExtent, Collection.update_extent_from_items).
# What:     the extent of items takes the least west and the greatest east of their boxes, each by itself. A box over the
#           antimeridian, which RFC 7946 (5.2) and STAC write with its west beyond its east, loses both to any other box.
# Expected: an extent that holds every item: [5, -20, -178, 51], or at worst the whole globe.
# Seen:     Fiji [177, -20, -178, -12] and a box in the Netherlands [5, 50, 6, 51] give [5, -20, 6, 51]: a strip of one
#           degree, in which Fiji does not lie. Fiji alone is right. No warning.
# Who:      whoever lets pystac keep the extent of a collection with scenes of the Pacific: clients that filter
#           collections by extent, as the collection search of STAC APIs does, never see them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pystac==1.15.2
cat > "$folder/show.py" <<'PY'
from datetime import datetime

import pystac


def item(name, west, south, east, north):
    geometry = {"type": "Point", "coordinates": [west, south]}
    return pystac.Item(name, geometry, [west, south, east, north], datetime(2020, 1, 1), {})


print("pystac", pystac.__version__)
fiji, utrecht = item("fiji", 177, -20, -178, -12), item("utrecht", 5, 50, 6, 51)
alone = pystac.Extent.from_items([fiji]).spatial.bboxes
both = pystac.Extent.from_items([fiji, utrecht]).spatial.bboxes
print("extent of Fiji:", alone)
print("extent of Fiji and Utrecht:", both)
collection = pystac.Collection("c", "c", pystac.Extent.from_items([utrecht]))
collection.add_items([fiji, utrecht])
collection.update_extent_from_items()
print("after update_extent_from_items:", collection.extent.spatial.bboxes)
assert alone == [[177, -20, -178, -12]], alone
assert both == collection.extent.spatial.bboxes == [[5, -20, 6, 51]], both
west, _, east, _ = both[0]
assert not west <= 178.44 <= east, "Suva lies in the extent"
print("seen: an extent of one degree without Fiji in it")
PY
"$folder/venv/bin/python" "$folder/show.py" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
