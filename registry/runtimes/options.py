"""How a model is to run here, as far as its runtime lets a model choose: threads and device."""

from __future__ import annotations

import os
from dataclasses import dataclass

from modelstac.catalog.errors import SpecError

THREADS, DEVICE = "MODELSTAC_THREADS", "MODELSTAC_DEVICE"


@dataclass(frozen=True)
class Options:
    """How to run a model.

    Parameters
    ----------
    threads
        Threads of one prediction; None leaves it to the runtime. ONNX Runtime, OpenVINO and LiteRT keep it per model;
        PyTorch and TensorFlow have one number for the process (``torch.set_num_threads``), which nobody but the process
        should change.
    device
        ``cpu``, which gives the same numbers on every machine as far as runtimes can, ``cuda`` and others that ONNX
        Runtime has providers for, or ``auto``.

    Raises
    ------
    SpecError
        If the number of threads makes no sense.
    """

    threads: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.threads is not None and (isinstance(self.threads, bool) or self.threads < 1):
            raise SpecError(f"threads is {self.threads!r}: a whole number from 1 is needed")

    @classmethod
    def of(cls, threads: int | None = None, device: str | None = None) -> Options:
        """Take what is given, else what ``MODELSTAC_THREADS`` and ``MODELSTAC_DEVICE`` say.

        Raises
        ------
        SpecError
            If the environment says nothing that makes sense.
        """
        text = os.environ.get(THREADS)
        if threads is None and text:
            if not text.isdecimal():
                raise SpecError(f"{THREADS} is {text!r}: a whole number from 1 is needed")
            threads = int(text)
        return cls(threads, device or os.environ.get(DEVICE) or "cpu")
