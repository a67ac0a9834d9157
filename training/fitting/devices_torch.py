"""What PyTorch computes on, and how."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def settings(execution: Execution, *, threads: int | None = None) -> Iterator[None]:
    """Compute with the threads, the precision and the determinism that were asked for, and as before afterwards.

    Parameters
    ----------
    execution
        What was asked for.
    threads
        Of this process, where several share the machine.
    """
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_num_threads(threads or execution.threads)
    torch.set_float32_matmul_precision("high" if execution.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = execution.tf32
    if execution.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which cuBLAS reads when it is first used
    torch.use_deterministic_algorithms(execution.deterministic)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.set_float32_matmul_precision(before[2])
        torch.backends.cudnn.allow_tf32 = convolutions
