"""The program of a worker process: lines of JSON in, lines of JSON out; see :mod:`modelstac.exporters.workers`.

Frameworks print. So what they print goes to stderr, and the answers to where stdout was.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
import pystac

from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.messages import Message, Note
from modelstac.exporters.routes import Edge
from modelstac.exporters.steps import run_step
from modelstac.exporters.workers import latency
from modelstac.registry.load import load
from modelstac.registry.model import Model


class Worker:
    """Answers requests, one method a verb; keeps the models that it loaded."""

    def __init__(self, answers: IO[str]) -> None:
        self._answers = answers
        self._models: dict[int, Model] = {}
        self._count = 0

    def convert(self, edge: dict[str, Any], item: dict[str, Any], folder: str, options: dict[str, Any]) -> Any:
        """Convert along one edge."""
        known = Edge(**{**edge, "packages": tuple(edge["packages"])})
        return run_step(known, pystac.Item.from_dict(item), Path(folder), options, report=self.heard).to_json()

    def load(self, item: dict[str, Any]) -> int:
        """Load a model and give its number."""
        self._count += 1
        self._models[self._count] = load(pystac.Item.from_dict(item), report=self.heard)
        return self._count

    def predict(self, number: int, inputs: str, outputs: str) -> None:
        """Run a model from file to file."""
        np.save(outputs, self._models[number].predict(np.load(inputs)))

    def latency(self, number: int, inputs: str) -> float:
        """Measure a model."""
        return latency(self._models[number].predict, np.load(inputs))

    def close(self, number: int) -> None:
        """Let go of a model."""
        self._models.pop(number).close()

    def heard(self, message: Message) -> None:
        """Pass notes on."""
        if isinstance(message, Note):
            self.answer(note=message.text)

    def answer(self, **content: Any) -> None:
        """Write one line."""
        self._answers.write(json.dumps(content) + "\n")
        self._answers.flush()


VERBS = ("convert", "load", "predict", "latency", "close")


def main() -> None:
    """Answer until there are no more requests."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker(answers)
    for line in sys.stdin:
        request = json.loads(line)
        verb = request.pop("verb")
        assert verb in VERBS
        try:
            worker.answer(result=getattr(worker, verb)(**request))
        except ModelStacError as error:
            worker.answer(error=type(error).__name__, message=str(error))
        except Exception as error:  # noqa: BLE001 - it is raised again where the answer is read
            worker.answer(error=type(error).__name__, message=" ".join(str(error).split()))


if __name__ == "__main__":
    main()
