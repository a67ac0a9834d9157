#!/usr/bin/env bash
# Which:    rustac 0.9.18, pystac 1.15.2.
# What:     STAC 1.1 lets nodata of a band or asset be a number or one of "nan", "inf", "-inf", since JSON has none of them.
#           rustac takes numbers alone. It also takes no item without a place (geometry null), and no heights.
# Expected: what the specification allows is read and written, and a polygon keeps its third coordinate.
# Seen:     writing GeoParquet: 'invalid type: string "nan", expected f64'; reading the item as JSON: 'data did not match any
#           variant of untagged enum Value', which names neither item nor field. The same words in the item's own properties
#           are read. geometry null is read from JSON and refused in GeoParquet. Heights of a polygon are dropped without a
#           word, and the bbox keeps them.
# Who:      whoever indexes items of floating-point rasters, most of which have NaN for nodata, with rustac or stac-map.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rustac==0.9.18 pystac==1.15.2 jsonschema==4.26.0
cat > "$folder/show.py" <<'PY'
import asyncio
import json
import sys
from importlib.metadata import version

import pystac
import rustac

print("rustac", version("rustac"))
PLACE = [[5, 50], [6, 50], [6, 51], [5, 50]]


def item(asset=None, **fields):
    made = {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": "a", "links": [],
        "geometry": {"type": "Polygon", "coordinates": [PLACE]}, "bbox": [5, 50, 6, 51],
        "properties": {"datetime": "2024-06-15T10:30:00Z"},
        "assets": {"height": {"href": "height.tif", **(asset or {})}},
    } | fields  # fmt: skip
    pystac.Item.from_dict(made)
    return made


async def round_trip(made):
    await rustac.write(f"{sys.argv[1]}/items.parquet", [made])
    return (await rustac.read(f"{sys.argv[1]}/items.parquet"))["features"][0]


async def from_json(made):
    with open(f"{sys.argv[1]}/item.json", "w", encoding="utf-8") as file:
        json.dump(made, file)
    return await rustac.read(f"{sys.argv[1]}/item.json")


def tried(name, made, how):
    try:
        found = asyncio.run(how(made))
    except Exception as error:  # noqa: BLE001
        print(f"{name}: {str(error).splitlines()[0]}")
        return str(error)
    print(f"{name}: taken")
    return found


assert isinstance(tried("nodata 0, GeoParquet", item({"bands": [{"name": "z", "nodata": 0}]}), round_trip), dict)
for word in ("nan", "inf", "-inf"):
    for where, asset in (("a band", {"bands": [{"name": "z", "nodata": word}]}), ("an asset", {"nodata": word})):
        found = tried(f"nodata {word!r} of {where}, GeoParquet", item(asset), round_trip)
        assert "expected f64" in found
        found = tried(f"nodata {word!r} of {where}, JSON", item(asset), from_json)
        assert "did not match any variant" in found
own = item()
own["properties"]["bands"] = [{"name": "z", "nodata": "nan"}]
assert tried("nodata 'nan' among the item's bands, GeoParquet", own, round_trip)["properties"]["bands"][0]["nodata"] == "nan"

nowhere = item(geometry=None)
del nowhere["bbox"]
assert isinstance(tried("geometry null, JSON", nowhere, from_json), dict)
assert "expected Geometry" in tried("geometry null, GeoParquet", nowhere, round_trip)

high = [[*point, 100 + number] for number, point in enumerate(PLACE[:3])]
found = tried("heights, GeoParquet", item(geometry={"type": "Polygon", "coordinates": [[*high, high[0]]]},
                                          bbox=[5, 50, 100, 6, 51, 102]), round_trip)  # fmt: skip
print(found["geometry"]["coordinates"], found["bbox"])
assert len(found["geometry"]["coordinates"][0][0]) == 2
assert len(found["bbox"]) == 6
print("seen: nodata in words is refused, heights are lost")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
