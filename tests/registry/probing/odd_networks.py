"""Networks whose sizes are not those of an ordinary one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class TwoResolutions(nn.Module):
    """Bands of 10 m and bands of 20 m: the coarse ones join after the first pooling, of two."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(2, 3, 3, padding=1)
        self.coarse = nn.Conv2d(1, 3, 3, padding=1)
        self.both = nn.Conv2d(6, 3, 3, padding=1)
        self.deep = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Conv2d(6, 1, 1)

    def forward(self, s10: torch.Tensor, s20: torch.Tensor) -> torch.Tensor:
        fine = torch.relu(self.fine(s10))
        half = self.both(torch.cat([functional.max_pool2d(fine, 2), torch.relu(self.coarse(s20))], 1))
        deep = functional.interpolate(self.deep(functional.max_pool2d(torch.relu(half), 2)), scale_factor=2.0)
        full = functional.interpolate(half + deep, scale_factor=2.0)
        return self.head(torch.cat([fine, full], 1))


class TwoSensors(nn.Module):
    """Two inputs of one grid, of which the second is optional in nothing: radar and optical bands side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 5, padding=2)

    def forward(self, s1: torch.Tensor, s2: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([s1, s2], 1))


class Squares(nn.Module):
    """Adds an image and its transpose."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image) + functional.max_pool2d(image, 2).repeat_interleave(2, 2).repeat_interleave(2, 3).mT


class Cropping(nn.Module):
    """Two poolings, which round down, and skip connections cut to what is left: it runs on every size from 4."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        half = functional.max_pool2d(image, 2)
        low = functional.interpolate(functional.max_pool2d(half, 2), scale_factor=2.0)
        half = half[..., : low.shape[-2], : low.shape[-1]] + low
        up = functional.interpolate(half, scale_factor=2.0)
        return image[..., : up.shape[-2], : up.shape[-1]] + up


class Padding(nn.Module):
    """Pads to a multiple of 4, pools by 4 and cuts the result to the size of the image: it truly takes every size."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        h, w = image.shape[-2:]
        padded = functional.pad(image, (0, -w % 4, 0, -h % 4))
        return functional.interpolate(functional.avg_pool2d(padded, 4), scale_factor=4.0)[..., :h, :w]


class OnePixelFails(nn.Module):
    """Normalises over the grid, which PyTorch refuses where it is one pixel."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.instance_norm(image)


class Reflecting(nn.Module):
    """Pads by 3 pixels that it reflects: the image must have 4."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 7)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.pad(image, (3, 3, 3, 3), "reflect"))


class Detector(nn.Module):
    """Boxes: the places whose score is above a threshold, and the scores of all places."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = torch.sigmoid(self.score(image))
        return torch.nonzero(scores > 0.5).to(image.dtype), scores


class Anchors(nn.Module):
    """A box for every pixel, one after the other."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(image, 8).flatten(2).transpose(1, 2)


class Tokens(nn.Module):
    """Embeds tokens of a vocabulary of 12, and attends among them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(12, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        return torch.softmax(x @ x.transpose(1, 2), -1) @ x


class OneSize(nn.Module):
    """Has a weight for every pixel of an 8 x 8 image, and takes batches of one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 8))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.reshape(1, 1, *image.shape[-2:]) * self.weight


class Deep(nn.Module):
    """Forty convolutions, each with a function that saturates or cuts: the far edge is 1e-20 of the middle."""

    def __init__(self, function: type[nn.Module], layers: int = 40, **said: Any) -> None:
        super().__init__()
        width = 4
        self.layers = nn.Sequential()
        for number in range(layers):
            self.layers.append(nn.Conv2d(1 if number == 0 else width, width, 3, padding=1))
            self.layers.append(function(**said))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(image))


class Rounding(nn.Module):
    """Four poolings that round down, and no skip connections: an encoder that runs on every size from 16."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for _ in range(4):
            image = functional.max_pool2d(image, 2)
        return image


class Labels(nn.Module):
    """Classes of an image of bytes: the largest of three maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 5, padding=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image.to(torch.float32)).argmax(1, keepdim=True).to(torch.uint8)


class MaskAndHeight(nn.Module):
    """Two outputs that look differently far."""

    def __init__(self) -> None:
        super().__init__()
        self.mask = nn.Conv2d(1, 1, 3, padding=1)
        self.height = nn.Conv2d(1, 1, 7, padding=3)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.sigmoid(self.mask(image)), self.height(image)


class OneSided(nn.Module):
    """Sees two pixels above and five to the right, and nothing else beside itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, (3, 6))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.pad(image, (0, 5, 2, 0)))


class Unused(nn.Module):
    """Has an input that it does not look at."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, s1: torch.Tensor, s2: torch.Tensor) -> torch.Tensor:
        return self.conv(s1)


class Normalised(nn.Module):
    """A convolution, and a norm of groups of channels over the grid."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(image))))


class Wrapping(nn.Module):
    """A convolution on a globe: the last column is next to the first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image)


class OnlySquares(nn.Module):
    """A convolution of 5 x 5 that is multiplied by a unit matrix: it needs squares, and looks two pixels far."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 5, padding=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if image.shape[-1] != image.shape[-2]:
            raise ValueError("squares only")
        return self.conv(image)


class Moved(nn.Module):
    """A field that is moved by a flow, in pixels."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, field: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        sides = [torch.arange(n, dtype=field.dtype) for n in field.shape[-2:]]
        y, x = torch.meshgrid(*sides, indexing="ij")
        moved = [at + self.scale * flow[:, number] for number, at in enumerate((x, y))]
        lengths = field.shape[-1], field.shape[-2]
        places = [2 * at / max(n - 1, 1) - 1 for at, n in zip(moved, lengths, strict=True)]
        return functional.grid_sample(field, torch.stack(places, -1), align_corners=True, padding_mode="border")


class Without(nn.Module):
    """A convolution that gives no number where its input is dark."""

    def __init__(self, least: float) -> None:
        super().__init__()
        self.least, self.conv = least, nn.Conv2d(1, 1, 5, padding=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.where(image < self.least, torch.nan, self.conv(image))
