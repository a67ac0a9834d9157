"""Fourier transforms and complex numbers as PyTorch's exporter to ONNX takes them, such as of neural operators."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import torch


def to_real(x: torch.Tensor, dim: Sequence[int], normalization: int, last_dim_size: int) -> torch.Tensor:
    """Compute what ``torch.fft.irfft`` and its like end with: of half a spectrum, the other half is made first.

    Where a grid is open, as that of a neural operator, ONNX Runtime takes the half for the length of the result.
    """
    *others, last = (axis % x.ndim for axis in dim)
    if others:
        x = torch.ops.aten._fft_c2c(x, others, normalization, False)
    half = torch.view_as_real(x)
    mirrored = half.narrow(last, 1, last_dim_size - half.shape[last]).flip(last)
    whole = torch.cat([half, torch.stack([mirrored[..., 0], -mirrored[..., 1]], -1)], last)
    found = torch.ops.aten._fft_c2c(torch.view_as_complex(whole.contiguous()), [last], normalization, False)
    return torch.view_as_real(found)[..., 0]


def rolled(x: torch.Tensor, shifts: Sequence[Any], dims: Sequence[int] = ()) -> Any:
    """Compute ``torch.roll`` by a part of a length, as of ``torch.fft.fftshift``."""
    if all(isinstance(shift, int) for shift in shifts):
        return NotImplemented
    if x.is_complex():
        pairs = rolled(torch.view_as_real(x), shifts, [axis % x.ndim for axis in dims])
        return torch.view_as_complex(pairs.contiguous())
    for shift, axis in zip(shifts, dims, strict=True):
        count = shift % x.shape[axis]
        kept = x.shape[axis] - count
        x = torch.cat([x.narrow(axis, kept, count), x.narrow(axis, 0, kept)], axis)
    return x


def products(equation: str, tensors: Sequence[torch.Tensor], path: Sequence[int] | None = None) -> Any:  # noqa: ARG001
    """Compute ``torch.einsum`` of two arrays of complex numbers by those of their real and imaginary parts."""
    if len(tensors) != 2 or not all(tensor.is_complex() for tensor in tensors):
        return NotImplemented
    (a, b), (c, d) = (torch.view_as_real(tensor).unbind(-1) for tensor in tensors)
    real = torch.einsum(equation, a, c) - torch.einsum(equation, b, d)
    return torch.view_as_complex(torch.stack([real, torch.einsum(equation, a, d) + torch.einsum(equation, b, c)], -1))


def scattered(x: torch.Tensor, other: torch.Tensor, dim: int = 0, *where: Any) -> Any:
    """Write complex numbers into a part of an array, such as frequencies that are kept."""
    if not x.is_complex():
        return NotImplemented
    pairs, axis = (torch.view_as_real(array) for array in (x, other)), dim % x.ndim
    return torch.view_as_complex(torch.ops.aten.slice_scatter(*pairs, axis, *where).contiguous())


def copied(x: torch.Tensor, other: torch.Tensor, non_blocking: bool = False) -> Any:  # noqa: ARG001
    """Write complex numbers into an array of them."""
    if not x.is_complex() or other.dtype != x.dtype:
        return NotImplemented
    return torch.view_as_complex(torch.view_as_real(other).expand(torch.view_as_real(x).shape))


def padded(x: torch.Tensor, pad: Sequence[Any], mode: str = "constant", value: float | None = None) -> Any:
    """Put zeros around complex numbers, such as above the frequencies that are kept."""
    if not x.is_complex() or mode != "constant" or value:
        return NotImplemented
    return torch.view_as_complex(torch.constant_pad_nd(torch.view_as_real(x), [0, 0, *pad]))


def zeros(size: Sequence[Any], *, dtype: torch.dtype | None = None, **how: Any) -> Any:
    """Make complex zeros."""
    if dtype is None or not dtype.is_complex:
        return NotImplemented
    return torch.view_as_complex(torch.zeros([*size, 2], dtype=dtype.to_real(), **how))


def zeros_like(x: torch.Tensor, *, dtype: torch.dtype | None = None, **how: Any) -> Any:  # noqa: ARG001
    """Make as many complex zeros."""
    if not x.is_complex() or dtype not in {None, x.dtype}:
        return NotImplemented
    return torch.view_as_complex(torch.zeros_like(torch.view_as_real(x)))


FOR_ONNX = MappingProxyType(
    {
        torch.ops.aten._fft_c2r.default: to_real,
        torch.ops.aten.copy.default: copied,
        torch.ops.aten.einsum.default: products,
        torch.ops.aten.pad.default: padded,
        torch.ops.aten.roll.default: rolled,
        torch.ops.aten.slice_scatter.default: scattered,
        torch.ops.aten.zeros.default: zeros,
        torch.ops.aten.zeros_like.default: zeros_like,
    }
)
