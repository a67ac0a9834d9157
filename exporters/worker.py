"""The program of a worker process; see :mod:`modelstac.exporters.workers`."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog.messages import Message, Note, Report, ignore
from modelstac.exporters.layers import known_layers, layers
from modelstac.exporters.routes import Edge
from modelstac.exporters.steps import run_step
from modelstac.exporters.tensors import tensors
from modelstac.exporters.workers import latency, read_arrays, write_arrays
from modelstac.registry.choosing.candidates import model_asset
from modelstac.registry.isolated.answers import Answers
from modelstac.registry.loading import load
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.backends import spare_beside
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

KEPT = 4
COLLECTED = (200_000, 20, 100)
"""After how many new objects Python looks for cycles: a graph is millions that stay, each looked at again and again."""


class Worker:
    """Answers requests, one method a verb; keeps the models that it loaded last, as loading and tracing take long."""

    def __init__(self, answers: Answers) -> None:
        self.heard = answers.heard
        self._models: dict[int, Model] = {}
        self._kept: dict[str, tuple[Model, tuple[Note, ...]]] = {}
        self._count = 0
        self._policy = DEFAULT_POLICY

    def convert(
        self, edge: dict[str, Any], item: dict[str, Any], folder: str, options: dict[str, Any], policy: dict[str, Any]
    ) -> Any:
        """Convert along one edge."""
        self._policy = TrustPolicy.from_dict(policy)
        known = Edge(**{**edge, "packages": tuple(edge["packages"])})
        made = run_step(known, pystac.Item.from_dict(item), Path(folder), options, report=self.heard, opener=self._open)
        return made.to_json()

    def load(self, item: dict[str, Any], policy: dict[str, Any]) -> tuple[int, list[str]]:
        """Load a model, and give its number and the names of its outputs."""
        self._policy = TrustPolicy.from_dict(policy)
        self._count += 1
        with self._open(pystac.Item.from_dict(item), report=self.heard) as model:
            self._models[self._count] = model
        return self._count, [tensor.name for tensor in model.signature.outputs]

    def prepare(self, item: dict[str, Any], policy: dict[str, Any]) -> None:
        """Load a model that will be asked for."""
        self._policy = TrustPolicy.from_dict(policy)
        with self._open(pystac.Item.from_dict(item), report=ignore):
            pass

    @contextmanager
    def _open(self, item: pystac.Item, *, report: Report) -> Iterator[Model]:
        """Give a model that is kept, with the notes of its loading, or load it; the one used longest ago goes."""
        # The file alone does not say what the model computes: the architecture of a safetensors file is in the item.
        checksum = item.assets[model_asset(item)[0]].extra_fields.get("file:checksum")
        key = json.dumps([item.id, checksum, item.properties], sort_keys=True)
        model, notes = self._kept.pop(key) if key in self._kept else self._load(item)
        self._kept[key] = (model, notes)
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]  # a model that is still numbered lives on
        for note in notes:
            report(note)
        yield model

    def _load(self, item: pystac.Item) -> tuple[Model, tuple[Note, ...]]:
        heard: list[Message] = []
        model = load(item, policy=self._policy, report=heard.append)
        return model, tuple(message for message in heard if isinstance(message, Note))

    def run(
        self, number: int, inputs: str, names: list[str], outputs: str, *, finite: bool = True, exactly: bool = False
    ) -> list[str]:
        """Run a model from file to file; give the names of its outputs, in the order of the file."""
        model = self._models[number]
        run = model.run_exactly if exactly else model.run
        return write_arrays(outputs, run(read_arrays(inputs, names), finite=finite))

    def known_layers(self, number: int) -> list[dict[str, Any]]:
        """List the layers of a model."""
        return [asdict(layer) for layer in known_layers(self._models[number])]

    def layers(self, number: int, inputs: str, names: list[str], outputs: str, wanted: list[str]) -> list[str]:
        """Run a model from file to file, and keep what its layers give; give their names, in the order of the file."""
        return write_arrays(outputs, layers(self._models[number], read_arrays(inputs, names), wanted))

    def tensors(self, number: int, outputs: str) -> list[str]:
        """Keep the weights of a model; give their names, in the order of the file."""
        return write_arrays(outputs, tensors(self._models[number]))

    def latency(self, number: int, inputs: str, names: list[str], runs: int) -> float:
        """Measure a model."""
        return latency(self._models[number].run, read_arrays(inputs, names), runs)

    def close(self, number: int) -> None:
        """Let go of a model."""
        del self._models[number]


VERBS = ("convert", "prepare", "load", "run", "known_layers", "layers", "tensors", "latency", "close")


def main() -> None:
    """Answer until there are no more requests."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    gc.set_threshold(*COLLECTED)
    spare_beside()
    answers = Answers()
    worker = Worker(answers)
    answers.serve({verb: getattr(worker, verb) for verb in VERBS})


if __name__ == "__main__":
    main()
