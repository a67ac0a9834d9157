"""MLflow's registry on sqlite, in an environment of its own: ``python registering_peers.py VERSIONS TURNS``."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def median(run: Callable[[int], Any], turns: int) -> float:
    times = []
    for turn in range(turns):
        began = time.perf_counter()
        run(turn)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main(versions: int, turns: int) -> None:
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

    found = {"register": median(register, versions)}
    assert len(client.search_model_versions("tags.group = '7'")) == len(range(7, versions, 20))
    found["search"] = median(lambda turn: client.search_model_versions(f"tags.group = '{turn % 20}'"), turns)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
