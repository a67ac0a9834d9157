"""Values by their rank as PyTorch picks them, such as the median of a time series, from a sorted array.

Neither ONNX nor OpenVINO has an operator for them, and in what order they sort missing values is not settled.
"""

from __future__ import annotations

import math

import torch

Ranked = tuple[torch.Tensor, torch.Tensor]


def in_order(x: torch.Tensor, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Ranked:  # noqa: ARG001
    """Compute ``torch.sort(stable=True)`` as the sorting that others keep stable anyway."""
    return torch.sort(x, dim, descending)


def kth_value(x: torch.Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Ranked:
    """Compute ``torch.kthvalue``; missing values come after all others."""
    values, places, known = _sorted(x, dim)
    values, places = (array.narrow(dim, k - 1, 1) for array in (values, places))
    return _squeezed(_missing(values, known < k), places, dim, keepdim)


def median(x: torch.Tensor, dim: int, keepdim: bool = False) -> Ranked:
    """Compute ``torch.median``, the lower of two; one missing value makes it missing."""
    length = x.shape[dim]
    values, places, known = _sorted(x, dim)
    values, places = (array.narrow(dim, (length - 1) // 2, 1) for array in (values, places))
    return _squeezed(_missing(values, known < length), places, dim, keepdim)


def known_median(x: torch.Tensor, dim: int, keepdim: bool = False) -> Ranked:
    """Compute ``torch.nanmedian``: of the values that are not missing."""
    values, places, known = _sorted(x, dim)
    rank = torch.div((known - 1).clamp(min=0), 2, rounding_mode="floor")
    values, places = (array.gather(dim, rank) for array in (values, places))
    return _squeezed(_missing(values, known == 0), places, dim, keepdim)


def most_frequent(x: torch.Tensor, dim: int = -1, keepdim: bool = False) -> Ranked:
    """Compute ``torch.mode``, the least of those that are as frequent, but for places, which are zeros."""
    dim %= x.ndim
    counts = (x.unsqueeze(dim) == x.unsqueeze(dim + 1)).to(torch.int64).sum(dim + 1)
    limits = torch.finfo(x.dtype) if x.is_floating_point() else torch.iinfo(x.dtype)
    often = torch.where(counts == counts.amax(dim, keepdim=True), x, limits.max)
    values = often.amin(dim, keepdim=keepdim)
    return values, torch.zeros_like(values, dtype=torch.int64)


def _sorted(x: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give sorted values, whence they come, and how many are not missing; those that are come last."""
    missing = x.isnan() if x.is_floating_point() else torch.zeros_like(x, dtype=torch.bool)
    filled = torch.where(missing, math.inf, x) if x.is_floating_point() else x
    values, places = torch.sort(filled, dim)
    return values, places, (~missing).to(torch.int64).sum(dim, keepdim=True)


def _missing(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    return torch.where(where, math.nan, values) if values.is_floating_point() else values


def _squeezed(values: torch.Tensor, places: torch.Tensor, dim: int, keepdim: bool) -> Ranked:
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))
