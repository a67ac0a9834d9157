"""Modules of which several networks of PyTorch are made."""

from __future__ import annotations

import torch
from torch import nn


class Apply(nn.Module):
    """A network whose forward pass is a function of its parts and its inputs."""

    def __init__(self, forward, **parts: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            self.add_module(name, part)


class One(Apply):
    """The same of one input."""

    def forward(self, x):
        return self._forward(self, x)


class Two(Apply):
    """The same of two inputs."""

    def forward(self, a, b):
        return self._forward(self, a, b)


class Residual(nn.Module):
    """A part whose input is added to what it gives."""

    def __init__(self, *parts: nn.Module, last: nn.Module | None = None) -> None:
        super().__init__()
        self.parts, self.last = nn.Sequential(*parts), last or nn.Identity()

    def forward(self, x):
        return self.last(x + self.parts(x))


class Function(nn.Module):
    """A function without weights."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def conv(given: int, taken: int, kernel: int = 3, act: type[nn.Module] = nn.ReLU, **more) -> nn.Sequential:
    """Give a convolution, a normalisation and an activation."""
    padding = more.pop("padding", kernel // 2 * more.get("dilation", 1))
    return nn.Sequential(
        nn.Conv2d(given, taken, kernel, padding=padding, bias=False, **more), nn.BatchNorm2d(taken), act()
    )


class UNet(nn.Module):
    """A U-Net: how it goes down and up is said."""

    def __init__(
        self, bands: int, classes: int, widths=(6, 8, 12), up: str = "transpose", attention: bool = False
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList(conv(a, b) for a, b in zip((bands, *widths), widths, strict=False))
        pairs = [*zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True)]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 2, stride=2)
            if up == "transpose"
            else nn.Sequential(
                nn.Upsample(scale_factor=2, mode=up, **({"align_corners": True} if up == "bilinear" else {})),
                nn.Conv2d(a, b, 1),
            )
            for a, b in pairs
        )
        self.merge = nn.ModuleList(conv(2 * b, b) for _, b in pairs)
        self.gates = nn.ModuleList(nn.Conv2d(2 * b, 1, 1) for _, b in pairs) if attention else None
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x):
        skips = []
        for number, part in enumerate(self.down):
            x = part(x if number == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for number, (up, merge) in enumerate(zip(self.ups, self.merge, strict=True)):
            x, skip = up(x), skips[-2 - number]
            if self.gates is not None:
                skip = skip * torch.sigmoid(self.gates[number](torch.cat([x, skip], 1)))
            x = merge(torch.cat([x, skip], 1))
        return self.head(x)
