"""As a program: ``KERAS_BACKEND=… python mirrored_process.py DATA.npz OUT.json`` fits with Keras on two devices.

On TensorFlow also on one, and with an interruption.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np


def main(source: Path, target: Path) -> None:
    import keras

    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fitting.fit import FitSpec
    from modelstac.training.spec import ConvLSTMSpec

    given = dict(np.load(source))
    spec, fit = (
        kind.from_dict(json.loads(str(given[name]))) for name, kind in (("spec", ConvLSTMSpec), ("fit", FitSpec))
    )
    windows = Windows(given["rates"], given["time"], given["starts"], spec.frames, spec.frames, 5)
    preparation = Preparation(rows=None, columns=None, scale=float(given["scale"]))
    run = on_tensorflow if keras.config.backend() == "tensorflow" else on_torch
    target.write_text(json.dumps(run(spec, windows, preparation, fit, target.parent)))


def on_torch(spec: Any, windows: Any, preparation: Any, fit: Any, _: Path) -> dict[str, Any]:
    from modelstac.catalog.messages import ignore
    from modelstac.training.fitting.checkpoints import NO_CHECKPOINTS
    from modelstac.training.fitting.execution import Execution
    from modelstac.training.variants import keras as variant_keras

    trained = variant_keras.train(
        spec, windows, preparation, fit, checkpoints=NO_CHECKPOINTS, execution=Execution("cpu", 2), report=ignore
    )
    forecast = trained.forecast(preparation.inputs_to_model(windows.inputs(np.arange(2))))
    return {"losses": trained.history.losses, "forecast": forecast.tolist()}


def on_tensorflow(spec: Any, windows: Any, preparation: Any, fit: Any, folder: Path) -> dict[str, Any]:
    from modelstac.catalog.errors import CannotRunError
    from modelstac.catalog.messages import Measured, Note
    from modelstac.training.architectures import convlstm_keras
    from modelstac.training.fitting.checkpoints import Checkpoints
    from modelstac.training.fitting.execution import Execution
    from modelstac.training.fitting.fit_keras import KerasLearner
    from modelstac.training.fitting.loop import fit_learner
    from modelstac.training.fitting.parallel_keras import MirroredLearner, strategy_of
    from modelstac.training.weights import initial_weights

    strategy = strategy_of(Execution("cpu", 2))
    start = initial_weights(spec, fit.seed)

    def build() -> Any:
        model = convlstm_keras.build(spec)
        convlstm_keras.set_weights(model, start)
        return model

    def found(learner: Any, history: Any) -> dict[str, Any]:
        weights = convlstm_keras.get_weights(learner.model)
        return {
            "losses": history.losses,
            "validation": [epoch.validation_loss for epoch in history.epochs],
            "weights": {name: value.tolist() for name, value in weights.items()},
        }

    notes = []

    def interrupt(message: object) -> None:
        if isinstance(message, Measured) and message.step == 3:
            raise InterruptedError

    def note(message: object) -> None:
        if isinstance(message, Note):
            notes.append(message.text)

    one = KerasLearner(build(), fit, preparation)
    alone = found(one, fit_learner(one, windows, preparation, fit))
    mirrored = partial(MirroredLearner, build, fit, preparation, strategy)
    checkpoints = Checkpoints(folder, key="run", steps=1)
    try:
        fit_learner(mirrored(), windows, preparation, fit, checkpoints=checkpoints, report=interrupt)
    except InterruptedError:
        two = mirrored()
    together = found(two, fit_learner(two, windows, preparation, fit, checkpoints=checkpoints, report=note))
    try:
        strategy_of(Execution("cpu", 3))
    except CannotRunError as error:
        late = str(error)
    return {
        "devices": strategy.num_replicas_in_sync,
        "start": {name: value.tolist() for name, value in start.items()},
        "one": alone,
        "two": together,
        "note": notes[0],
        "too late": late,
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
