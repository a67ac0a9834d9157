#!/usr/bin/env bash
# Which:    rasterio 1.4.4 (GDAL 3.10.3), WarpedVRT(add_alpha=True), read_masks and dataset_mask.
# What:     an alpha band is added to a raster of any type, and taken for a mask only of uint8 and uint16. Nodata of 64-bit
#           whole numbers is none to read_masks of a warped raster.
# Expected: what lies outside the source is masked, whatever the type; so is nodata.
# Seen:     of int16, int32, float32 and int64 all 1,600 pixels of a window are valid where 100 have a source; the band that
#           was added says so rightly. A warped int64 raster with nodata has 100 valid pixels of 100 where 50 are nodata.
# Who:      whoever brings labels, heights or scores onto another grid and counts what is outside as class 0, or as 0 m.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rasterio==1.4.4 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import numpy as np
import rasterio
from rasterio.io import MemoryFile
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT

print("rasterio", rasterio.__version__, "GDAL", rasterio.__gdal_version__)
place = {"crs": "EPSG:32632", "transform": from_origin(500000, 5600000, 10, 10)}
wider = {"crs": "EPSG:32632", "transform": from_origin(499900, 5600100, 10, 10), "width": 40, "height": 40}


def warped(dtype, target, nodata=None, **how):
    values = np.full((10, 10), 7, dtype)
    if nodata is not None:
        values[:5] = nodata
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", width=10, height=10, count=1, dtype=dtype, nodata=nodata, **place) as file:
            file.write(values, 1)
        with memory.open() as file, WarpedVRT(file, **target, **how) as view:
            masks = [int((view.read_masks(1) > 0).sum()), int((view.dataset_mask() > 0).sum())]
            added = int((view.read(2) > 0).sum()) if view.count == 2 else None
    return masks, added


for dtype in ("uint8", "uint16", "int16", "int32", "float32", "int64"):
    masks, added = warped(dtype, wider, add_alpha=True)
    print(f"{dtype}: the band that was added has {added} pixels, read_masks {masks[0]}, dataset_mask {masks[1]}")
    assert added == 100
    assert masks == ([100, 100] if dtype.startswith("uint") else [1600, 1600])
same = {**place, "width": 10, "height": 10}
for dtype, valid in (("int16", 50), ("int32", 50), ("float32", 50), ("int64", 100)):
    masks, _ = warped(dtype, same, nodata=-9)
    print(f"{dtype} with nodata: {masks[0]} of 100 are valid, 50 are not nodata")
    assert masks[0] == valid
print("seen: outside is inside, except of bytes")
PY
"$folder/venv/bin/python" "$folder/show.py"
