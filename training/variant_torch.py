"""Training jobs on native PyTorch: weights in safetensors, with the specification in the file's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from modelstac.catalog.versions import semver
from modelstac.training.architectures import convlstm_torch
from modelstac.training.fit_torch import fit_model
from modelstac.training.variants import Trained
from modelstac.training.weights import initial_weights

if TYPE_CHECKING:
    from modelstac.catalog.messages import Report
    from modelstac.training.checkpoints import Checkpoints
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fit import FitSpec
    from modelstac.training.spec import ConvLSTMSpec

SPEC_KEY = "modelstac.spec"
"""Key of the specification, as JSON, in the metadata of the safetensors file."""


def train(
    spec: ConvLSTMSpec,
    windows: Windows,
    preparation: Preparation,
    fit: FitSpec,
    *,
    checkpoints: Checkpoints,
    report: Report,
) -> Trained:
    """Build the model, start it from ``initial_weights(spec, fit.seed)`` and fit it."""
    model = convlstm_torch.build(spec)
    convlstm_torch.set_weights(model, initial_weights(spec, fit.seed))
    history = fit_model(model, windows, preparation, fit, checkpoints=checkpoints, report=report)

    def forecast(values: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = model(torch.from_numpy(values).unsqueeze(2)).squeeze(2).numpy()
        return result

    def save(path: Path) -> None:
        save_module(model, spec, path)

    return Trained(forecast, save, history)


def save_module(model: torch.nn.Module, spec: ConvLSTMSpec, path: Path) -> None:
    """Write the weights as safetensors, with the specification in the file's metadata."""
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    # One entry only: safetensors writes several in a random order, and the same model should give the same bytes.
    save_file(tensors, path, metadata={SPEC_KEY: json.dumps(spec.to_dict())})


def versions() -> dict[str, Any]:
    """Give the version of PyTorch."""
    return {"framework_version": semver(str(torch.__version__))}
