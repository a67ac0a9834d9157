"""Opens a whole-model HDF5 file by the Keras that wrote it, runs it, and saves the graph that it computes.

It runs in an environment that holds TensorFlow and nothing of ours, by any Python from 3.7.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

OPEN = 64  # length of an axis that the model leaves open: halved six times, it is whole


def work(request: Any, given: Any, _root: str) -> Any:
    """Load, run, and save where that is asked."""
    keras = importlib.import_module(request["keras"])
    model = keras.models.load_model(request["path"], compile=False)
    if not given:
        given = [_random(tensor, number) for number, tensor in enumerate(model.inputs)]
    found = _flat(model(given if len(given) > 1 else given[0], training=False))
    if request.get("save"):
        _save(model, request["save"])
    said = {
        "keras": getattr(keras, "__version__", ""),
        "inputs": [tensor.name.split(":")[0] for tensor in model.inputs],
        "outputs": list(getattr(model, "output_names", [])),
    }
    return said, given, [np.asarray(one) for one in found]


def _random(tensor: Any, seed: int) -> Any:
    """Give small and larger numbers, of both signs and of one; of whole numbers 0 and 1."""
    dtype = str(getattr(tensor.dtype, "name", tensor.dtype))
    shape = [OPEN if length is None else int(length) for length in tuple(tensor.shape)[1:]]
    draw = np.random.RandomState(seed)
    if "int" in dtype or dtype == "bool":
        return draw.randint(0, 2, [4, *shape]).astype(dtype)
    return np.concatenate([draw.normal(size=[2, *shape]), draw.uniform(0, 5, size=[2, *shape])]).astype(dtype)


def _flat(found: Any) -> list[Any]:
    if isinstance(found, dict):
        return [found[name] for name in sorted(found)]
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _save(model: Any, folder: str) -> None:
    """Save what it computes as a SavedModel: its weights and one signature, nothing of Keras' own."""
    tf = importlib.import_module("tensorflow")
    names = [tensor.name.split(":")[0].replace("/", "_") for tensor in model.inputs]
    outputs = list(model.output_names)
    module = tf.Module()
    module.weights = model.weights

    def run(**arrays: Any) -> Any:
        parts = [arrays[name] for name in names]
        return dict(zip(outputs, _flat(model(parts if len(parts) > 1 else parts[0], training=False))))  # noqa: B905

    specs = {n: tf.TensorSpec([None, *t.shape[1:]], t.dtype, n) for n, t in zip(names, model.inputs)}  # noqa: B905
    module.run = tf.function(run)
    tf.saved_model.save(module, folder, {"serving_default": module.run.get_concrete_function(**specs)})


if __name__ == "__main__":
    asking: Any = importlib.import_module("asking")

    asking.serve(work)
