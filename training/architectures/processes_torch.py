"""Sums over all processes that share a fit, in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def processes() -> int:
    """Count the processes that share this fit."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def total(value: Tensor) -> Tensor:
    """Sum a tensor over all processes, with its gradient; where there is one, the tensor itself."""
    if processes() == 1:
        return value
    result: Tensor = _Total.apply(value)  # type: ignore[no-untyped-call]
    return result


class _Total(torch.autograd.Function):
    # Every process computes the loss of the whole batch from these sums. DistributedDataParallel then takes the mean of
    # what the processes find for a weight, and with the sum here that is the gradient of that one loss.
    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        result = value.contiguous().clone()
        dist.all_reduce(result)
        return result

    @staticmethod
    def backward(_: Any, grad: Tensor) -> Tensor:
        result = grad.contiguous().clone()
        dist.all_reduce(result)
        return result
