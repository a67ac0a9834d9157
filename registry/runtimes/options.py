"""How a model is to run here: threads and device, as far as its runtime lets a model choose, and its memory."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from modelstac.catalog.errors import CannotRunError, SpecError

THREADS, DEVICE, SPIN = "MODELSTAC_THREADS", "MODELSTAC_DEVICE", "MODELSTAC_SPIN"
MEMORY_LIMIT = "MODELSTAC_MEMORY_LIMIT"
LEAST_MEMORY = 20_000_000
"""Bytes below which not even Python starts."""


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
    memory_limit
        Bytes that the model may take, in a process of its own, with Python and the framework, which take some hundred
        million; None: as much as there is, in this process.
    spin
        Whether threads of ONNX Runtime that wait for work keep their core busy: quickest for one caller who has the
        machine for himself, slow where what works beside them needs the cores.

    Raises
    ------
    SpecError
        If the number of threads or of bytes makes no sense.
    CannotRunError
        If this system cannot hold a process to a memory limit.
    """

    threads: int | None = None
    device: str = "cpu"
    memory_limit: int | None = None
    spin: bool = True

    def __post_init__(self) -> None:
        if self.threads is not None and (isinstance(self.threads, bool) or self.threads < 1):
            raise SpecError(f"threads is {self.threads!r}: a whole number from 1 is needed")
        if self.memory_limit is None:
            return
        if isinstance(self.memory_limit, bool) or self.memory_limit < LEAST_MEMORY:
            raise SpecError(f"the memory limit is {self.memory_limit!r} bytes: {LEAST_MEMORY:,} are the least")
        if sys.platform != "linux":  # others count only a part of what a process takes, or nothing
            raise CannotRunError(f"a memory limit needs Linux, this is {sys.platform}: leave it away")

    @classmethod
    def of(
        cls,
        threads: int | None = None,
        device: str | None = None,
        memory_limit: int | str | None = None,
        *,
        spin: bool | None = None,
    ) -> Options:
        """Take what is given, else what ``MODELSTAC_THREADS``, ``_DEVICE``, ``_MEMORY_LIMIT`` and ``_SPIN`` say.

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
        said = os.environ.get(SPIN) or "1"
        if said not in {"0", "1"}:
            raise SpecError(f"{SPIN} is {said!r}: 0 or 1 is needed")
        limit = os.environ.get(MEMORY_LIMIT) or None if memory_limit is None else memory_limit
        if isinstance(limit, str):
            limit = _bytes(limit, MEMORY_LIMIT if memory_limit is None else "the memory limit")
        return cls(threads, device or os.environ.get(DEVICE) or "cpu", limit, said == "1" if spin is None else spin)


def _bytes(text: str, what: str) -> int:
    from modelstac.registry.files.cache import parse_size  # not at the top: a worker has not what it needs

    try:
        return parse_size(text)
    except ValueError as error:
        raise SpecError(f"{what} is {text!r}: a number of bytes is needed, such as 500MB or 4GB") from error
