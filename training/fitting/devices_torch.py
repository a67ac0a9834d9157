"""What PyTorch computes on."""

from __future__ import annotations

from dataclasses import replace

import torch

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
