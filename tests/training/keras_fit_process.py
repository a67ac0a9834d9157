"""As a program: ``KERAS_BACKEND=… python keras_fit_process.py DATA.npz OUT.json`` fits each case twice with Keras."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TWICE = ("adam",)


def main(source: Path, target: Path) -> None:
    import keras

    from modelstac.training.architectures import convlstm_keras
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fitting import fit_keras
    from modelstac.training.fitting.fit import FitSpec
    from modelstac.training.spec import ConvLSTMSpec
    from modelstac.training.weights import initial_weights

    given = dict(np.load(source))
    spec = ConvLSTMSpec.from_dict(json.loads(str(given["spec"])))
    windows = Windows(given["rates"], given["time"], given["starts"], spec.frames, spec.frames, 5)
    preparation = Preparation(rows=None, columns=None, scale=float(given["scale"]))
    given_frames = preparation.inputs_to_model(windows.inputs(np.arange(2)))[..., None]
    found: dict[str, object] = {"backend": keras.backend.backend()}
    for case, fields in json.loads(str(given["fits"])).items():
        fit = FitSpec.from_dict(fields)
        runs = []
        for _ in range(2 if case in TWICE else 1):
            model = convlstm_keras.build(spec)
            convlstm_keras.set_weights(model, initial_weights(spec, fit.seed))
            history = fit_keras.fit_model(model, windows, preparation, fit)
            weights = convlstm_keras.get_weights(model)
            validation = [epoch.validation_loss for epoch in history.epochs]
            weights = {name: w.tolist() for name, w in weights.items()}
            forecast = keras.ops.convert_to_numpy(model(given_frames))
            found_now = {"losses": history.losses, "validation": validation, "weights": weights}
            runs.append(found_now | {"forecast": forecast[..., 0].tolist()})
        found[case] = runs
    fit = FitSpec.from_dict(json.loads(str(given["fits"]))["validated"])
    with tempfile.TemporaryDirectory() as folder:
        found["resumed"] = resumed(spec, windows, preparation, fit, Path(folder))
    target.write_text(json.dumps(found))


def resumed(spec: Any, windows: Any, preparation: Any, fit: Any, folder: Path) -> dict[str, object]:
    """Fit with an interruption in every epoch."""
    from modelstac.catalog.messages import Measured
    from modelstac.training.architectures import convlstm_keras
    from modelstac.training.fitting import fit_keras
    from modelstac.training.fitting.checkpoints import Checkpoints
    from modelstac.training.weights import initial_weights

    stops = [2, 3, 5]

    def interrupt(message: object) -> None:
        if isinstance(message, Measured) and stops and message.step == stops[0]:
            stops.pop(0)
            raise InterruptedError

    while True:
        model = convlstm_keras.build(spec)
        convlstm_keras.set_weights(model, initial_weights(spec, fit.seed))
        checkpoints = Checkpoints(folder, key="run", steps=1)
        try:
            history = fit_keras.fit_model(model, windows, preparation, fit, checkpoints=checkpoints, report=interrupt)
        except InterruptedError:
            continue
        weights = {name: value.tolist() for name, value in convlstm_keras.get_weights(model).items()}
        return {"losses": history.losses, "weights": weights, "interruptions": 3 - len(stops)}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
