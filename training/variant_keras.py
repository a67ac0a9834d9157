"""Training jobs on Keras: one ``.keras`` file of Keras' own layers, without optimiser."""

from __future__ import annotations

import importlib.metadata
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.versions import semver
from modelstac.training.architecture import Spec, architecture_of
from modelstac.training.fit_keras import fit_model
from modelstac.training.variants import Trained

if TYPE_CHECKING:
    from modelstac.catalog.messages import Report
    from modelstac.training.checkpoints import Checkpoints
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.execution import Execution
    from modelstac.training.fit import FitSpec
    from modelstac.training.history import History
    from modelstac.training.weights import Weights

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


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
    with _device(execution):
        architecture = architecture_of(spec)
        module = architecture.module("keras")
        if keras.config.backend() == "torch":
            weights, history = _fitted_by_torch(
                spec, windows, preparation, fit, checkpoints=checkpoints, execution=execution, report=report
            )
        else:
            trained = _build(spec, _POLICIES[fit.precision])
            module.set_weights(trained, architecture.initial(spec, fit.seed))
            history = fit_model(trained, windows, preparation, fit, checkpoints=checkpoints, report=report)
            weights = module.get_weights(trained)
        # Never compiled, and float32 whatever it was trained in: what is published needs neither loss nor moments.
        model = _build(spec, "float32")
        module.set_weights(model, weights)

    def forecast(values: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = model.predict_on_batch(values[..., None])[..., 0]
        return result

    def save(path: Path) -> None:
        model.save(path)

    return Trained(forecast, save, history)


def _device(execution: Execution) -> AbstractContextManager[Any]:
    """Compute where it was asked for; Keras itself finds a GPU where nothing was."""
    execution.refuse_for_keras()
    if execution.device == "auto":
        return nullcontext()
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        execution.must_find(len(tf.config.list_physical_devices("GPU")), f"TensorFlow {tf.__version__}")
    else:
        from modelstac.training.devices_torch import find_device

        find_device(execution)
    scope: AbstractContextManager[Any] = keras.device(execution.device.replace("cuda", "gpu"))
    return scope


def _fitted_by_torch(
    spec: Spec,
    windows: Windows,
    preparation: Preparation,
    fit: FitSpec,
    *,
    checkpoints: Checkpoints,
    execution: Execution,
    report: Report,
) -> tuple[Weights, History]:
    """Fit the same function in native PyTorch, from the same weights, and give its weights.

    Keras on PyTorch runs a recurrence step by step in Python and its convolutions channels last, both of which
    PyTorch itself does better. Weights move exactly, so what is saved is what plain Keras would load and compute.
    """
    from modelstac.training import fit_torch
    from modelstac.training.variant_torch import started

    model = started(spec, fit)
    history = fit_torch.fit_model(
        model, windows, preparation, fit, checkpoints=checkpoints, execution=execution, report=report
    )
    return architecture_of(spec).module("torch").get_weights(model), history


def _build(spec: Spec, policy: str) -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return architecture_of(spec).module("keras").build(spec)
    finally:
        keras.config.set_dtype_policy(before)


def versions() -> dict[str, Any]:
    """Give the versions of Keras and of the backend that it runs on."""
    backend = keras.config.backend()
    package = importlib.import_module(backend)
    return {
        "framework_version": semver(keras.__version__),
        "backend": backend,
        "backend_version": semver(str(package.__version__)),
    }
