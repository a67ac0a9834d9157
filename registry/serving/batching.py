"""Requests of one model, run by a few threads: those that may are run together, and nobody waits for company.

What came while all threads were busy is run together when one is free, so an idle server adds nothing to a request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect

from modelstac.catalog.errors import ModelStacError
from modelstac.registry.running.batch import BatchAxes
from modelstac.registry.running.model import Model
from modelstac.registry.serving.tensors import Array

Arrays = Mapping[str, Array]
_LARGEST = 64 << 20
"""So many bytes of inputs are copied into one batch at most."""
_QUICK, _SLOW = 0.0005, 0.002
"""Seconds: what takes less is run where it is asked for, as a thread would take longer; what takes more is not."""


class Job:
    """What one request wants to be run."""

    def __init__(
        self, arrays: dict[str, Array], axes: BatchAxes | None, future: asyncio.Future[dict[str, Array]]
    ) -> None:
        self.arrays = arrays
        self.future = future
        self.started = False
        self.size = sum(array.nbytes for array in arrays.values())
        self.samples = None if axes is None else axes.samples(arrays)
        self.kind = None if axes is None or not self.samples else axes.kind(arrays)


Outcome = dict[str, Array] | Exception


class Batcher:
    """Runs the requests of a model; made and asked in one event loop.

    Parameters
    ----------
    model
        What runs.
    axes
        Where samples are; None where each request runs by itself.
    workers
        How many runs go on at one time.
    """

    def __init__(self, model: Model, axes: BatchAxes | None, workers: int) -> None:
        self.axes = axes
        self._model = model
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="inference")
        self._workers = self._free = workers
        self._waiting: deque[Job] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_this_process = type(model) is Model
        self._quick_up_to = 0  # bytes

    async def run(self, arrays: dict[str, Array], gone: Callable[[], Any]) -> dict[str, Array]:
        """Run the model on the arrays of a request.

        Parameters
        ----------
        arrays
            By the names of the inputs.
        gone
            Awaited while the request waits for its turn; when it returns, nobody wants the answer any more.

        Raises
        ------
        DataError
            If the model refuses them.
        ClientDisconnect
            If nobody wanted the answer any more before its turn came.
        """
        size = sum(array.nbytes for array in arrays.values())
        if size <= self._quick_up_to and self._free == self._workers:  # or it might wait for one that runs
            outcome = self._alone(arrays)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        job = Job(arrays, self.axes, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._idle.clear()
        self._start()
        if not job.started:
            watch = asyncio.ensure_future(gone())
            try:
                await asyncio.wait({job.future, watch}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                watch.cancel()
                wanted = job.future.done()
                job.future.cancel()  # does nothing to what is done
            if not wanted:
                raise ClientDisconnect
        return await job.future

    async def close(self) -> None:
        """Wait until all that was asked is answered, and let the threads go."""
        await self._idle.wait()
        self._threads.shutdown(wait=False)

    def _start(self) -> None:
        while self._free and self._waiting:
            jobs = self._next()
            if jobs:
                self._free -= 1
                outcomes = asyncio.get_running_loop().run_in_executor(self._threads, self._outcomes, jobs)
                outcomes.add_done_callback(partial(self._ended, jobs))
        if not self._waiting and self._free == self._workers:
            self._idle.set()

    def _next(self) -> list[Job]:
        """Take the first that waits, and those that can run together with it."""
        jobs: list[Job] = []
        passed: deque[Job] = deque()
        samples = size = 0
        while self._waiting:
            job = self._waiting.popleft()
            if job.future.cancelled():
                continue
            if jobs and not self._fits(jobs[0], job, samples, size):
                passed.append(job)
                continue
            job.started = True
            jobs.append(job)
            samples, size = samples + (job.samples or 0), size + job.size
            if self.axes is None or samples >= self.axes.most:
                break
        passed.extend(self._waiting)
        self._waiting = passed
        return jobs

    def _fits(self, first: Job, job: Job, samples: int, size: int) -> bool:
        axes = self.axes
        if axes is None or job.kind is None or job.kind != first.kind:
            return False
        return samples + (job.samples or 0) <= axes.most and size + job.size <= _LARGEST

    def _ended(self, jobs: list[Job], done: asyncio.Future[list[Outcome]]) -> None:
        self._free += 1
        outcomes = done.result()
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.future.done():  # its client went away
                continue
            if isinstance(outcome, Exception):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        self._start()

    def _outcomes(self, jobs: list[Job]) -> list[Outcome]:
        """Run jobs; what is wrong with one is told to that one only."""
        if len(jobs) == 1 or self.axes is None:
            return [self._alone(job.arrays) for job in jobs]
        outcomes: list[Outcome] = []
        good: list[tuple[int, dict[str, Array]]] = []
        for place, job in enumerate(jobs):
            try:
                checked = self._model.signature.check(job.arrays)
            except ModelStacError as error:
                outcomes.append(error)
            else:
                good.append((place, checked))
                outcomes.append({})
        try:
            together = self._together([arrays for _, arrays in good])
        except Exception:  # noqa: BLE001 - whatever it is, one of them may be the reason: each learns its own
            together = [self._alone(arrays) for _, arrays in good]
        for (place, _), outcome in zip(good, together, strict=True):
            outcomes[place] = outcome
        return outcomes

    def _together(self, several: list[dict[str, Array]]) -> list[Outcome]:
        if len(several) < 2:
            return [self._alone(arrays) for arrays in several]
        axes = self.axes
        assert axes is not None
        counts = [axes.samples(arrays) or 0 for arrays in several]
        return list(axes.parts(self._model.run(axes.join(several), finite=False), counts))

    def _alone(self, arrays: dict[str, Array]) -> Outcome:
        begun = time.perf_counter()
        try:
            found = self._model.run(arrays)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            return error
        if self._in_this_process:
            taken, size = time.perf_counter() - begun, sum(array.nbytes for array in arrays.values())
            if taken < _QUICK:
                self._quick_up_to = max(self._quick_up_to, size)
            elif taken > _SLOW and size <= self._quick_up_to:
                self._quick_up_to = size // 2
        return found
