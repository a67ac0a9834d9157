"""Attempts on the workers of a Dask cluster: one that exists, or one that is asked of a batch system.

A worker starts the job's own process and waits for it. When the worker is lost, Dask gives the job to another one,
where it goes on from what it left in its folder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import CannotRunError, MissingPackageError, UnavailableError
from modelstac.jobs.attempt import Attempt, attempt
from modelstac.jobs.job import Job
from modelstac.jobs.pools import Pool

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 60.0
"""Seconds without any worker, or without one that has what a job needs, after which jobs are given up."""


class DaskPool(Pool):
    """A Dask cluster; use it as a context manager.

    Parameters
    ----------
    where
        Address of the scheduler (``tcp://host:8786``), or a cluster object of Dask's.
    patience
        Seconds to wait for the scheduler, and for workers that are missing.
    grows
        Whether workers may come later, when a batch system starts them: then they are waited for without limit.

    Raises
    ------
    MissingPackageError
        If Dask is not installed.
    UnavailableError
        If no scheduler answers.
    """

    def __init__(self, where: Any, *, patience: float = PATIENCE, grows: bool = False) -> None:
        client_class = require_dask()
        self._patience, self._grows = patience, grows
        self._submitted: list[Job] = []
        self._unwell_since: float | None = None
        try:
            self._client: Client = client_class(where, timeout=min(patience, 10), set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            reason = " ".join(str(error.args[0] if error.args else error).split())
            raise UnavailableError(
                f"no Dask scheduler answers at {where} ({reason}): check the address, or start 'dask scheduler'"
            ) from error
        address = self._client.scheduler.address if self._client.scheduler is not None else str(where)
        self.where = f"the Dask cluster at {address}"

    def submit(self, job: Job) -> Future[Attempt]:
        """Try a job on a worker that has what it needs."""
        self._submitted.append(job)
        executor = self._client.get_executor(pure=False, resources=dict(job.resources) or None)
        future: Future[Attempt] = executor.submit(attempt, job)
        return future

    def trouble(self) -> str | None:
        """Say that no worker is left, or none that has what the jobs need, once that has been so for a while."""
        reason = self._shortage()
        if reason is None:
            self._unwell_since = None
            return None
        self._unwell_since = self._unwell_since or time.monotonic()
        waited = time.monotonic() - self._unwell_since
        return f"{reason}, for {waited:.0f} s" if waited >= self._patience else None

    def require_workers(self, jobs: Sequence[Job]) -> None:
        """Wait for workers that have what the jobs need.

        Raises
        ------
        CannotRunError
            If there are none in time.
        """
        until = time.monotonic() + self._patience
        while (reason := self._shortage(jobs)) is not None:
            if time.monotonic() > until:
                raise CannotRunError(
                    f"{reason}: start one with 'dask worker ADDRESS --nthreads 1' (and --resources 'GPU=1' for a GPU)"
                )
            time.sleep(min(1.0, self._patience / 10))

    def threads(self) -> int:
        """Return how many jobs a worker takes at a time, at most."""
        return max((int(worker["nthreads"]) for worker in self._workers().values()), default=1)

    def _shortage(self, jobs: Sequence[Job] | None = None) -> str | None:
        if self._grows:
            return None
        if self._client.status != "running":
            return f"{self.where} is gone"
        try:
            offers = [worker.get("resources", {}) for worker in self._workers().values()]
        except OSError:
            return f"{self.where} is gone"
        if not offers:
            return f"{self.where} has no worker"
        for job in self._submitted if jobs is None else jobs:
            if not any(_covers(offer, job.resources) for offer in offers):
                wanted = ", ".join(f"{name}={amount:g}" for name, amount in job.resources.items())
                return f"{self.where} has no worker with {wanted}"
        return None

    def _workers(self) -> dict[str, Any]:
        workers: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers

    def close(self) -> None:
        """Leave the cluster; what runs on it goes on to its end, and is found by the next run."""
        self._client.close(timeout=5)


def require_dask() -> Any:
    """Import Dask's client.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        if error.name not in {"dask", "distributed"}:
            raise
        raise MissingPackageError.extra("Dask", "dask", "running jobs on a cluster") from error
    return Client


def quiet() -> None:
    """Keep from the terminal what Dask logs of lost connections: what matters comes back as the reason of a job."""
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _covers(offer: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    return all(offer.get(name, 0) >= amount for name, amount in wanted.items())
