#!/usr/bin/env bash
# Which:    rasterio 1.4.4 (GDAL 3.10.3) and rioxarray 0.19.0, beside eccodes 2.50.0.
# What:     temperatures of a GRIB file, stored in kelvin.
# Expected: numbers as they are stored, or a unit in the field that GDAL has for it, as for other formats.
# Seen:     GDAL gives degrees Celsius, the band's unit is empty, and only a tag of the band says "[C]"; eccodes, and all that
#           stands on it, gives kelvin. rioxarray finds no unit either, and writes a GeoTIFF of them without one.
#           GRIB_NORMALIZE_UNITS=NO gives kelvin. Temperatures alone are changed: dew points are, pressures are not.
# Who:      whoever trains on ERA5 by cfgrib and runs the network on a GRIB file as a raster, or stacks both: all
#           temperatures are 273.15 lower, and nothing says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rasterio==1.4.4 rioxarray==0.19.0 eccodes==2.50.0 numpy==2.1.3
cat > "$folder/write.py" <<'PY'
"""Write a message for each variable, and say what eccodes reads back: in a process of its own."""
import sys
from pathlib import Path

import eccodes
import numpy as np

print("eccodes", eccodes.codes_get_api_version())
for name, first, last in (("2t", 250, 300), ("2d", 240, 290), ("sp", 90_000, 105_000)):
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    eccodes.codes_set(handle, "shortName", name)
    eccodes.codes_set(handle, "bitsPerValue", 24)
    eccodes.codes_set_values(handle, np.linspace(first, last, eccodes.codes_get(handle, "numberOfValues")))
    with Path(sys.argv[1], f"{name}.grib2").open("wb") as file:
        eccodes.codes_write(handle, file)
    values = eccodes.codes_get_values(handle)
    print(name, "by eccodes:", eccodes.codes_get(handle, "units"), round(values.min(), 2), round(values.max(), 2))
    assert abs(values.min() - first) < 0.01
PY
cat > "$folder/show.py" <<'PY'
import sys
from importlib.metadata import version

import rasterio
import rioxarray

print("rasterio", version("rasterio"), "GDAL", rasterio.__gdal_version__, "rioxarray", version("rioxarray"))


def lowest(name, **settings):
    path = f"{sys.argv[1]}/{name}.grib2"
    with rasterio.Env(**settings), rasterio.open(path) as file:
        values, unit, tag = file.read(1), file.units[0], file.tags(1)["GRIB_UNIT"]
    print(name, "by rasterio:", settings, "unit", unit, "tag", tag, round(float(values.min()), 2))
    assert unit is None
    return round(float(values.min()), 2), tag


assert lowest("2t") == (-23.15, "[C]")
assert lowest("2d") == (-33.15, "[C]")
assert lowest("sp") == (90_000, "[Pa]")
assert lowest("2t", GRIB_NORMALIZE_UNITS="NO") == (250, "[K]")
array = rioxarray.open_rasterio(f"{sys.argv[1]}/2t.grib2")
assert "units" not in array.attrs and round(float(array.min()), 2) == -23.15
array.rio.to_raster(f"{sys.argv[1]}/2t.tif")
with rasterio.open(f"{sys.argv[1]}/2t.tif") as file:
    print("the GeoTIFF of rioxarray:", file.units, sorted(file.tags(1)))
    assert file.units[0] is None
print("seen: the same file is in kelvin by eccodes, and in Celsius without a unit by rasterio")
PY
"$folder/venv/bin/python" -W ignore "$folder/write.py" "$folder"
"$folder/venv/bin/python" -W ignore "$folder/show.py" "$folder"
