"""The parent's side of a worker process: it ends with a signal or not in time, and that costs one answer."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A program that answers requests, started when first asked, and again after it ended.

    Parameters
    ----------
    module
        To run with ``-m``.
    log
        Gets what it and its libraries print.
    python
        The interpreter of its environment.
    environment
        Variables beside those of this process.
    timeout
        Seconds for an answer.
    """

    def __init__(
        self,
        module: str,
        log: Path,
        *,
        python: Path | str = sys.executable,
        environment: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> None:
        self._command = [str(python), "-m", module]
        self._log, self._timeout = log, timeout
        # One thread: with another number, what an architecture computes differs in its last bits, and so its digest.
        made = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
        self._environment = os.environ | made | dict(environment or {})
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Give the answer, or ``{"crashed": how}``."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], self._timeout)
            line = process.stdout.readline() if ready else None
        except BrokenPipeError:
            line = ""
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        if line is None:
            self.close()
            return {"crashed": f"no answer in {self._timeout:.0f} s"}
        code = process.wait()
        self._let_go()
        return {"crashed": signal.Signals(-code).name if code < 0 else f"exit code {code}"}

    def close(self) -> None:
        """End it, with the processes that it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._let_go()

    def _let_go(self) -> None:
        if self._process is not None:
            for pipe in filter(None, (self._process.stdin, self._process.stdout)):
                with contextlib.suppress(BrokenPipeError):  # what was written and never read
                    pipe.close()
            self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    cwd=ROOT,
                    env=self._environment,
                    start_new_session=True,
                )
        return self._process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
