"""A Dask cluster of real processes: a scheduler and workers that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cluster:
    """Address of the scheduler, and the processes of the workers by name."""

    address: str
    workers: dict[str, subprocess.Popen[bytes]]


@contextlib.contextmanager
def cluster(folder: Path, **workers: str) -> Iterator[Cluster]:
    """Start a scheduler and workers, each by its name and the resources that it offers."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    file = folder / "scheduler.json"

    def start(program: str, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(file)]
            command += ["--no-dashboard", "--host", "127.0.0.1", *arguments]
            return subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)

    started = [start("dask_scheduler", "scheduler", "--port", "0")]
    try:
        wait_for(lambda: file.exists() and file.read_text())
        alone = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder / "spill"))
        named = {
            name: start("dask_worker", name, *alone, "--name", name, *(["--resources", offer] if offer else []))
            for name, offer in workers.items()
        }
        started += named.values()
        wait_for(lambda: all("Registered to" in (folder / f"{name}.log").read_text() for name in named))
        yield Cluster(json.loads(file.read_text())["address"], named)
    finally:
        for process in started:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something is true."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.05)
