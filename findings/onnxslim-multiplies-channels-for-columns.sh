#!/usr/bin/env bash
# Which:    onnxslim 0.1.98 (part of Ultralytics' export), on a graph of torch 2.13.0.
# What:     a multiplication after a convolution by a vector goes along the last axis, the columns, by ONNX's rules. Where the
#           vector is as long as the convolution has channels, onnxslim takes it for one factor a channel and puts it into
#           the weights.
# Expected: the slimmed graph computes what the graph computes, or is left as it is.
# Seen:     a convolution with 16 channels, times a window of Hann over the 16 columns of a tile: off by up to 1.7 where the
#           largest value is 2.0. With 8 channels the graph stays as it is and is right. onnxslim.slim says nothing.
# Who:      whoever tapers tiles, or corrects columns across a swath, inside the network, and has a power of two for both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxslim==0.1.98 torch==2.13.0 numpy==2.1.3 onnx==1.22.0 onnxscript==0.7.2 onnx-ir==1.1.0 onnxruntime==1.32.0
cat > "$folder/show.py" <<'PY'
import logging
import warnings

import onnx
import onnxruntime
import onnxslim
import torch

warnings.simplefilter("ignore")
logging.disable()


class Tapered(torch.nn.Module):
    """A convolution whose result fades towards the first and last of 16 columns."""

    def __init__(self, channels):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, channels, 3, padding=1)
        self.register_buffer("window", torch.hann_window(16, periodic=False) + 0.1)

    def forward(self, x):
        return self.conv(x) * self.window


def computed(graph, x):
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


print("onnxslim", onnxslim.__version__, "torch", torch.__version__, "onnxruntime", onnxruntime.__version__)
seen = {}
for channels in (8, 16):
    torch.manual_seed(0)
    module, x = Tapered(channels).eval(), torch.randn(1, 3, 8, 16)
    graph = torch.onnx.export(module, (x,), dynamo=True, verbose=False).model_proto
    slim = onnxslim.slim(graph)
    onnx.checker.check_model(slim, full_check=True)
    with torch.no_grad():
        right = module(x)
    plain, seen[channels] = (float((computed(one, x) - right).abs().max()) for one in (graph, slim))
    operators = [[node.op_type for node in one.graph.node] for one in (graph, slim)]
    print(f"{channels} channels, 16 columns: graph {operators[0]} {plain:.1g} apart, slimmed {operators[1]} {seen[channels]:.2g}")
    print(f"    of values up to {right.abs().max():.2f}")
    assert plain < 1e-5
assert seen[8] < 1e-5 and seen[16] > 0.5, seen
print("seen: a factor for each column becomes one for each channel")
PY
"$folder/venv/bin/python" "$folder/show.py"
