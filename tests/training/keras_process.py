"""Runs Keras in a process of its own, because a process has one Keras backend.

As a program: ``KERAS_BACKEND=… python keras_process.py IN.npz OUT.npz`` builds, for every case in IN, the Keras model,
moves the weights in and out again and computes with it in inference and in training mode.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

import modelstac

BACKENDS = ("tensorflow", "torch")
TRAINING_STEPS = 3


def run(backend: str, *arguments: object, program: Path = Path(__file__), network: bool = False, **more: str) -> str:
    """Run ``program`` with Keras on ``backend``, without a network unless it is asked for; give what it printed."""
    from tests import no_network, prepared  # not at the top: this file is a program, too, which finds no tests

    source = str(Path(modelstac.__file__).parent.parent)
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": source, "TF_CPP_MIN_LOG_LEVEL": "3"} | more
    done = prepared.run([program, *arguments], environment=environment, timeout=600, network=network)
    assert done.returncode == 0, done.stderr
    assert no_network.MARK not in done.stderr, done.stderr
    return done.stdout


def main(source: Path, target: Path) -> None:
    import keras

    from modelstac.registry.runtimes.backends import without_tensorflow
    from modelstac.training.architecture import architecture_of, read_spec

    given = dict(np.load(source))
    found: dict[str, np.ndarray] = {"backend": np.array(keras.backend.backend())}
    for case in sorted({name.split("|")[0] for name in given}):
        spec = read_spec(json.loads(str(given[f"{case}|spec"])))
        adapter = architecture_of(spec).module("keras")
        weights = {name.split("|")[2]: value for name, value in given.items() if name.startswith(f"{case}|weights|")}
        model = adapter.build(spec)
        adapter.set_weights(model, weights)
        found[f"{case}|parameters"] = np.array(model.count_params())
        found[f"{case}|trained"] = np.array(sum(np.prod(variable.shape) for variable in model.trainable_variables))
        found.update({f"{case}|back|{name}": value for name, value in adapter.get_weights(model).items()})
        if f"{case}|x" not in given:
            continue
        x = given[f"{case}|x"]
        found[f"{case}|inference"] = keras.ops.convert_to_numpy(model(x))
        file = target.with_suffix(".keras")
        with without_tensorflow():
            model.save(file)
        loaded = keras.saving.load_model(file, safe_mode=True)
        found[f"{case}|loaded"] = keras.ops.convert_to_numpy(loaded(x))
        for _ in range(TRAINING_STEPS):
            found[f"{case}|training"] = keras.ops.convert_to_numpy(model(x, training=True))
        found.update({f"{case}|after|{name}": value for name, value in adapter.get_weights(model).items()})
    np.savez(target, **found)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
