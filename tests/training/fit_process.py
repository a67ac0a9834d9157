"""As a program: ``python fit_process.py DATA.npz CHECKPOINTS OUT.npz`` fits native PyTorch, a checkpoint every step."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from modelstac.training.architectures import convlstm_torch
from modelstac.training.data import Preparation, Windows
from modelstac.training.fitting import fit_torch
from modelstac.training.fitting.checkpoints import Checkpoints
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights


def main(source: Path, folder: Path, target: Path) -> None:
    given = dict(np.load(source))
    spec = ConvLSTMSpec.from_dict(json.loads(str(given["spec"])))
    fit = FitSpec.from_dict(json.loads(str(given["fit"])))
    windows = Windows(given["rates"], given["time"], given["starts"], spec.frames, spec.frames, 5)
    preparation = Preparation(rows=None, columns=None, scale=float(given["scale"]))
    model = convlstm_torch.build(spec)
    convlstm_torch.set_weights(model, initial_weights(spec, fit.seed))
    checkpoints = Checkpoints(folder, key="this run", steps=1)
    history = fit_torch.fit_model(model, windows, preparation, fit, checkpoints=checkpoints)
    np.savez(target, history=history.to_json(), **convlstm_torch.get_weights(model))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
