"""Functions of single numbers as PyTorch computes them, in operators that all converters know."""

from __future__ import annotations

import math
from typing import Any

import torch


def itself(x: torch.Tensor) -> torch.Tensor:
    """Give the number: a constant is detached in its place, as every tensor made in ``forward`` is."""
    return x


def log_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """Compute ``torch.nn.functional.logsigmoid``, of which no exponential overflows."""
    return x.clamp(max=0) - torch.log1p(torch.exp(-x.abs()))


def log_add(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Compute ``torch.logaddexp``; two that are equal, also infinite ones, are not subtracted."""
    apart = torch.where(left == right, 0.0, (left - right).abs())
    return torch.maximum(left, right) + torch.log1p(torch.exp(-apart))


def angle(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Compute ``torch.atan2``, but for the sign of zeros."""
    found = torch.atan(y / x)
    found = torch.where(x < 0, torch.where(y < 0, found - math.pi, found + math.pi), found)
    upright = torch.where(y > 0, math.pi / 2, torch.where(y < 0, -math.pi / 2, y))
    return torch.where(x == 0, upright, found)


def hypotenuse(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Compute ``torch.hypot``, such as the speed of a wind; no square overflows."""
    longer, shorter = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    share = torch.where(longer == shorter, 1.0, shorter / longer)
    return longer * torch.sqrt(1 + share * share)


def shifted(x: torch.Tensor, places: int) -> Any:
    """Shift 8 and 16 bits, as of a quality band, to the right by a division, which is exact in 32."""
    if x.dtype.itemsize > 2 or not 0 <= places < 8 * x.dtype.itemsize:
        return NotImplemented
    return torch.div(x.to(torch.int32), 1 << places, rounding_mode="floor").to(x.dtype)


def sign(x: torch.Tensor) -> Any:
    """Compute ``torch.sign``, which is 0 of what is missing."""
    if not x.is_floating_point():
        return NotImplemented
    return (x > 0).to(x.dtype) - (x < 0).to(x.dtype)


def with_sign(x: torch.Tensor, other: Any) -> torch.Tensor:
    """Compute ``torch.copysign``; the sign of a zero shows when it divides."""
    size, other = x.abs(), torch.as_tensor(other, dtype=x.dtype)
    return torch.where(torch.where(other == 0, 1 / other, other) < 0, -size, size)


def among(x: torch.Tensor, values: torch.Tensor, *, assume_unique: bool = False, invert: bool = False) -> torch.Tensor:  # noqa: ARG001
    """Compute ``torch.isin``, such as which pixels are of the classes of clouds."""
    found = (x.unsqueeze(-1) == values.flatten()).any(-1)
    return ~found if invert else found


def leaking(x: torch.Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Any:
    """Compute ``torch.nn.functional.rrelu`` of a model that is not trained: with the mean of its slopes."""
    return NotImplemented if training else torch.where(x >= 0, x, x * ((lower + upper) / 2))
