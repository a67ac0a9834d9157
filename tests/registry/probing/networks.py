"""Small networks of ten kinds, with weights by a seed, and as models that run: in PyTorch, and in ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.testing import example_fields
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.opened import Opened

IMAGE = ("batch", "channel", "height", "width")
FILM = ("batch", "time", "channel", "height", "width")
Open = tuple[int, ...]


def described(
    inputs: dict[str, tuple[Open, tuple[str, ...]]],
    outputs: dict[str, tuple[Open, tuple[str, ...]]],
    *,
    dtype: str = "float32",
    **changes: Any,
) -> ModelDescription:
    """Describe a model by the shape and the names of axes of each input and output; -1 is open."""
    here = Path("nowhere")
    return ModelDescription(
        **example_fields(here, here)
        | {
            "assets": {},
            "cube_dimensions": {},
            "cube_variables": {},
            "inputs": tuple(
                ModelInput(name=name, bands=(), input=InputStructure(shape=shape, dim_order=dims, data_type=dtype))
                for name, (shape, dims) in inputs.items()
            ),
            "outputs": tuple(
                ModelOutput(
                    name=name,
                    bands=(),
                    tasks=("regression",),
                    result=ResultStructure(shape=shape, dim_order=dims, data_type="float32"),
                )
                for name, (shape, dims) in outputs.items()
            ),
        }
        | changes
    )


def model_of(description: ModelDescription, opened: Opened) -> Model:
    """Give a model that runs, as loading it would."""
    fields = {"artifact": "https://example.org/model.onnx", "checksum": "0" * 64, "size": 1}
    item = write_item(description.model_copy(update=fields))
    return Model(item, description, opened)


def in_torch(module: nn.Module, description: ModelDescription) -> Model:
    """Run a module by the runtime of PyTorch."""
    from modelstac.registry.runtimes.torch import opened

    return model_of(description, opened(module))


def exported(module: nn.Module, *shape: int, step: int = 1) -> onnx.ModelProto:
    """Write a module as an ONNX graph whose batch, height and width (the last two axes) are open."""
    dim = torch.export.Dim
    height, width = (dim(name, min=2) if step == 1 else step * dim(name, min=2) for name in ("h", "w"))
    dynamic = {0: dim("n"), len(shape) - 2: height, len(shape) - 1: width}
    with contextlib.redirect_stdout(io.StringIO()):
        program = torch.onnx.export(
            module.eval(), (torch.zeros(shape),), dynamo=True, dynamic_shapes=(dynamic,), verbose=False
        )
    assert program is not None
    return program.model_proto


def in_onnx(graph: onnx.ModelProto, description: ModelDescription) -> Model:
    """Run a graph by the runtime of ONNX."""
    from modelstac.registry.runtimes import onnx as runtime
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import DEFAULT_POLICY

    data = graph.SerializeToString()
    artifact = Artifact("graph", Path("graph.onnx"), data, "0" * 64)
    return model_of(description, runtime.load(artifact, description, DEFAULT_POLICY, Options.of(1, None)))


def image_to_image(channels_in: int = 1, channels_out: int = 1) -> ModelDescription:
    """Describe an image of any size that becomes another."""
    return described(
        {"image": ((-1, channels_in, -1, -1), IMAGE)},
        {"result": ((-1, channels_out, -1, -1), IMAGE)},
    )


class Twice(nn.Sequential):
    """Two convolutions of 3 x 3, each with a ReLU: a level of a U-Net."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU()
        )


class UNet(nn.Module):
    """A plain U-Net of so many poolings."""

    def __init__(self, poolings: int, *, transposed: bool = False, filters: int = 4) -> None:
        super().__init__()
        self.down = nn.ModuleList(Twice(1 if level == 0 else filters, filters) for level in range(poolings))
        self.pool = nn.MaxPool2d(2)
        self.bottom = Twice(filters, filters)
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(filters, filters, 2, 2) if transposed else nn.Upsample(scale_factor=2)
            for _ in range(poolings)
        )
        self.up = nn.ModuleList(Twice(2 * filters, filters) for _ in range(poolings))
        self.head = nn.Conv2d(filters, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x, skipped = image, []
        for level in self.down:
            x = level(x)
            skipped.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for rise, up in zip(self.rise, self.up, strict=True):
            x = up(torch.cat([skipped.pop(), rise(x)], 1))
        return self.head(x)


class Windows(nn.Module):
    """Attention in windows that do not overlap and are not shifted, between convolutions of 3 x 3."""

    def __init__(self, window: int, width: int = 4) -> None:
        super().__init__()
        self.window = window
        self.before = nn.Conv2d(1, width, 3, padding=1)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.after = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.before(image)
        n, c, h, w = x.shape
        s = self.window
        x = x.reshape(n, c, h // s, s, w // s, s).permute(0, 2, 4, 3, 5, 1).reshape(n, h // s, w // s, s * s, c)
        weights = torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2) / c**0.5, -1)
        x = x + weights @ self.value(x)
        x = x.reshape(n, h // s, w // s, s, s, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)
        return self.after(x)


class Attention(nn.Module):
    """Attention of every pixel to every other."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.into = nn.Conv2d(1, width, 1)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.into(image)
        flat = x.flatten(2).transpose(1, 2)
        flat = flat + torch.softmax(self.query(flat) @ self.key(flat).transpose(1, 2), -1) @ self.value(flat)
        return self.out(flat.transpose(1, 2).reshape(x.shape))


class ConvLSTM(nn.Module):
    """Layers of ConvLSTM with a bias, and a convolution of 1 x 1 on every frame."""

    def __init__(self, kernels: tuple[int, ...] = (3, 3), filters: int = 3) -> None:
        super().__init__()
        self.filters = filters
        self.into = nn.ModuleList(
            nn.Conv2d(1 if layer == 0 else filters, 4 * filters, kernel, padding=kernel // 2)
            for layer, kernel in enumerate(kernels)
        )
        self.again = nn.ModuleList(
            nn.Conv2d(filters, 4 * filters, kernel, padding=kernel // 2, bias=False) for kernel in kernels
        )
        self.head = nn.Conv2d(filters, 1, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = list(frames.unbind(1))
        for into, again in zip(self.into, self.again, strict=True):
            h = c = torch.zeros_like(x[0][:, :1]).expand(-1, self.filters, -1, -1)
            outputs = []
            for frame in x:
                i, f, g, o = (into(frame) + again(h)).chunk(4, 1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs.append(h)
            x = outputs
        return torch.stack([self.head(frame) for frame in x], 1)


class ResNet(nn.Module):
    """Two residual blocks, the second at half the resolution, and global pooling: classes of an image."""

    def __init__(self, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.first = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
        )
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
        )
        self.short = nn.Conv2d(width, width, 1, 2)
        self.head = nn.Linear(width, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(image))
        x = torch.relu(x + self.first(x))
        x = torch.relu(self.short(x) + self.second(x))
        return self.head(x.mean((2, 3)))


def dilated() -> nn.Module:
    """Convolutions of 3 x 3 with dilations 1, 2 and 4."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2), nn.ReLU(),
        nn.Conv2d(4, 1, 3, padding=4, dilation=4),
    )  # fmt: skip


def strided() -> nn.Module:
    """An encoder that halves the grid: 5 x 5 with stride 2, then 3 x 3."""
    return nn.Sequential(nn.Conv2d(1, 4, 5, 2, padding=2), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))


def super_resolution() -> nn.Module:
    """Two convolutions of 3 x 3, PixelShuffle by two, and one of 3 x 3 on the finer grid."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, padding=1),
        nn.PixelShuffle(2), nn.Conv2d(2, 1, 3, padding=1),
    )  # fmt: skip


def valid() -> nn.Module:
    """Three convolutions of 3 x 3, 5 x 5 and 3 x 3 without padding."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 5), nn.ReLU(), nn.Conv2d(4, 1, 3))


def scene(*shape: int) -> np.ndarray[Any, Any]:
    """Return values from 0 to 1."""
    return np.random.default_rng(1).random(shape, dtype=np.float32)
