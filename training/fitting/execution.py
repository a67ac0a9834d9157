"""Where and how a fit is computed: what changes time and memory, and the rounding of every step.

It is no part of a job: the same job on other devices is still the same job. Its result may differ, though: a gradient
that is rounded otherwise in its sixth digit leads, step after step, to other weights. So the item records all of it.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelstac.catalog.errors import CannotRunError, SpecError

DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
THREADS, MOST_THREADS = 2, 1024


@dataclass(frozen=True)
class Execution:
    """Where and how a fit is computed.

    Parameters
    ----------
    device
        ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, … or ``mps``.
    devices
        Share each batch among so many, by PyTorch's DistributedDataParallel (one process each) or TensorFlow's
        MirroredStrategy. Loss, gradients and the statistics of batch normalisation are those of the whole batch.
    compile
        Let `torch.compile` make kernels for this machine first.
    low_memory
        Compute the gates of all ConvLSTM cells anew in the backward pass instead of keeping those of large kernels.
    threads
        Of the processor, for each operation; sums are split by their number. Two by default, on every machine.
    deterministic
        Refuse operations whose result depends on chance (on GPUs, some sums in parallel); slower.
    tf32
        Let GPUs multiply with ten bits of mantissa; PyTorch's and TensorFlow's own default for convolutions.

    Raises
    ------
    SpecError
        When a field makes no sense.
    """

    device: str = "auto"
    devices: int = 1
    compile: bool = False
    low_memory: bool = False
    threads: int = THREADS
    deterministic: bool = False
    tf32: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.device, str) or not DEVICE.fullmatch(self.device):
            raise SpecError(f"device must be auto, cpu, cuda, cuda:1 (and so on) or mps, not {self.device!r}")
        if isinstance(self.devices, bool) or not isinstance(self.devices, int) or self.devices < 1:
            raise SpecError(f"devices must be a whole number from 1 on, not {self.devices!r}")
        if isinstance(self.threads, bool) or not isinstance(self.threads, int) or not 1 <= self.threads <= MOST_THREADS:
            raise SpecError(f"threads must be a whole number from 1 to {MOST_THREADS}, not {self.threads!r}")
        if self.devices > 1 and (":" in self.device or self.device == "mps"):
            raise SpecError(f"{self.devices} devices cannot all be {self.device}: ask for cuda or cpu")

    def check_shares(self, batch_size: int) -> None:
        """Raise a SpecError where a batch has fewer windows than there are devices."""
        if batch_size < self.devices:
            raise SpecError(
                f"a batch of {batch_size} cannot be shared by {self.devices} devices: give --batch-size {self.devices}"
                " or more"
            )

    def must_find(self, gpus: int, framework: str) -> None:
        """Raise a CannotRunError where a framework sees fewer GPUs than were asked for."""
        wanted = int(self.device.partition(":")[2] or self.devices - 1) + 1
        if self.device.startswith("cuda") and gpus < wanted:
            asked = f"{self.devices} GPUs" if self.devices > 1 else f"the device {self.device}"
            found = f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else "no GPU"
            raise CannotRunError(
                f"{asked} cannot be had: {framework} sees {found} here; train with --device cpu, or where there is one"
            )

    def recorded(self, device: str, libraries: Mapping[str, str]) -> dict[str, Any]:
        """Give as JSON types what an item says of how its model was computed.

        Parameters
        ----------
        device
            What was found where ``auto`` was asked for.
        libraries
            Versions by name of the package.
        """
        fields = {name: getattr(self, name) for name in ("devices", "threads", "tf32", "deterministic", "compile")}
        versions = {"python": platform.python_version(), "numpy": np.__version__, **libraries}
        return {"device": device, **fields, "processor": platform.machine(), "libraries": versions}

    def refuse_for_tensorflow(self) -> None:
        """Raise a SpecError on what only PyTorch can do."""
        asked = {"--compile": self.compile, "--low-memory": self.low_memory}
        if wrong := [name for name, is_asked in asked.items() if is_asked]:
            raise SpecError(
                f"{wrong[0]} is for the variants torch and keras-torch: TensorFlow chooses by itself what it keeps and"
                " compiles"
            )


AUTOMATIC = Execution()
