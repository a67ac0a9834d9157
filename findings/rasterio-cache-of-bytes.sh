#!/usr/bin/env bash
# Which:    rasterio 1.4.4 with the GDAL 3.10.3 of its wheel: rasterio.Env(GDAL_CACHEMAX=64).
# What:     whether a block that was read is kept for the next read, as the cache of 64 would have it.
# Expected: that it is: GDAL takes GDAL_CACHEMAX below 100,000 for megabytes, and does so with the environment variable.
# Seen:     in rasterio.Env it is 64 bytes, and nothing is kept: every read decodes its blocks again. It is silent. A
#           whole number is given to GDAL as bytes there; "64" and "64MB" are a TypeError.
# Who:      everybody who takes the number from GDAL's documentation, or from the environment into rasterio.Env: windows
#           that share blocks decode them again and again, and rasters written by parts of blocks grow (a band of 1.7 MB to
#           3.8 MB), as each part is compressed and written anew.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rasterio==1.4.4 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import sys
from pathlib import Path

import numpy as np
import rasterio

path, mode = Path(sys.argv[1]), sys.argv[2]
values = np.random.default_rng(0).integers(1, 10_000, (512, 512)).astype("uint16")
with rasterio.open(
    path, "w", driver="GTiff", height=512, width=512, count=1, dtype="uint16", tiled=True, blockxsize=256, blockysize=256
) as file:
    file.write(values, 1)
options = {} if mode == "environment" else {"GDAL_CACHEMAX": int(mode)}
with rasterio.Env(**options), rasterio.open(path) as file:
    assert (file.read(1) == values).all()
    size = path.stat().st_size
    place = min(int(file.get_tag_item(f"BLOCK_OFFSET_{i}_{j}", "TIFF", bidx=1)) for i in (0, 1) for j in (0, 1))
    with path.open("r+b") as raw:  # the pixels in the file become zeros: who kept the block still has it
        raw.seek(place)
        raw.write(bytes(size - place))
    print("kept" if (file.read(1) == values).all() else "read again")
PY
show() { "$folder/venv/bin/python" -W ignore "$folder/show.py" "$folder/a.tif" "$1"; }
unset GDAL_CACHEMAX
"$folder/venv/bin/python" -c 'import rasterio; print("rasterio", rasterio.__version__, "GDAL", rasterio.__gdal_version__)'
by_variable=$(GDAL_CACHEMAX=64 show environment)
by_number=$(show 64)
by_bytes=$(show $((64 * 1024 * 1024)))
printf 'GDAL_CACHEMAX=64 in the environment: %s\nrasterio.Env(GDAL_CACHEMAX=64): %s\nrasterio.Env(GDAL_CACHEMAX=64 * 2**20): %s\n' \
    "$by_variable" "$by_number" "$by_bytes"
[[ "$by_variable" == kept && "$by_number" == "read again" && "$by_bytes" == kept ]] || { echo changed >&2; exit 1; }
