"""A training step of the variant ``keras-torch`` by Keras' own layers, and by the native module it is fitted as.

``KERAS_BACKEND=torch python -m benchmarks.keras_on_torch`` prints processor seconds of a step of one window, the two in
turns, and of a forecast, also as a loaded file makes it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

TURNS = 3


def main() -> None:
    """Measure a ConvLSTM of two layers and the U-Net of the demo."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from modelstac.training.jobs.recipes import preset

    convlstm = dataclasses.replace(preset("tiny"), filters=(16, 16), kernels=(5, 3))
    found = {"ConvLSTM": measure(convlstm, "tiny"), "U-Net": measure(preset("small"), "small")}
    print(json.dumps(found, indent=1))


def measure(spec: Any, name: str) -> dict[str, float]:
    """Give the median processor seconds of a step and of a forecast, by each way."""
    import numpy as np
    import torch

    from modelstac.registry.runtimes.keras_on_torch import quick
    from modelstac.training.architecture import architecture_of
    from modelstac.training.fitting.batches import Batch
    from modelstac.training.fitting.fit_keras import KerasLearner
    from modelstac.training.fitting.fit_torch import TorchLearner
    from modelstac.training.jobs.recipes import RECIPES

    fit, preparation = RECIPES[name]
    architecture = architecture_of(spec)
    modules = {kind: architecture.module(kind) for kind in ("keras", "torch")}
    models = {kind: module.build(spec) for kind, module in modules.items()}
    for kind, module in modules.items():
        module.set_weights(models[kind], architecture.initial(spec, 0))
    random = np.random.default_rng(0)
    grid = (spec.height, spec.width)
    inputs = random.random((1, spec.frames_in, *grid), np.float32)
    targets = random.random((1, spec.frames_out, *grid), np.float32)
    rest: dict[str, Any] = {"epoch": 1, "step": 1, "learning_rate": 1e-3, "windows": np.zeros(1, np.int64)}
    batch = Batch(number=1, **rest, inputs=inputs, targets=targets, mask=np.ones_like(targets))
    learners = {
        "keras": KerasLearner(models["keras"], fit, preparation),
        "torch": TorchLearner(models["torch"], fit, preparation),
    }
    calls: dict[str, Callable[[], Any]] = {
        f"{kind} step": lambda n=one: n.step(batch) for kind, one in learners.items()
    }
    calls["keras forecast"] = lambda: models["keras"].predict_on_batch(inputs[..., None])
    run = quick(models["keras"])

    def loaded() -> Any:
        with torch.inference_mode():
            return run([inputs[..., None]])

    calls["loaded forecast"] = loaded

    def native() -> Any:
        models["torch"].eval()
        with torch.inference_mode():
            return models["torch"](torch.from_numpy(inputs).unsqueeze(2))

    calls["torch forecast"] = native
    took: dict[str, list[float]] = {kind: [] for kind in calls}
    for turn in range(TURNS + 1):
        for kind, call in calls.items():
            began = time.process_time()
            call()
            if turn:  # the first warms up
                took[kind].append(time.process_time() - began)
    return {kind: statistics.median(seconds) for kind, seconds in took.items()}


if __name__ == "__main__":
    main()
