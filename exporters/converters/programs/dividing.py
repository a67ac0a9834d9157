"""Whole parts and rests of divisions as PyTorch computes them: exactly, where others round the quotient first.

Of 0.5 by 0.1, both of 32 bits, the quotient is rounded to 5, while 0.1 fits into it 4 times and leaves 0.09999999.
Values that are stored in steps, such as tenths of a degree, lie on such jumps everywhere.
"""

from __future__ import annotations

from typing import Any

import torch

_HALVES = {torch.float32: 2.0**12 + 1, torch.float64: 2.0**27 + 1}
"""By what a number is multiplied to be parted into two of half as many bits."""


def whole(x: Any, divisor: Any) -> Any:
    """Compute ``x // divisor`` of floating-point numbers."""
    if (pair := _pair(x, divisor)) is None:
        return NotImplemented
    x, divisor = pair
    times, left = _parted(x.abs(), divisor.abs())
    times = torch.where((x < 0) == (divisor < 0), times, torch.where(left == 0, -times, -times - 1))
    return torch.where(divisor == 0, x / divisor, torch.where(left.isnan(), torch.nan, times))


def divided(x: Any, divisor: Any, *, rounding_mode: str | None = None) -> Any:
    """Compute ``torch.div`` where it rounds down."""
    return whole(x, divisor) if rounding_mode == "floor" else NotImplemented


def rest(x: Any, divisor: Any) -> Any:
    """Compute ``x % divisor`` of floating-point numbers, which has the sign of the divisor.

    Of whole ones by a length of an open grid, as a place among its pixels is parted into row and column, the divisor
    becomes an array: PyTorch's exporter to ONNX takes it for a number that it knows.
    """
    if (pair := _pair(x, divisor)) is None:
        length = isinstance(divisor, torch.SymInt)
        return torch.remainder(x, _array(divisor, x.dtype, x.device)) if length else NotImplemented
    x, divisor = pair
    left = signed_rest(x, divisor)
    return torch.where((left != 0) & ((left < 0) != (divisor < 0)), left + divisor, left)


def signed_rest(x: Any, divisor: Any) -> Any:
    """Compute ``torch.fmod`` of floating-point numbers, which has the sign of the number."""
    if (pair := _pair(x, divisor)) is None:
        return NotImplemented
    x, divisor = pair
    left = _parted(x.abs(), divisor.abs())[1]
    return torch.where(x < 0, -left, left)


def _pair(x: Any, divisor: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Give both as tensors of one type; None where it is not one of those that are written out."""
    dtype = torch.result_type(x, divisor)
    if dtype not in _HALVES:
        return None
    device = next(value.device for value in (x, divisor) if isinstance(value, torch.Tensor))
    first, second = (
        value.to(dtype) if isinstance(value, torch.Tensor) else _array(value, dtype, device) for value in (x, divisor)
    )
    return first, second


def _array(value: Any, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.full((), value, dtype=dtype, device=device)


def _parted(x: torch.Tensor, divisor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give how often a divisor fits into a number, neither below 0, and what it leaves.

    What a rounded quotient leaves is below 0, or not less than the divisor, and tells in which direction it is wrong.
    """
    times = torch.floor(x / divisor)
    product = times * divisor
    left = (x - product) - _error(times, divisor, product)
    over, under = left < 0, left >= divisor
    times = torch.where(over, times - 1, torch.where(under, times + 1, times))
    return times, torch.where(over, left + divisor, torch.where(under, left - divisor, left))


def _error(first: torch.Tensor, second: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Give by how much a product was rounded up (Dekker 1971), as far as its parts are finite."""
    (high, low), (other_high, other_low) = _halves(first), _halves(second)
    found = ((high * other_high - product) + high * other_low + low * other_high) + low * other_low
    return torch.where(found.abs() <= product, found, 0.0)


def _halves(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scaled = x * _HALVES[x.dtype]
    high = scaled - (scaled - x)
    return high, x - high
