"""MLflow's registry on sqlite, in an environment of its own, doing what the lines on its standard input ask for."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Work = Mapping[str, Callable[[int], Any]]


def times(run: Callable[[int], Any], start: int, stop: int) -> list[tuple[float, float]]:
    """Return the seconds, and those of the processor, that each of some turns takes."""
    found = []
    for turn in range(start, stop):
        began, busy = time.perf_counter(), time.process_time()
        run(turn)
        found.append((time.perf_counter() - began, time.process_time() - busy))
    return found


def mlflow() -> Work:
    """Return what MLflow does."""
    import mlflow
    from mlflow import MlflowClient

    mlflow.set_tracking_uri(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    mlflow.set_registry_uri(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    client = MlflowClient()
    client.create_registered_model("bench")
    source = (Path.cwd() / "model").absolute()
    source.mkdir()

    def register(number: int) -> None:
        tags = {"framework": ("PyTorch", "Keras", "ONNX")[number % 3], "group": str(number % 20)}
        client.create_model_version("bench", str(source), tags=tags)

    def search(turn: int) -> None:
        assert len(client.search_model_versions(f"tags.group = '{turn % 20}'")) == 10

    return {"register": register, "search": search}


if __name__ == "__main__":
    work = mlflow()
    print("ready", flush=True)
    for line in sys.stdin:
        what, start, stop = json.loads(line)
        print(json.dumps(times(work[what], start, stop)), flush=True)
