#!/usr/bin/env bash
# Which:    xarray 2026.9.0, netCDF4 1.7.4, rasterio 1.4.4 (GDAL 3.10.3).
# What:     a variable of NetCDF that names no _FillValue has the default one of its type where nothing was written
#           (NetCDF users' guide, "Fill values": 9.969e36 of fractions). A field of which some rows were never written, as
#           of a swath or of a run that broke off, is such a file.
# Expected: rows that nobody wrote are missing, whoever reads the file.
# Seen:     netCDF4 masks them and GDAL calls them nodata; xarray, with its decoding on, gives them as numbers: the
#           mean of 280 K is 2.5e36, and nothing is NaN.
# Who:      whoever reads files of models or satellites that were written through the NetCDF library without a _FillValue.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xarray==2026.9.0 netCDF4==1.7.4 rasterio==1.4.4 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import sys
import warnings

warnings.simplefilter("ignore")
import netCDF4
import numpy as np
import rasterio
import xarray as xr

path = f"{sys.argv[1]}/sst.nc"
with netCDF4.Dataset(path, "w") as file:
    for name, unit in (("lat", "degrees_north"), ("lon", "degrees_east")):
        file.createDimension(name, 4)
        file.createVariable(name, "f8", (name,))[:] = 50.0 - np.arange(4)
        file[name].units = unit
    file.createVariable("sst", "f4", ("lat", "lon"))[:3] = 280.0

print("xarray", xr.__version__, "netCDF4", netCDF4.__version__, "rasterio", rasterio.__version__)
with netCDF4.Dataset(path) as file:
    masked = file["sst"][:]
with rasterio.open(path) as file:
    band = file.read(1, masked=True)
    print(f"nodata of GDAL {file.nodata}, attributes {[*netCDF4.Dataset(path)['sst'].ncattrs()]}")
for name, values in (("netCDF4", masked), ("rasterio", band)):
    print(f"{name}: {int(values.mask.sum())} of 16 missing, mean {values.mean(dtype=float)}")
    assert values.mask.sum() == 4
    assert values.mean(dtype=float) == 280
with xr.open_dataset(path) as found:
    values = found["sst"]
    mean = float(values.mean(dtype=float))
    print(f"xarray: {int(values.isnull().sum())} of 16 missing, mean {mean}")
    assert not values.isnull().any()
    assert mean > 1e36
print("seen: xarray gives values that were never written as numbers")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
