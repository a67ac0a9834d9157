"""Run jobs that need each other: each as soon as what it needs is done, and only those that are not done yet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from typing import Any, Literal

from modelstac.catalog.errors import ModelStacError, SpecError
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.jobs.attempt import Attempt
from modelstac.jobs.job import Job, check
from modelstac.jobs.perform import found
from modelstac.jobs.pools import Pool

State = Literal["there", "done", "failed", "skipped"]
TASK = "jobs"
LOOK = 2.0  # seconds between looks whether the pool is well
LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    state
        ``there``: it was done before; ``done``; ``failed``; ``skipped``, since a job that it needs failed.
    attempts, seconds
        Made, and taken by the last one.
    result
        Of the job, where there is one.
    reason
        Why there is none, in one line.
    host, log
        Of the last attempt.
    """

    job: Job
    state: State
    attempts: int = 0
    seconds: float = 0.0
    result: dict[str, Any] | None = None
    reason: str = ""
    host: str = ""
    log: str = ""

    @property
    def well(self) -> bool:
        """Whether there is a result."""
        return self.result is not None

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        named = ("state", "attempts", "seconds", "result", "reason", "host", "log")
        fields = {name: getattr(self, name) for name in named} | {"seconds": round(self.seconds, 3)}
        return {"name": self.job.name, "kind": self.job.kind, "key": self.job.key, **fields}


def run(
    jobs: Sequence[Job], pool: Pool, *, retries: int = 2, pause: float = 5.0, report: Report = ignore
) -> list[Outcome]:
    """Run jobs; one that fails does not keep the others that do not need it from being done.

    Parameters
    ----------
    jobs
        Each after those that it needs.
    pool
        Where they run.
    retries
        Attempts after the first, for failures that may pass: a crash, a time limit, a catalog that does not answer.
    pause
        Seconds before the second attempt; twice as many before each further one.
    report
        Gets a note on each job that ends.

    Returns
    -------
    list of Outcome
        In the order of the jobs.

    Raises
    ------
    SpecError
        When a job is there twice, or needs one that is not there.
    """
    check(jobs)
    if retries < 0:
        raise SpecError(f"retries is a whole number from 0, not {retries}")
    return _Run(jobs, pool, retries, pause, report).to_the_end()


class _Run:
    def __init__(self, jobs: Sequence[Job], pool: Pool, retries: int, pause: float, report: Report) -> None:
        self.jobs, self.pool, self.retries, self.pause, self.report = jobs, pool, retries, pause, report
        self.outcomes: dict[str, Outcome] = {}
        self.running: dict[Future[Attempt], Job] = {}
        self.attempts: dict[str, int] = {}
        self.due = {job.name: 0.0 for job in jobs}  # what waits, and until when at least

    def to_the_end(self) -> list[Outcome]:
        self.report(Started(TASK, len(self.jobs)))
        while len(self.outcomes) < len(self.jobs):
            self._start()
            self._wait()
        self.report(Finished(TASK))
        return [self.outcomes[job.name] for job in self.jobs]

    def _start(self) -> None:
        """Start all that can be started, or find it done."""
        for job in self.jobs:  # in order: a job that is found makes those after it ready
            if self.due.get(job.name, float("inf")) > time.monotonic():
                continue
            needs = [self.outcomes.get(need) for need in job.needs]
            if lost := [one for one in needs if one is not None and not one.well]:
                del self.due[job.name]
                self._end(Outcome(job, "skipped", reason=f"needs {lost[0].job.name}, which {lost[0].state}"))
            elif all(needs):
                del self.due[job.name]
                self._find_or_submit(job)

    def _find_or_submit(self, job: Job) -> None:
        try:
            result = found(job)
            if result is None:
                self.running[self.pool.submit(job)] = job
            else:
                attempts = self.attempts.get(job.name, 0)
                self._end(Outcome(job, "done" if attempts else "there", attempts, result=result))
        except Exception as error:  # noqa: BLE001 - it is the reason in the job's outcome
            self._attempted(job, Attempt(None, type(error).__name__, _line(error)))

    def _wait(self) -> None:
        """Wait for an attempt to end, or for the time of the next one."""
        pauses = [moment - time.monotonic() for name, moment in self.due.items() if moment]
        limit = max(0.0, min([LOOK, *pauses]))
        if not self.running:
            time.sleep(limit if len(self.outcomes) < len(self.jobs) else 0)
            return
        ended, _ = wait(self.running, timeout=limit, return_when=FIRST_COMPLETED)
        for future in ended:
            self._attempted(self.running.pop(future), _attempt_of(future))
        if not ended and (trouble := self.pool.trouble()) is not None:
            for future, job in list(self.running.items()):
                future.cancel()
                del self.running[future]
                self._end(Outcome(job, "failed", self.attempts.get(job.name, 0) + 1, reason=trouble))

    def _attempted(self, job: Job, made: Attempt) -> None:
        count = self.attempts[job.name] = self.attempts.get(job.name, 0) + 1
        if made.again and count <= self.retries:
            pause = min(self.pause * 2 ** (count - 1), LONGEST_PAUSE)
            self.report(Note(f"{job.name} {made.message}; attempt {count + 1} of {self.retries + 1} in {pause:g} s"))
            self.due[job.name] = time.monotonic() + pause
            return
        state: State = "done" if made.result is not None else "failed"
        self._end(Outcome(job, state, count, made.seconds, made.result, made.message, made.host, made.log))

    def _end(self, outcome: Outcome) -> None:
        self.outcomes[outcome.job.name] = outcome
        if outcome.state != "there":
            why = f": {outcome.reason}" if outcome.reason else ""
            took = f" in {outcome.seconds:.1f} s" if outcome.seconds else ""
            self.report(Note(f"{outcome.job.name} {outcome.state}{took}{why}"))
        self.report(Advanced(TASK, note=outcome.job.name))


def _attempt_of(future: Future[Attempt]) -> Attempt:
    try:
        return future.result()
    except CancelledError:
        return Attempt(None, "CancelledError", "was cancelled by the scheduler, or lost with it")
    except Exception as error:  # noqa: BLE001 - it is the reason in the job's outcome
        return Attempt(None, type(error).__name__, _line(error))


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ModelStacError) else f"{type(error).__name__}: {text}"
