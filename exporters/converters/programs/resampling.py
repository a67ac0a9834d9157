"""Resampling as PyTorch computes it, written in operators that all converters know.

On open grids they compute something else of it, or nothing: the lengths of windows follow from those of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

_MOST_PARTS = 64


def adaptive_average(x: torch.Tensor, output_size: Sequence[int]) -> Any:
    """Compute ``torch.nn.functional.adaptive_avg_pool*d``, whose cells begin and end where the length of the grid says.

    Means over a cell are means over its rows, of means over its columns, and missing values stay in their cells.
    """
    lengths = x.shape[-len(output_size) :]
    if all(type(length) is int and length % count == 0 for length, count in zip(lengths, output_size, strict=True)):
        return NotImplemented  # windows of one size
    if all(count == 1 for count in output_size):
        return NotImplemented
    return _by_cells(x, output_size, torch.mean)


def adaptive_maximum(x: torch.Tensor, output_size: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute ``torch.nn.functional.adaptive_max_pool*d``, but for the places of its values, which are zeros."""
    x = _by_cells(x, output_size, torch.amax)
    return x, torch.zeros_like(x, dtype=torch.int64)


def _by_cells(x: torch.Tensor, output_size: Sequence[int], reduced: Callable[..., torch.Tensor]) -> torch.Tensor:
    for axis, count in zip(range(-len(output_size), 0), output_size, strict=True):
        if type(count) is not int:  # that of the input, as of None
            continue
        parts = (x.narrow(axis, start, end - start) for start, end in _cells(x.shape[axis], count))
        x = torch.cat([reduced(part, axis, keepdim=True) for part in parts], axis)
    return x


def _cells(length: int, count: int) -> list[tuple[int, int]]:
    return [(number * length // count, ((number + 1) * length + count - 1) // count) for number in range(count)]


def nearest_exact(x: torch.Tensor, output_size: Sequence[int] | None, scale_factors: Sequence[float] | None) -> Any:
    """Compute ``interpolate(mode="nearest-exact")`` to a size in whole numbers, which OpenVINO does not round."""
    if output_size is None or scale_factors is not None:
        return NotImplemented
    for axis, count in zip(range(-len(output_size), 0), output_size, strict=True):
        middles = 2 * torch.arange(count, device=x.device) + 1
        x = x.index_select(axis, torch.div(middles * x.shape[axis], 2 * count, rounding_mode="floor"))
    return x


def smoothed_bilinear(
    x: torch.Tensor, output_size: Sequence[int] | None, align_corners: bool, scale_factors: Sequence[float] | None
) -> torch.Tensor:
    """Compute ``interpolate(mode="bilinear", antialias=True)``."""
    return _smoothed(_triangle, x, output_size, align_corners, scale_factors)


def smoothed_bicubic(
    x: torch.Tensor, output_size: Sequence[int] | None, align_corners: bool, scale_factors: Sequence[float] | None
) -> torch.Tensor:
    """Compute ``interpolate(mode="bicubic", antialias=True)``."""
    return _smoothed(_cubic, x, output_size, align_corners, scale_factors)


def _smoothed(
    weight: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    output_size: Sequence[int] | None,
    align_corners: bool,
    scale_factors: Sequence[float] | None,
) -> torch.Tensor:
    """Multiply by a matrix of weights for columns and one for rows."""
    one = torch.ones(1, dtype=torch.float32, device=x.device)
    factors = (None, None) if scale_factors is None else scale_factors
    found = []
    for place, (length, factor) in enumerate(zip(x.shape[-2:], factors, strict=True)):
        count = output_size[place] if output_size else _resized(length, factor or 1.0)
        step = one * (1 / factor) if factor else one * length / count
        if align_corners:
            step = one * (length - 1) / (count - 1) if count > 1 else 0 * one
        found.append(_weights(weight, length, count, step))
    rows, columns = found
    return (rows @ (x.to(rows.dtype) @ columns.transpose(0, 1))).to(x.dtype)


def _resized(length: int, factor: float) -> int:
    """Give the new length of an axis; in whole numbers where these are exact, as OpenVINO knows no others."""
    times, parts = factor.as_integer_ratio()
    return length * times // parts if parts <= _MOST_PARTS else torch.sym_int(length * factor)  # type: ignore[no-untyped-call]


def _weights(
    weight: Callable[[torch.Tensor], torch.Tensor], length: int, count: int, step: torch.Tensor
) -> torch.Tensor:
    """Give the weight of each old pixel in each new one, over a wider window where a grid is made smaller."""
    centres = (torch.arange(count, dtype=step.dtype, device=step.device) + 0.5) * step
    places = torch.arange(length, dtype=step.dtype, device=step.device) + 0.5
    found = weight((places - centres.unsqueeze(-1)) / step.clamp(min=1.0))
    return found / found.sum(-1, keepdim=True)


def _triangle(x: torch.Tensor) -> torch.Tensor:
    return (1 - x.abs()).clamp(min=0.0)


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """Give Keys' kernel with a = -0.5, which PyTorch uses with antialiasing and nowhere else."""
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))
