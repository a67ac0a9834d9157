"""A model that runs in a process and an environment of its own, and looks like any other."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modelstac.registry.isolated.worker as program
from modelstac.catalog.errors import ModelStacError, WorkerError
from modelstac.catalog.messages import Finished, Report, Started, ignore
from modelstac.registry import telemetry
from modelstac.registry.isolated.environments import Environment, timeout_of
from modelstac.registry.isolated.processes import WorkerProcess
from modelstac.registry.isolated.shared import SharedBuffer
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.runtimes.options import MEMORY_LIMIT

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.running.signature import Arrays
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

TIMEOUT = "MODELSTAC_WORKER_TIMEOUT"
PATIENCE = 600.0  # seconds; importing TensorFlow from a cold disk takes half a minute
# All of our environment that a worker sees: no keys, no tokens, no proxies, no paths of ours.
PASSED = (
    "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "MKL_NUM_THREADS",
    "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS", "SYSTEMROOT",
    "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS", "TZ",
)  # fmt: skip
THREADS = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

# What frameworks and Python say when there is no more memory.
_NO_MEMORY = re.compile(r"alloc|memory|OOM|ResourceExhausted", re.IGNORECASE)

_INHERITED: list[contextlib.ExitStack] = []


class _EndedError(WorkerError):
    """The worker ended, and can be started again."""


class IsolatedModel(Model):
    """A model whose ``predict`` runs elsewhere; the rest is :class:`~modelstac.registry.running.model.Model`."""

    def __init__(self, item: pystac.Item, description: ModelDescription, runner: Runner) -> None:
        super().__init__(item, description, runner.opened, memory=runner.memory_limit)
        self._runner = runner

    @property
    def native(self) -> Any:
        """Not to be had: the framework's object lives in another process.

        Raises
        ------
        ModelStacError
            Always.
        """
        raise ModelStacError(
            f"model {self.item.id!r} runs isolated, so its native object is in another process: "
            "use predict, or install its framework and load it without isolated=True"
        )

    @property
    def environment(self) -> Environment:
        """Where it runs."""
        return self._runner.environment

    @property
    def pid(self) -> int | None:
        """Number of the process, None while there is none."""
        return self._runner.pid

    def save(self, form: str, path: Path, shape: Sequence[int], open_axes: Sequence[int]) -> dict[str, str]:
        """Save it anew by what its environment has; see :func:`modelstac.registry.isolated.saving.save`."""
        return self._runner.save(form, path, shape, open_axes)

    def close(self) -> None:
        """End the process."""
        super().close()
        self._runner.close()


class Runner:
    """Starts a worker and asks it; one that died or hangs is started again, once for each request.

    Parameters
    ----------
    environment
        Where it runs.
    artifact
        Reads the verified file, whenever a worker is started.
    item_id
        For errors and notes.
    artifact_type, description, policy, options
        As for a runtime; the threads are those of its whole process, too.
    rebuilt
        Build a Keras model in place of loading a file: what the worker is told; the artifact holds the weights.
    report
        Gets notes of the worker.
    """

    def __init__(
        self,
        environment: Environment,
        artifact: Callable[[], Artifact],
        *,
        item_id: str,
        artifact_type: str,
        description: ModelDescription,
        policy: TrustPolicy,
        options: Options,
        rebuilt: Mapping[str, Any] | None = None,
        report: Report = ignore,
    ) -> None:
        self.environment, self._rebuilt = environment, rebuilt
        self._artifact, self._artifact_type, self._report = artifact, artifact_type, report
        self._description, self._policy, self._options = description, policy, options
        self._timeout = timeout_of(TIMEOUT, PATIENCE)
        self._what = f"the isolated process of {item_id!r}"
        self._lock = threading.Lock()
        self._process: WorkerProcess | None = None
        self._stack = contextlib.ExitStack()
        # At the end of the program too; of a killed one nothing is left either: the worker reads the end of its input.
        self._end = weakref.finalize(self, _close_own, self._stack, os.getpid())
        self._folder = Path(tempfile.mkdtemp(prefix="modelstac-"))
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._stack.enter_context(environment.in_use())
        self._given, self._found = SharedBuffer(), SharedBuffer()
        self._stack.callback(self._given.close)
        self._stack.callback(self._found.close)
        self._running: list[WorkerProcess] = []
        self._interface: dict[str, Any] = {}
        self._stack.callback(_close_all, self._running)

    @property
    def memory_limit(self) -> int | None:
        """Bytes that its process may take."""
        return self._options.memory_limit

    @property
    def pid(self) -> int | None:
        """Number of the process, None while there is none."""
        return self._process.pid if self._process is not None and self._process.alive else None

    def open(self, item: pystac.Item) -> IsolatedModel:
        """Start the worker, and return the model of an item that runs in it."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return IsolatedModel(item, self._description, self)

    def start(self) -> None:
        """Start the worker and let it load the model."""
        with self._lock:
            self._twice(lambda _: None)

    @property
    def opened(self) -> Opened:
        """The model, as the worker that was started last told of its file."""
        return Opened(
            None,
            self.run,
            exactly=self.run_exactly,
            parallel=True,  # it has a lock of its own, for what else a worker is asked
            **{name: _frozen(value) for name, value in self._interface.items()},
        )

    def run(self, arrays: Arrays) -> Arrays:
        """Run the model, by the names of its file.

        Raises
        ------
        WorkerError
            If the worker dies or hangs, and the one started in its place does too.
        """
        with self._lock:
            found: Arrays = self._twice(lambda process: self._run(process, arrays))
            return found

    def run_exactly(self, arrays: Arrays) -> Arrays:
        """Run the model as its framework computes it; see :class:`modelstac.registry.runtimes.opened.Opened`."""
        with self._lock:
            found: Arrays = self._twice(lambda process: self._run(process, arrays, exactly=True))
            return found

    def save(self, form: str, path: Path, shape: Sequence[int], open_axes: Sequence[int]) -> dict[str, str]:
        """Let the worker save the model anew into a file; see :func:`modelstac.registry.isolated.saving.save`."""
        request = {"form": form, "path": str(path), "shape": list(shape), "open_axes": list(open_axes)}
        with self._lock:
            saved: dict[str, str] = self._twice(lambda process: process.ask("save", request, timeout=self._timeout))
            return saved

    def close(self) -> None:
        """End the worker and remove what was shared with it."""
        self._end()

    def _run(self, process: WorkerProcess, arrays: Arrays, *, exactly: bool = False) -> Arrays:
        size = sum(array.nbytes for array in arrays.values())
        request = {**self._given.put(arrays), "room": self._found.reserve(size), "exactly": exactly}
        answer = process.ask("predict", request, timeout=self._timeout)
        if not answer["there"]:
            room = {"room": self._found.reserve(answer["size"])}
            answer = process.ask("result", room, timeout=self._timeout)
        return self._found.take(answer["arrays"])

    def _twice(self, action: Callable[[WorkerProcess], Any]) -> Any:
        first: _EndedError | None = None
        while True:
            try:
                return action(self._ready())
            except _EndedError as error:
                if first is not None:
                    limit = self.memory_limit
                    memory = "" if limit is None else f", or {MEMORY_LIMIT} (now {limit:,} bytes)"
                    raise WorkerError(
                        f"{error}; it was started again, after {first}: try a smaller batch, or set {TIMEOUT} higher "
                        f"(now {self._timeout:g} s){memory}"
                    ) from error
                first = error
            except WorkerError as error:
                if self.memory_limit is None or not _NO_MEMORY.search(str(error)):
                    raise
                raise WorkerError(
                    f"{self._what} may take {self.memory_limit:,} bytes of memory and wants more ({str(error)[:300]}): "
                    f"try a smaller batch, or a higher memory limit"
                ) from error

    def _ready(self) -> WorkerProcess:
        if self._process is not None and self._process.alive:
            return self._process
        _close_all(self._running)
        task = f"start {self._what}"
        self._report(Started(task))
        process = self._started()
        self._running.append(process)
        try:
            self._load(process)
        except BaseException:
            process.kill()
            raise
        self._process = process
        self._report(Finished(task))
        return process

    def _started(self) -> WorkerProcess:
        root = Path(program.__file__).parents[2]
        mine = {name: os.environ[name] for name in PASSED if name in os.environ}
        # PyTorch and TensorFlow have threads of their process only, and this one is the model's own.
        count = self._options.threads
        threads = {} if count is None else dict.fromkeys(THREADS, str(count))
        limit = [] if self.memory_limit is None else [str(self.memory_limit)]
        places = {name: str(self._folder) for name in ("HOME", "TMPDIR", "TEMP", "TMP")}
        backend = {} if self._description.backend is None else {"KERAS_BACKEND": self._description.backend}
        fixed = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUTF8": "1"}
        return WorkerProcess(
            [str(self.environment.interpreter), "-I", "-B", program.__file__, str(root), *limit],
            environment=mine | telemetry.said() | threads | places | backend | fixed,
            log=self._folder / "worker.log",
            what=self._what,
            failure=WorkerError,
            ended=_EndedError,
            folder=self._folder,
        )

    def _load(self, process: WorkerProcess) -> None:
        import numpy as np

        artifact = self._artifact()
        # One after the other: the graph, and what lies beside it.
        parts = [np.frombuffer(data, np.uint8) for data in (artifact.data, *artifact.beside.values())]
        given = self._given.put({"file": parts[0] if len(parts) == 1 else np.concatenate(parts)})
        del parts
        if self._rebuilt is not None:
            weights = {"memory": given["memory"], "size": len(artifact.data), **self._rebuilt}
            del artifact  # the worker has it, too
            self._interface = process.ask("rebuild", weights, report=self._report, timeout=self._timeout)
            self._given.close()
            return
        request = {
            "artifact": {
                "memory": given["memory"],
                "size": len(artifact.data),
                "beside": artifact.lengths,
                "sha256": artifact.sha256,
                "item_id": artifact.item_id,
                "path": str(artifact.path),
                "artifact_type": self._artifact_type,
            },
            "description": self._description.model_dump(mode="json") | {"id": self._description.id},
            "policy": self._policy.to_dict(),
            "options": asdict(self._options),
        }
        del artifact
        self._interface = process.ask("load", request, report=self._report, timeout=self._timeout)
        self._given.close()  # a model is much larger than what it is given


def _close_own(stack: contextlib.ExitStack, pid: int) -> None:
    """Close what this process made; a forked one leaves its parent's alone, and holds on to what would close it."""
    if pid == os.getpid():
        stack.close()
    else:
        _INHERITED.append(stack)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _close_all(processes: list[WorkerProcess]) -> None:
    while processes:
        processes.pop().close()
