"""Training jobs on native PyTorch: weights in safetensors, with the specification in the file's metadata."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from modelstac.catalog.items.versions import semver
from modelstac.training.architecture import Spec, architecture_of, while_training
from modelstac.training.fitting.devices_torch import find_device, settings
from modelstac.training.fitting.fit_torch import fit_model
from modelstac.training.fitting.parallel_torch import fit_in_processes
from modelstac.training.variants.variant import Trained

if TYPE_CHECKING:
    from modelstac.catalog.messages import Report
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fitting.checkpoints import Checkpoints
    from modelstac.training.fitting.execution import Execution
    from modelstac.training.fitting.fit import FitSpec
    from modelstac.training.fitting.history import History

SPEC_KEY = "modelstac.spec"
"""Key of the specification, as JSON, in the metadata of the safetensors file."""


def train(
    spec: Spec,
    windows: Windows,
    preparation: Preparation,
    fit: FitSpec,
    *,
    checkpoints: Checkpoints,
    execution: Execution,
    report: Report,
) -> Trained:
    """Build the model, start it from the architecture's initial weights and fit it."""
    how: dict[str, Any] = {"checkpoints": checkpoints, "execution": execution, "report": report}
    with settings(execution):
        learned, history = fitted(while_training(spec), windows, preparation, fit, **how)
    device = next(learned.parameters()).device
    model = architecture_of(spec).module("torch").build(spec).to(device).eval()
    model.load_state_dict(learned.state_dict())

    def forecast(values: NDArray[np.float32]) -> NDArray[np.float32]:
        with settings(execution), torch.inference_mode():
            frames = torch.from_numpy(values).unsqueeze(2).to(device)
            result: NDArray[np.float32] = model(frames).squeeze(2).cpu().numpy()
        return result

    def save(path: Path) -> None:
        save_module(model, spec, path)

    return Trained(forecast, save, history, execution.recorded(str(device), {"torch": str(torch.__version__)}))


def fitted(
    spec: Spec, windows: Windows, preparation: Preparation, fit: FitSpec, *, execution: Execution, **how: Any
) -> tuple[torch.nn.Module, History]:
    """Build the module, start it from the architecture's initial weights and fit it on one device or several."""
    model = started(spec, fit)
    if execution.devices == 1:
        return model, fit_model(model, windows, preparation, fit, execution=execution, **how)
    build = partial(started, spec, fit)
    history, weights = fit_in_processes(build, windows, preparation, fit, execution=execution, **how)
    model.load_state_dict(weights)
    return model.to(find_device(execution)).eval(), history


def started(spec: Spec, fit: FitSpec) -> torch.nn.Module:
    """Build the module of an architecture with the weights from which training starts."""
    architecture = architecture_of(spec)
    module = architecture.module("torch")
    model: torch.nn.Module = module.build(spec)
    module.set_weights(model, architecture.initial(spec, fit.seed))
    return model


def save_module(model: torch.nn.Module, spec: Spec, path: Path) -> None:
    """Write the weights as safetensors, with the specification in the file's metadata."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    # One entry only: safetensors writes several in a random order, and the same model should give the same bytes.
    save_file(tensors, path, metadata={SPEC_KEY: json.dumps(spec.to_dict())})


def versions() -> dict[str, Any]:
    """Give the version of PyTorch."""
    return {"framework_version": semver(str(torch.__version__))}
