"""As a program: ``KERAS_BACKEND=… python keras_fit_process.py DATA.npz OUT.json`` fits each case twice with Keras."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def main(source: Path, target: Path) -> None:
    import keras

    from modelstac.training import fit_keras
    from modelstac.training.architectures import convlstm_keras
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fit import FitSpec
    from modelstac.training.spec import ConvLSTMSpec
    from modelstac.training.weights import initial_weights

    given = dict(np.load(source))
    spec = ConvLSTMSpec.from_dict(json.loads(str(given["spec"])))
    windows = Windows(given["rates"], given["time"], given["starts"], spec.frames, spec.frames, 5)
    preparation = Preparation(rows=None, columns=None, scale=float(given["scale"]))
    found: dict[str, object] = {"backend": keras.backend.backend()}
    for case, fields in json.loads(str(given["fits"])).items():
        fit = FitSpec.from_dict(fields)
        runs = []
        for _ in range(2):
            model = convlstm_keras.build(spec)
            convlstm_keras.set_weights(model, initial_weights(spec, fit.seed))
            history = fit_keras.fit_model(model, windows, preparation, fit)
            weights = convlstm_keras.get_weights(model)
            runs.append({"losses": history.losses, "weights": {name: w.tolist() for name, w in weights.items()}})
        found[case] = runs
    target.write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
