#!/usr/bin/env bash
# Which:    xarray 2026.9.0, rioxarray 0.19.0, netCDF4 1.7.4, pyproj 3.7.2.
# What:     in CF (section 2.7, groups) the grid_mapping of a variable is looked for in its group, then in those around it.
#           Products of satellites have it so: one projection for the groups of all bands.
# Expected: open_dataset(group=…, decode_coords="all") finds it, or leaves grid_mapping where it was.
# Seen:     the variable is not found (a warning), and what named it is taken off the attributes and not put into the
#           encoding either, so that neither rioxarray nor whoever reads the projection by hand can find it again:
#           rio.crs is None. open_datatree does the same to every node, though the parent is in the tree.
#           decode_coords=True, the default, which is asked for less, keeps the name.
# Who:      whoever reads imagers of MTG, grids of VIIRS or other products in groups with coordinates of all kinds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xarray==2026.9.0 rioxarray==0.19.0 netCDF4==1.7.4 pyproj==3.7.2 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import sys
import warnings

warnings.simplefilter("ignore")
import netCDF4
import numpy as np
import rioxarray  # noqa: F401 - for .rio
import xarray as xr

path = f"{sys.argv[1]}/scene.nc"
with netCDF4.Dataset(path, "w") as file:
    data = file.createGroup("data")
    mapping = data.createVariable("projection", "i4")
    mapping.grid_mapping_name = "lambert_azimuthal_equal_area"
    mapping.latitude_of_projection_origin, mapping.longitude_of_projection_origin = 52.0, 10.0
    band = data.createGroup("red")
    for name in ("y", "x"):
        band.createDimension(name, 2)
        band.createVariable(name, "f8", (name,))[:] = [0.0, 1000.0]
    values = band.createVariable("radiance", "f4", ("y", "x"))
    values[:] = 1
    values.grid_mapping = "projection"

print("xarray", xr.__version__, "rioxarray", rioxarray.__version__)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    found = xr.open_dataset(path, group="data/red", decode_coords="all")["radiance"]
print("warned:", [str(one.message) for one in said if "grid_mapping" in str(one.message)])
tree = xr.open_datatree(path, decode_coords="all")["data/red"]["radiance"]
plain = xr.open_dataset(path, group="data/red")["radiance"]
for name, array in (("all", found), ("all, of a tree", tree), ("True", plain)):
    kept = {"attrs": array.attrs.get("grid_mapping"), "encoding": array.encoding.get("grid_mapping")}
    print(f"decode_coords={name}: grid_mapping in {kept}, coordinates {list(array.coords)}, rio.crs {array.rio.crs}")
assert "grid_mapping" not in {**found.attrs, **found.encoding}
assert found.rio.crs is None
assert "projection" not in tree.coords
assert "grid_mapping" not in {**tree.attrs, **tree.encoding}
assert plain.attrs["grid_mapping"] == "projection"
print("seen: a group loses the name of its projection where coordinates of all kinds are asked for")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
