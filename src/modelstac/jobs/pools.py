"""Where attempts are made: on this machine, or on a cluster (:mod:`modelstac.jobs.dask_pool`)."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from modelstac.jobs.attempt import Attempt, Process, attempt
from modelstac.jobs.job import Job


class Pool(ABC):
    """Runs attempts, several at a time; use it as a context manager.

    Parameters
    ----------
    where
        Its name in one line.
    """

    where: str

    @abstractmethod
    def submit(self, job: Job) -> Future[Attempt]:
        """Try a job as soon as there is room."""

    def trouble(self) -> str | None:
        """Say why nothing that was submitted will ever come back, None while all is well."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Let go; attempts that still run are ended where they can be reached."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LocalPool(Pool):
    """So many processes on this machine, which end with the pool."""

    def __init__(self, processes: int = 1) -> None:
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="jobs")
        self._running: set[Process] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.where = f"{processes} process{'es' if processes > 1 else ''} on this machine"

    def submit(self, job: Job) -> Future[Attempt]:
        """Try a job as soon as there is room."""
        return self._threads.submit(self._attempt, job)

    def close(self) -> None:
        """End all that runs; it goes on from its checkpoint when it is run again."""
        with self._lock:
            self._closed = True
            for process in self._running:
                assert process.stdin is not None
                with contextlib.suppress(OSError):
                    process.stdin.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _attempt(self, job: Job) -> Attempt:
        mine: list[Process] = []

        def started(process: Process) -> None:
            with self._lock:
                mine.append(process)
                self._running.add(process)
                if self._closed and process.stdin is not None:
                    process.stdin.close()

        try:
            return attempt(job, started=started)
        finally:
            with self._lock:
                self._running.difference_update(mine)
