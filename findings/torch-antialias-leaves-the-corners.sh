#!/usr/bin/env bash
# Which:    torch 2.13.0, interpolate(mode="bilinear", antialias=True, align_corners=True); onnxscript 0.7.2 with ONNX
#           Runtime 1.32.0.
# What:     the step between pixels is that of aligned corners, and the place of the first pixel that of centres: the image
#           is shifted, and its corners are not those of the source.
# Expected: align_corners=True keeps the corner pixels; enlarged, antialias changes nothing.
# Seen:     a ramp 0 ... 8 enlarged to 25 pixels begins 0, 0, 0.33 and ends 7.67 in place of 0, 0.33, 0.67 and 8; without
#           antialias it is right. Made smaller, to 5 pixels, it is half a pixel off to the other side. The ONNX file that
#           torch exports keeps the corners, and so gives other numbers than the module that it was made from.
# Who:      whoever resizes to a network's grid as torchvision does (antialias) and lays the result back on a map by its corners.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 onnxscript==0.7.2 onnx==1.22.0 onnxruntime==1.32.0 numpy==2.1.3
export XDG_CACHE_HOME="$folder"
cat > "$folder/show.py" <<'PY'
import contextlib
import io
import logging
import sys
import warnings

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
print("torch", torch.__version__)
ramp = torch.arange(9.0).repeat(9, 1)[None, None]


class Resized(torch.nn.Module):
    def __init__(self, size, **how):
        super().__init__()
        self.size, self.how = size, how

    def forward(self, image):
        return F.interpolate(image, (self.size, self.size), **self.how)


def row(size, **how):
    module = Resized(size, **how).eval()
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(module, (ramp,), f"{sys.argv[1]}/m.onnx", dynamo=True)
    session = onnxruntime.InferenceSession(f"{sys.argv[1]}/m.onnx", providers=["CPUExecutionProvider"])
    [found] = session.run(None, {session.get_inputs()[0].name: ramp.numpy()})
    own = module(ramp).numpy()[0, 0, size // 2]
    print(size, how, "torch", np.round(own[[0, 1, 2, -1]], 2), "ONNX", np.round(found[0, 0, size // 2][[0, 1, 2, -1]], 2))
    return own, found[0, 0, size // 2]


right = np.linspace(0, 8, 25)
for found in row(25, mode="bilinear", align_corners=True):
    assert np.allclose(found, right, atol=1e-4)
own, found = row(25, mode="bilinear", align_corners=True, antialias=True)
assert np.allclose(found, right, atol=1e-4), "the ONNX file keeps the corners"
assert np.allclose(own[1:], right[1:] - 1 / 3, atol=1e-4), "torch is a third of a pixel off"
own, found = row(25, mode="bilinear", align_corners=False, antialias=True)
assert np.allclose(own, found, atol=1e-4)
own, found = row(5, mode="bilinear", align_corners=True, antialias=True)
assert np.allclose(own[1:-1] - found[1:-1], 0.5, atol=1e-4), "made smaller, half a pixel to the other side"
print("seen: with antialias the corners are not aligned")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
