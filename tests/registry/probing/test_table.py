"""Ten kinds of networks with open sizes: what is measured is what a person computes from the layers.

The arithmetic. A convolution of 3 x 3 sees 1 pixel to each side, of k x k with dilation d (k - 1) / 2 * d, and on a
grid that is f times coarser f times as many pixels of the image. A block (a pooling, a window) is seen whole, so the
pixel at one of its edges sees s - 1 pixels to the other; of all positions of a pixel that one counts at which
everything adds up.

U-Net of n poolings, two convolutions of 3 x 3 on every level, down and up:

- down and up, level l of 0 … n - 1, each two convolutions: 2 * 2 * 2**l pixels
- bottom, level n: 2 * 2**n
- the block of the bottom: 2**n - 1
- nearest upsampling, or a transposed convolution of 2 x 2 with stride 2, sees no neighbours; so does a head of 1 x 1

At which position? Take a pixel i where i + 2 begins a block of 2 (its last convolutions reach into the next block's
first pixel), and (i + 2) / 2 + 2 one on the next level, and so on: there is one among 2**n, as each level fixes a
digit. At the bottom the last pixel of the image in the block is 2**n - 1 after its first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.registry.probing.networks import (
    FILM,
    IMAGE,
    ConvLSTM,
    ResNet,
    UNet,
    Windows,
    described,
    dilated,
    exported,
    image_to_image,
    in_onnx,
    in_torch,
    strided,
    super_resolution,
    valid,
)
from tests.registry.probing.reachable import farthest
from torch import nn

from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.sizes import ANY, Size
from modelstac.registry.probing.measure import measure

CLASSES = described({"image": ((-1, 1, -1, -1), IMAGE)}, {"classes": ((-1, 3), ("batch", "class"))})


def film(frames: int) -> ModelDescription:
    shape = (-1, frames, 1, -1, -1)
    return described({"frames": (shape, FILM)}, {"forecast": (shape, FILM)})


PIXELS = image_to_image()


@dataclass(frozen=True)
class Row:
    """A network, and what a person finds.

    Parameters
    ----------
    build
        Makes it.
    size
        Of height and width.
    halo
        Of height and width, by hand.
    footprint
        First and last pixel of the image below an output pixel.
    described
        Inputs and outputs.
    frames
        How many, where it takes some.
    """

    build: Callable[[], nn.Module]
    size: Size
    halo: Any
    footprint: Callable[[int], tuple[int, int]] = lambda i: (i, i)
    described: ModelDescription = PIXELS
    frames: int | None = None


TABLE = {
    # 2 * (1 + 2) down, as much up, 2 * 4 at the bottom, 3 of the block
    "U-Net of 2 poolings": Row(lambda: UNet(2), Size(4, 4), 2 * (2 * (1 + 2)) + 2 * 4 + 3),
    "U-Net of 3 poolings": Row(lambda: UNet(3), Size(8, 8), 2 * (2 * (1 + 2 + 4)) + 2 * 8 + 7),
    "U-Net of 4 poolings, transposed": Row(
        lambda: UNet(4, transposed=True), Size(16, 16), 2 * (2 * (1 + 2 + 4 + 8)) + 2 * 16 + 15
    ),
    "U-Net of 5 poolings": Row(lambda: UNet(5), Size(32, 32), 2 * (2 * (1 + 2 + 4 + 8 + 16)) + 2 * 32 + 31),
    # 3 x 3 with dilations 1, 2, 4
    "dilated": Row(dilated, ANY, 1 + 2 + 4),
    # 5 x 5 with stride 2 and padding 2, then 3 x 3: output i reads i - 1 … i + 1 of the half grid, whose j reads from
    # 2 j - 2 to 2 j + 2; that is 2 i - 4 … 2 i + 4, and it lies over 2 i and 2 i + 1. Odd sizes run, and give
    # (n + 1) / 2.
    "strided": Row(strided, Size(2, 2), max(2 * 1 + 2, 2 * 1 + 2 - 1), lambda i: (2 * i, 2 * i + 1)),
    # classes after global pooling: every pixel counts. The strided block rounds, and classes do not show it.
    "ResNet with global pooling": Row(ResNet, ANY, "global", described=CLASSES),
    # 3 x 3, the window whole, 3 x 3: the last of a window reaches with its 3 x 3 into the next, sees all of that, and 1
    # more
    "windows of 4": Row(lambda: Windows(4), Size(4, 4), 1 + (4 - 1) + 1),
    "windows of 7": Row(lambda: Windows(7), Size(7, 7), 1 + (7 - 1) + 1),
    # each time step sees 1 further (the state's 3 x 3); the frame's 3 x 3 once in each of two layers: 2 + (time - 1)
    "ConvLSTM": Row(ConvLSTM, ANY, {"pixels": 2 - 1, "per": {"time": 1}}, described=film(-1), frames=3),
    "ConvLSTM of 4 frames": Row(ConvLSTM, ANY, 2 + (4 - 1), described=film(4), frames=4),
    # two 3 x 3 on the coarse grid, and 3 x 3 on the fine one, which at an edge of a coarse pixel reaches into the next
    "PixelShuffle by 2": Row(super_resolution, ANY, 1 + 1 + 1, lambda i: (i // 2, i // 2)),
    # 3 x 3, 5 x 5 and 3 x 3 without padding eat 1 + 2 + 1 on each side; an output pixel lies over the middle of what it
    # sees
    "valid convolutions": Row(valid, Size(1 + 2 * (1 + 2 + 1)), 1 + 2 + 1, lambda i: (i + 4, i + 4)),
}
GRAPHS = [name for name in TABLE if name != "ConvLSTM"]  # its loop over time is unrolled when it is exported


def built(row: Row) -> nn.Module:
    torch.manual_seed(7)
    return row.build().eval()


def in_pixels(row: Row) -> int:
    return row.halo if isinstance(row.halo, int) else row.halo["pixels"] + row.halo["per"]["time"] * row.frames


def require_as_by_hand(row: Row, model: Any) -> None:
    found = measure(model)
    [name] = found.sizes
    assert found.notes == ()
    assert found.sizes[name]["batch"] == ANY
    assert (found.sizes[name]["height"], found.sizes[name]["width"]) == (row.size, row.size)
    assert found.halo == {name: {"height": row.halo, "width": row.halo}}
    if row.described.inputs[0].input.shape[1] == -1:
        assert found.sizes[name]["time"] == ANY


@pytest.mark.parametrize("name", TABLE)
def test_in_pytorch(name: str) -> None:
    row = TABLE[name]
    require_as_by_hand(row, in_torch(built(row), row.described))


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_in_onnx_runtime(name: str) -> None:
    row = TABLE[name]
    frames = () if row.frames is None else (row.frames,)
    shape = (2, *frames, 1, *(row.size.above(3 * n) for n in (1, 2)))
    require_as_by_hand(row, in_onnx(exported(built(row), *shape, step=row.size.step), row.described))


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.halo != "global"])
def test_by_the_graph(name: str) -> None:
    """The arithmetic is right: no path is longer than the halo by hand, and one is as long."""
    row = TABLE[name]
    halo, step = in_pixels(row), row.size.step
    length = 2 * step * (halo // step + 2) + 2 * step + 8 * row.size.at_least
    length -= (length - row.size.at_least) % step
    frames = () if row.frames is None else (row.frames,)
    shape = (1, *frames, 1, length, row.size.at_least + step)
    outputs = plain_outputs(row, length, step)
    assert farthest(built(row), shape, outputs, row.footprint) == halo


def plain_outputs(row: Row, length: int, step: int) -> range:
    """Give the output rows over one period in the middle of the grid, and one more on each side."""
    middle = length // 2
    rows = [i for i in range(2 * length) if middle - 1 <= row.footprint(i)[0] <= middle + step]
    return range(rows[0], rows[-1] + 1)
