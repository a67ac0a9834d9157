"""Processes beside this one: one for each Keras backend that this process does not run, and those of public tools.

A process has one Keras backend for life. So a Keras model runs here only if this process runs its backend already;
otherwise it is loaded, converted and run by a worker (:mod:`modelstac.exporters.worker`), started once and kept.

Public converters, and the runtimes of what they wrote, are programs in C++ that may end their process. They run in
workers, too: an end costs the worker, is an error like any other, and the next request starts another.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np
import pystac
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.messages import Report, ignore
from modelstac.exporters.conversion import EXPORTED, REBUILT, Conversion
from modelstac.exporters.layers import Layer
from modelstac.exporters.routes import Edge
from modelstac.exporters.steps import run_step
from modelstac.registry.isolated.processes import WorkerProcess
from modelstac.registry.loading import load
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import Arrays, Signature
from modelstac.registry.runtimes.backends import running_backend
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

TIMED_RUNS = 5
RUNTIMES = "runtimes"
"""The worker that needs no Keras."""
HOMES = MappingProxyType({"saved-model": "tensorflow", "torch": "torch", "torch-export": "torch"})
"""Workers that have imported already what reads a format."""
COMPILED = frozenset({"onnx", "litert", "openvino"})
"""Formats that a library in C++ reads, compiles and runs."""


class Workers:
    """The processes of one or several jobs; use it as a context manager, so that they end with it.

    Parameters
    ----------
    policy
        What of the models may run code.
    """

    def __init__(self, policy: TrustPolicy = DEFAULT_POLICY) -> None:
        self._policy = policy
        self._workers: dict[str, WorkerProcess] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="modelstac-")

    def convert(
        self, edge: Edge, item: pystac.Item, folder: Path, options: Mapping[str, Any], *, report: Report = ignore
    ) -> Conversion:
        """Convert along one edge, where its Keras backend is; see :func:`run_step`.

        Raises
        ------
        ConversionError
            If the converter fails, or the process that runs it is killed.
        """
        foreign = edge.method == EXPORTED
        if not isinstance(edge.convert, str) or (not foreign and edge.backend in {None, running_backend()}):
            return run_step(edge, item, folder, options, report=report, opener=partial(load, policy=self._policy))
        worker = self._worker(_place(edge))
        if foreign and edge.target in COMPILED:
            self._worker(RUNTIMES)  # where the result is run: it starts meanwhile
        fields = {name: getattr(edge, name) for name in ("source", "target", "convert", "backend", "packages")}
        request = {"edge": fields, "item": plain(item), "folder": str(folder), "options": dict(options)}
        request["policy"] = self._policy.to_dict()
        return Conversion.from_json(worker.ask("convert", request, report=report))

    def prepare(self, item: pystac.Item, edge: Edge) -> None:
        """Let a worker load a model that is to run there, while another converts it along an edge."""
        home = self._home(item)
        if home is not None and isinstance(edge.convert, str) and home != _place(edge):
            self._worker(home).tell("prepare", {"item": plain(item), "policy": self._policy.to_dict()})

    def open(self, item: pystac.Item, *, report: Report = ignore) -> Model | RemoteModel:
        """Load a model where it can run: here, or in the worker of its backend."""
        home = self._home(item)
        return load(item, policy=self._policy, report=report) if home is None else self._far(home, item, report)

    def _home(self, item: pystac.Item) -> str | None:
        """Name the worker in which a model is to run; None for this process."""
        description = read_item(item)
        if description.format in COMPILED and description.route and description.route[-1].method != REBUILT:
            return RUNTIMES
        # A SavedModel needs TensorFlow, which a worker may have imported by now.
        # A Keras file that names no backend counts as one of TensorFlow in the graph of conversions.
        unnamed = description.format == "keras" and description.backend is None
        backend = "tensorflow" if unnamed or description.format == "saved-model" else description.backend
        home = HOMES.get(description.format)
        if backend is None and home in self._workers and home not in sys.modules:
            return home
        near = description.format == "saved-model" and backend not in self._workers
        return None if near or backend in {None, running_backend()} else backend

    def close(self) -> None:
        """End all processes."""
        while self._workers:
            self._workers.popitem()[1].close()
        self._folder.cleanup()

    def _far(self, name: str, item: pystac.Item, report: Report) -> RemoteModel:
        worker = self._worker(name)
        number, outputs = worker.ask("load", {"item": plain(item), "policy": self._policy.to_dict()}, report=report)
        return RemoteModel(worker, int(number), Path(self._folder.name), item, outputs)

    def _worker(self, name: str) -> WorkerProcess:
        if (known := self._workers.get(name)) is None or not known.alive:
            self._workers[name] = _start(name, Path(self._folder.name))
        return self._workers[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def latency(run: Callable[[Arrays], Any], inputs: Arrays, runs: int = TIMED_RUNS) -> float:
    """Give the median time of a prediction in seconds, after one that warms up."""
    run(inputs)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run(inputs)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def measured_latency(model: Model | RemoteModel, inputs: Arrays, runs: int = TIMED_RUNS) -> float:
    """Give the latency of a model where it runs, without the way to its process."""
    return model.latency(inputs, runs) if isinstance(model, RemoteModel) else latency(model.run, inputs, runs)


def write_arrays(path: Path | str, arrays: Arrays) -> list[str]:
    """Write arrays into a file for another process, and give their names in the order of the file."""
    np.savez(path, **{f"{number}": array for number, array in enumerate(arrays.values())})
    return list(arrays)


def read_arrays(path: Path | str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_arrays` wrote, by the names that it gave."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[f"{number}"] for number, name in enumerate(names)}


def plain(item: pystac.Item) -> dict[str, Any]:
    """Give an item as JSON types for another process, without the links that lead into its catalog."""
    value: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    value["links"] = [link for link in value["links"] if link["rel"] in {"derived_from", "license"}]
    return value


def _place(edge: Edge) -> str:
    """Name the worker in which a conversion runs, unless it runs in this process."""
    return edge.backend or HOMES.get(edge.source, RUNTIMES)


def _start(name: str, folder: Path) -> WorkerProcess:
    # It sees the packages that we see, however we came to see them.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if name != RUNTIMES:
        environment["KERAS_BACKEND"] = name
    return WorkerProcess(
        [sys.executable, "-m", "modelstac.exporters.worker"],
        environment=environment,
        log=folder / f"{name}.log",
        what=f"the process that runs {'public tools' if name == RUNTIMES else f'Keras on {name}'}",
        failure=ConversionError,
    )


class RemoteModel:
    """A model in a worker."""

    def __init__(
        self, worker: WorkerProcess, number: int, folder: Path, item: pystac.Item, outputs: Sequence[str]
    ) -> None:
        self.item, self.description = item, read_item(item)
        # What the file gives, without what the item lists and only a function after the model makes.
        self.signature = Signature.of(self.description).without_made(self.description, outputs)
        self._worker, self._number = worker, number
        place = f"{worker.pid}-{number}.npz"  # each worker counts for itself
        self._given, self._found = folder / f"given-{place}", folder / f"found-{place}"

    def run(self, inputs: Arrays, /, *, finite: bool = True) -> dict[str, NDArray[Any]]:
        """Run the model in its process."""
        return self._arrays("run", self._inputs(inputs) | {"finite": finite})

    def run_exactly(self, inputs: Arrays, /, *, finite: bool = True) -> dict[str, NDArray[Any]]:
        """Run the model in its process, as its framework computes it."""
        return self._arrays("run", self._inputs(inputs) | {"finite": finite, "exactly": True})

    def known_layers(self) -> tuple[Layer, ...]:
        """List its layers; see :func:`modelstac.exporters.layers.known_layers`."""
        return tuple(Layer(**fields) for fields in self._worker.ask("known_layers", {"number": self._number}))

    def layers(self, inputs: Arrays, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Run the model in its process; see :func:`modelstac.exporters.layers.layers`."""
        return self._arrays("layers", self._inputs(inputs) | {"wanted": list(wanted)})

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Give its weights; see :func:`modelstac.exporters.tensors.tensors`."""
        return self._arrays("tensors", {})

    def latency(self, inputs: Arrays, runs: int = TIMED_RUNS) -> float:
        """Measure the model in its process."""
        return float(self._worker.ask("latency", {"number": self._number, "runs": runs} | self._inputs(inputs)))

    def _inputs(self, arrays: Arrays) -> dict[str, Any]:
        return {"inputs": str(self._given), "names": write_arrays(self._given, arrays)}

    def _arrays(self, verb: str, request: dict[str, Any]) -> dict[str, NDArray[Any]]:
        names = self._worker.ask(verb, {"number": self._number, "outputs": str(self._found)} | request)
        return read_arrays(self._found, names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker.alive:  # one that ended has let go of it, and the error that says so is on its way
            self._worker.ask("close", {"number": self._number})
