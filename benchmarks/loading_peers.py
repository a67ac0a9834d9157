"""What a user would pick instead, in an environment of its own: ``python loading_peers.py MODEL.onnx TURNS``."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def median(run: Callable[[], Any], turns: int) -> float:
    times = []
    for _ in range(turns + 1):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def mlflow_runs(path: Path) -> dict[str, Callable[[], Any]]:
    import mlflow
    import onnx

    mlflow.set_tracking_uri(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    with mlflow.start_run():
        info = mlflow.onnx.log_model(onnx.load(path), name="model", pip_requirements=["onnxruntime"])
    mlflow.register_model(info.model_uri, "bench")
    return {
        "MLflow, models:/bench/1, pyfunc": lambda: mlflow.pyfunc.load_model("models:/bench/1"),
        "MLflow, models:/bench/1, onnx": lambda: mlflow.onnx.load_model("models:/bench/1"),
    }


def hugging_face_runs(path: Path) -> dict[str, Callable[[], Any]]:
    """Lay out a cache as the hub does, and ask for the file without the network."""
    import onnxruntime
    from huggingface_hub import hf_hub_download

    commit = "0" * 40
    repository = Path.cwd() / "hub" / "models--bench--model"
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit / "model.onnx").write_bytes(path.read_bytes())

    def hit() -> str:
        return hf_hub_download("bench/model", "model.onnx", cache_dir=repository.parent, local_files_only=True)

    def load() -> Any:
        return onnxruntime.InferenceSession(hit(), providers=["CPUExecutionProvider"])

    return {"Hugging Face cache hit alone": hit, "Hugging Face cache hit and load": load}


if __name__ == "__main__":
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    model, count = Path(sys.argv[1]), int(sys.argv[2])
    runs = {**mlflow_runs(model), **hugging_face_runs(model)}
    print(json.dumps({name: median(run, count) for name, run in runs.items()}))
