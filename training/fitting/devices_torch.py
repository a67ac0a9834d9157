"""What PyTorch computes on, and sums over all processes that share a fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from modelstac.catalog.errors import CannotRunError
from modelstac.training.fitting.execution import Execution


def find_device(execution: Execution, rank: int = 0) -> torch.device:
    """Give the device of a process.

    Raises
    ------
    CannotRunError
        When it is not there.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    name = execution.device
    if name == "auto":
        name = "cuda" if gpus else "mps" if mps and execution.devices == 1 else "cpu"
    replace(execution, device=name).must_find(gpus, f"PyTorch {torch.__version__}")
    if name == "mps" and not mps:
        raise CannotRunError("the device mps cannot be had: PyTorch sees none here; train with --device cpu")
    kind, _, number = name.partition(":")
    return torch.device(kind, int(number or rank)) if kind == "cuda" else torch.device(kind)


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
