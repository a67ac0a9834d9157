"""One attempt at a job, in a process of its own: on this machine, or where a cluster runs this function.

A process has one Keras backend for life, may be killed for its memory, and may hang: none of that reaches who waits.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelstac.catalog import errors
from modelstac.catalog.backends.storage import explained
from modelstac.jobs.job import Job
from modelstac.jobs.records import LOG, SPEC, write_json

Process = subprocess.Popen[bytes]

PERMANENT = frozenset(
    kind.__name__
    for kind in (
        errors.AmbiguousError,
        errors.BackendError,
        errors.CannotRunError,
        errors.DataError,
        errors.InvalidItemError,
        errors.ItemExistsError,
        errors.MissingPackageError,
        errors.NotFoundError,
        errors.ParityError,
        errors.SpecError,
        errors.TrainingError,
        errors.UntrustedError,
    )
)
"""Errors that the same job would meet again."""

ANSWER_LIMIT = 10_000_000  # bytes


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt.

    Parameters
    ----------
    result
        Of the job; None where it failed.
    error, message
        Class and one line of why it failed.
    seconds
        It took.
    host
        The machine.
    log
        File with what it printed.
    """

    result: dict[str, Any] | None
    error: str = ""
    message: str = ""
    seconds: float = 0.0
    host: str = ""
    log: str = ""

    @property
    def again(self) -> bool:
        """Whether another attempt may do."""
        return self.result is None and self.error not in PERMANENT


def attempt(job: Job, *, started: Callable[[Process], None] | None = None) -> Attempt:
    """Try a job.

    Parameters
    ----------
    job
        What to do.
    started
        Gets the process, to be able to end it: closing its stdin is enough.
    """
    began = time.monotonic()
    log, spec = job.folder / LOG, job.folder / SPEC
    write_json(spec, job.to_dict())
    command = [sys.executable, "-m", "modelstac.job", str(spec), "--until-stdin-ends"]
    # It sees the packages that we see, however we came to see them.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | dict(job.environment)
    host = socket.gethostname()
    with explained(f"write {log}"):
        printed = log.open("ab")
    with printed, tempfile.TemporaryFile() as answers:
        printed.write(f"--- {datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z on {host}\n".encode())
        printed.flush()
        before = printed.tell()
        process = subprocess.Popen(  # noqa: S603 - our own program
            command, env=environment, stdin=subprocess.PIPE, stdout=answers, stderr=printed, start_new_session=True
        )
        if started is not None:
            started(process)
        late = _wait(process, job.timeout)
        answers.seek(0)
        answer = _answer(answers.read(ANSWER_LIMIT))
        said = _last_line(log, before)
    seconds = time.monotonic() - began
    if "result" in answer and process.returncode == 0:
        return Attempt(answer["result"], seconds=seconds, host=host, log=str(log))
    if late:
        error, message = "TimeoutError", f"took longer than {_span(job.timeout or 0)} and was ended"
    else:
        error, message = answer.get("error", "WorkerError"), answer.get("message") or _ending(process.returncode, said)
    return Attempt(None, error, message, seconds, host, str(log))


def _wait(process: Process, timeout: float | None) -> bool:
    """Wait for a process and all that it started; tell whether it had to be ended for the time."""
    late = threading.Event()

    def end() -> None:
        late.set()
        kill(process)

    timer = threading.Timer(timeout, end) if timeout is not None else None
    try:
        if timer is not None:
            timer.start()
        process.wait()
    finally:
        if timer is not None:
            timer.cancel()
        kill(process)  # what it started and left behind
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
    return late.is_set()


def kill(process: Process) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all ended; macOS says so by the second
        os.killpg(process.pid, signal.SIGKILL)


def _answer(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _last_line(log: Path, before: int) -> str:
    with log.open("rb") as file:
        file.seek(max(before, log.stat().st_size - 20_000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _ending(code: int, said: str) -> str:
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL): by somebody, or for lack of memory"
    if -code in set(signal.Signals):
        return f"crashed ({signal.Signals(-code).name})"
    return f"ended with exit code {code}" + (f": {said}" if said else "")


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 120 else f"{seconds:g} s"
