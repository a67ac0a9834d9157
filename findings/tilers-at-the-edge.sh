#!/usr/bin/env bash
# Which:    tiler 0.6.0, patchify 0.2.3, xbatcher 0.4.0, kornia 0.9.0 (with torch 2.13.0), which cut images into tiles and put
#           them together again; beside them empatches 0.2.3 and blended-tiling 0.0.1.dev7.
# What:     an image of 250 x 250 in tiles of 64 that overlap by 16, which do not fill it evenly, put together unchanged.
# Expected: the image, as the last two give it, or an error.
# Seen:     patchify puts the tiles to other places than it took them from, so that 94 % of the pixels are another's (its page
#           asks for steps that fit, nothing checks it); tiler's windows that end in 0 ("hann", "bartlett", "barthann") make
#           0 of the image's first row and column, and "overlap-tile" of a frame of 8 pixels above and to the left; kornia
#           gives 0, and xbatcher nothing, for the 31 % at the right and at the bottom, where no whole tile is left.
# Who:      whoever takes one of them to make a map of a scene that is no multiple of the step, as hardly one is: nothing is
#           said, and an image that the tiles fill evenly, as in their examples, shows none of it but the windows'.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tiler==0.6.0 patchify==0.2.3 xbatcher==0.4.0 empatches==0.2.3 kornia==0.9.0 \
    blended-tiling==0.0.1.dev7 torch==2.13.0 numpy==1.26.4 xarray==2025.7.1
cat > "$folder/show.py" <<'PY'
from importlib.metadata import version

import numpy as np
import patchify
import torch
import xarray as xr
import xbatcher
from blended_tiling import TilingModule
from empatches import EMPatches
from kornia.contrib import combine_tensor_patches, extract_tensor_patches
from tiler import Merger, Tiler

print({name: version(name) for name in ("tiler", "patchify", "xbatcher", "kornia", "empatches", "blended-tiling")})
SIDE, TILE, STEP = 250, 64, 48
image = 1 + np.random.default_rng(0).random((SIDE, SIDE), np.float32)  # nowhere 0


def told(name, found):
    """Print and return the share of pixels that are another number, and that are 0."""
    found = np.asarray(found).reshape(SIDE, SIDE)
    other, zero = (np.abs(found - image) > 1e-5).mean(), (found == 0).mean()
    print(f"{name}: {other:.1%} of the pixels are another number, {zero:.1%} are 0")
    return round(float(other), 3), round(float(zero), 3)


def tiled(window):
    tiler = Tiler((SIDE, SIDE), (TILE, TILE), overlap=(TILE - STEP,) * 2, mode="reflect")
    merger = Merger(tiler, window=window)
    for number, tile in tiler(image):
        merger.add(number, tile)
    return told(f"tiler, {window}", merger.merge(unpad=True))


assert tiled("boxcar") == tiled("hamming") == tiled("triang") == (0, 0)
frame = round(1 - (SIDE - 1) ** 2 / SIDE**2, 3)  # the first row and the first column
assert tiled("hann") == tiled("bartlett") == tiled("barthann") == (frame, frame)
assert tiled("overlap-tile")[1] > 0.05

pieces = patchify.patchify(image, (TILE, TILE), step=STEP)
assert np.array_equal(pieces[1, 1], image[STEP : STEP + TILE, STEP : STEP + TILE])
assert told("patchify", patchify.unpatchify(pieces, image.shape))[0] > 0.9

numbers = xr.DataArray(np.arange(SIDE * SIDE).reshape(SIDE, SIDE), dims=("y", "x"))
sizes, overlap = {"y": TILE, "x": TILE}, {"y": TILE - STEP, "x": TILE - STEP}
seen = np.unique([tile.values for tile in xbatcher.BatchGenerator(numbers, sizes, input_overlap=overlap)])
left = 1 - seen.size / SIDE**2
print(f"xbatcher: {left:.1%} of the pixels are in no tile")
assert round(left, 3) == 0.308

tensor = torch.from_numpy(image)[None, None]
pieces = extract_tensor_patches(tensor, TILE, STEP)
assert told("kornia", combine_tensor_patches(pieces, (SIDE, SIDE), TILE, STEP)) == (0.308, 0.308)

around = EMPatches()
pieces, places = around.extract_patches(image, patchsize=TILE, overlap=(TILE - STEP) / TILE)
assert told("empatches", around.merge_patches(pieces, places, mode="avg")) == (0, 0)
blended = TilingModule(tile_size=[TILE, TILE], tile_overlap=[0.25, 0.25], base_size=[SIDE, SIDE])
assert told("blended-tiling", blended.rebuild_with_masks(blended.split_into_tiles(tensor))) == (0, 0)
print("seen: four of six tilers lose or misplace pixels of an image that their tiles do not fill evenly")
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py"
