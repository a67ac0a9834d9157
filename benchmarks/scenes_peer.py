"""terratorch's tiled inference on a scene, in an environment of its own: ``python scenes_peer.py ITEM UNET.onnx``.

The same U-Net with the same weights in PyTorch. terratorch takes a whole scene as one tensor in memory, so it is read
whole first; tiles of 736 overlap by the halo of the network on either side, as ours.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

SIDE, MARGIN = 736, 56


def without_compiled_operators() -> None:
    """Let torchvision be imported where its compiled operators do not fit this PyTorch: none of them is used."""
    before = torch.library.register_fake

    def register(name: str, *given: Any, **more: Any) -> Any:
        return (lambda function: function) if name.startswith("torchvision::") else before(name, *given, **more)

    torch.library.register_fake = register


def network(path: Path) -> Any:
    """Read the U-Net of the benchmark out of its ONNX file."""
    import onnx
    from onnx import numpy_helper
    from torch.nn import functional

    graph = onnx.load(path).graph
    weights = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}

    class UNet(torch.nn.Module):
        def forward(self, image: Any, **_: Any) -> Any:
            found = {"image": image}
            for node in graph.node:
                x = found[node.input[0]]
                match node.op_type:
                    case "Conv":
                        kernel = weights[node.input[1]]
                        made = functional.conv2d(x, kernel, padding=kernel.shape[-1] // 2)
                    case "Relu":
                        made = functional.relu(x)
                    case "MaxPool":
                        made = functional.max_pool2d(x, 2)
                    case "Resize":
                        made = functional.interpolate(x, scale_factor=2, mode="nearest")
                    case "Concat":
                        made = torch.cat([x, found[node.input[1]]], 1)
                found[node.output[0]] = made
            return found["scores"]

    return UNet().eval()


def main(item: Path, graph: Path) -> None:
    """Read, run, take the highest and write, and print the seconds."""
    import rasterio

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from benchmarks.scenes import MEAN, SPREAD, opened, read_window

    without_compiled_operators()
    from terratorch.tasks.tiled_inference import tiled_inference

    torch.set_num_threads(os.cpu_count() or 1)
    model = network(graph)
    began, used = time.perf_counter(), time.process_time()
    profile, files = opened(item)
    whole = slice(0, profile["height"])
    values = (read_window(files, whole, whole).astype(np.float32) - MEAN) / SPREAD
    scores = tiled_inference(
        model, torch.from_numpy(values)[None], crop=SIDE, stride=SIDE - 2 * MARGIN, batch_size=1, verbose=False
    )
    made = scores.argmax(1)[0].to(torch.uint8).numpy()
    with rasterio.open(graph.parent / "peer.tif", "w", **profile) as target:
        target.write(made, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
    print(json.dumps(seconds | {"peak_bytes": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
