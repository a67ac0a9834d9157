"""MLflow's own server and client in one process of its own environment, doing what the lines of its input ask for.

It logs a model of each flavour, prints where they are, and then loads what it is told to.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "GIT_PYTHON_REFRESH": "quiet"}
os.environ |= {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def serve(folder: Path) -> str:
    """Run the server in a process of its own, with its database and files in a folder, and return its address."""
    reads, writes = os.pipe()
    if os.fork():
        os.close(writes)
        with os.fdopen(reads) as told:
            return f"http://127.0.0.1:{told.readline().strip()}"
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # ends with whoever asked for it
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    from mlflow.server import app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    with os.fdopen(writes, "w") as tell:
        tell.write(f"{server.server_port}\n")
    server.serve_forever()
    raise SystemExit


def log(url: str) -> dict[str, str]:
    """Log a model of each flavour; return the run of each."""
    import keras
    import lightgbm
    import mlflow
    import numpy as np
    import onnx
    import torch
    import xgboost
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("eo")
    x = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype("float32")
    first = np.moveaxis(x, -1, 1).copy()
    import pandas as pd

    table = pd.DataFrame(x.reshape(-1, 3)[:40], columns=["B02", "B03", "B04"])
    truth = (table["B02"] > 0.5).astype(int)
    entry = keras.Input((None, None, 3))
    net = keras.Model(entry, keras.layers.Conv2D(2, 1, activation="softmax")(entry))
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.Softmax(1))
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, 1, ["n", 3, 8, 8]) for name in "xy"]
    opset = [onnx.helper.make_opsetid("", 17)]
    graph = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=opset)
    graph.ir_version = 8
    boosted = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(table, truth)
    trees = lightgbm.train({"objective": "binary", "verbosity": -1, "num_leaves": 3}, lightgbm.Dataset(table, truth), 2)
    linear = LogisticRegression().fit(table, truth)
    shape = infer_signature(x, net.predict(x, verbose=0))
    columns = infer_signature(table, truth)
    plain: dict[str, Any] = {"pip_requirements": ["tensorflow-cpu==2.19.1"]}
    flavours: dict[str, Any] = {
        "keras": lambda: mlflow.keras.log_model(
            net, name="model", registered_model_name="land-cover", signature=shape, **plain
        ),
        "pytorch": lambda: mlflow.pytorch.log_model(
            module,
            name="model",
            input_example=first,
            signature=infer_signature(first, first[:, :2]),
            serialization_format="pt2",
            **plain,
        ),
        "pickled": lambda: mlflow.pytorch.log_model(module, name="model", serialization_format="pickle", **plain),
        "onnx": lambda: mlflow.onnx.log_model(graph, name="model", signature=infer_signature(first, first), **plain),
        "sklearn": lambda: mlflow.sklearn.log_model(
            linear, name="model", signature=columns, input_example=table[:5], **plain
        ),
        "xgboost": lambda: mlflow.xgboost.log_model(boosted, name="model", signature=columns, **plain),
        "lightgbm": lambda: mlflow.lightgbm.log_model(trees, name="model", signature=columns, **plain),
    }
    runs = {}
    for name, put in flavours.items():
        with mlflow.start_run() as run:
            mlflow.log_params({"learning rate": 0.1, "epochs": 3})
            mlflow.log_metric("mIoU", 0.7)
            mlflow.set_tags({"team": "eo", "license": "CC-BY-4.0"})
            put()
        runs[name] = run.info.run_id
    with mlflow.start_run() as run:
        mlflow.log_metric("mIoU", 0.1)
    runs["empty"] = run.info.run_id
    mlflow.MlflowClient().set_registered_model_alias("land-cover", "champion", "1")
    return runs


def answer(asked: dict[str, Any]) -> Any:
    """Run a model of the registry on an array, by MLflow's own way of loading; or say what it says of a version."""
    import mlflow
    import numpy as np

    if asked["what"] == "predict":
        found = mlflow.pyfunc.load_model(asked["uri"]).predict(np.asarray(asked["array"], "float32"))
        found = next(iter(found.values())) if isinstance(found, dict) else found
        return np.asarray(found).tolist()
    client = mlflow.MlflowClient()
    version = client.get_model_version(asked["name"], asked["version"])
    data = client.get_run(version.run_id).data
    return {"tags": version.tags, "metrics": data.metrics, "params": data.params, "description": version.description}


if __name__ == "__main__":
    said, sys.stdout = sys.stdout, sys.stderr  # what frameworks print is no answer
    address = serve(Path(sys.argv[1]))
    print(json.dumps({"url": address, "runs": log(address)}), file=said, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=said, flush=True)
