#!/usr/bin/env bash
# Which:    xarray 2026.9.0 (2025.7.1 does it the other way), netCDF4 1.7.4, numpy 2.1.3.
# What:     arithmetic keeps attributes now. Counts times their scale_factor still carry scale_factor, which to_netcdf
#           writes beside the floats, and open_dataset applies once more.
# Expected: what is written comes back.
# Seen:     300 K, made of 30000 * 0.01 and written, are read as 3 K; nobody warns.
# Who:      everybody who opens packed data undecoded (mask_and_scale=False, GeoTIFF through rioxarray) and applies the
#           scale by hand, as was usual: xarray dropped attributes in arithmetic for ten years.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PY'
import sys
import warnings

import netCDF4  # noqa: F401 - warns of numpy as it is imported
import numpy as np
import xarray as xr

warnings.simplefilter("error")
counts = xr.DataArray(np.array([30000], np.int16), dims="x", name="t", attrs={"scale_factor": 0.01, "units": "K"})
kelvin = counts * counts.attrs["scale_factor"]
kelvin.to_netcdf(f"{sys.argv[1]}/t.nc")
with xr.open_dataset(f"{sys.argv[1]}/t.nc") as back:
    found = float(back["t"][0])
print(f"xarray {xr.__version__}: {float(kelvin[0]):g} K written, attributes {kelvin.attrs}, {found:g} read")
assert np.isclose(float(kelvin[0]), 300)
assert np.isclose(found, float(sys.argv[2])), found
PY
for case in 2025.7.1=300 2026.9.0=3; do
    "${PYTHON:-python3.11}" -m venv "$folder/${case%=*}"
    "$folder/${case%=*}/bin/pip" install --quiet "xarray==${case%=*}" netCDF4==1.7.4 numpy==2.1.3
    "$folder/${case%=*}/bin/python" "$folder/show.py" "$folder" "${case#*=}"
done
echo "seen: values that were scaled by hand are scaled again when they are read back"
