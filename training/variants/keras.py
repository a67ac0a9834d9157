"""Training jobs on Keras: one ``.keras`` file of Keras' own layers, without optimiser."""

from __future__ import annotations

import importlib
import os
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.items.versions import semver
from modelstac.registry.runtimes.backends import without_tensorflow
from modelstac.training.architecture import Spec, architecture_of, while_training
from modelstac.training.fitting.fit_keras import fit_model
from modelstac.training.fitting.loop import fit_learner
from modelstac.training.variants.same_bytes import same_bytes
from modelstac.training.variants.variant import Trained

if TYPE_CHECKING:
    from modelstac.catalog.messages import Report
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fitting.checkpoints import Checkpoints
    from modelstac.training.fitting.execution import Execution
    from modelstac.training.fitting.fit import FitSpec
    from modelstac.training.fitting.history import History
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
    how: dict[str, Any] = {"checkpoints": checkpoints, "execution": execution, "report": report}
    fitted = _fitted_by_torch if keras.config.backend() == "torch" else _fitted
    with _settings(execution), _device(execution):
        weights, history = fitted(while_training(spec), windows, preparation, fit, **how)
        # Never compiled, and float32 whatever it was trained in: what is published needs neither loss nor moments.
        model = _build(spec, "float32")
        architecture_of(spec).module("keras").set_weights(model, weights)

    def forecast(values: NDArray[np.float32]) -> NDArray[np.float32]:
        with _settings(execution):
            result: NDArray[np.float32] = model.predict_on_batch(values[..., None])[..., 0]
        return result

    def save(path: Path) -> None:
        with without_tensorflow():
            model.save(path)
        same_bytes(path)

    computed = execution.recorded(_device_name(execution), _libraries())
    return Trained(forecast, save, history, computed | {"threads": _threads(execution)})


def _settings(execution: Execution) -> AbstractContextManager[Any]:
    """Set threads, precision and determinism of the backend."""
    if keras.config.backend() == "torch":
        from modelstac.training.fitting.devices_torch import settings

        return settings(execution)
    import tensorflow as tf

    with suppress(RuntimeError):  # it computes already, and cannot change any more: what it does is recorded
        tf.config.threading.set_intra_op_parallelism_threads(execution.threads)
        tf.config.threading.set_inter_op_parallelism_threads(execution.threads)
    tf.config.experimental.enable_tensor_float_32_execution(execution.tf32)
    if execution.deterministic:
        keras.utils.set_random_seed(0)  # which TensorFlow wants before; nothing here draws from it
        tf.config.experimental.enable_op_determinism()
    return nullcontext()


def _threads(execution: Execution) -> int:
    """Give the number of threads that were computed with."""
    if keras.config.backend() == "torch":
        return execution.threads
    import tensorflow as tf

    return int(tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1)


def _device_name(execution: Execution) -> str:
    """Say on what it was computed where ``auto`` was asked for."""
    if execution.device != "auto":
        return execution.device
    if keras.config.backend() == "torch":
        from modelstac.training.fitting.devices_torch import find_device

        return str(find_device(execution))
    import tensorflow as tf

    return "cuda" if tf.config.list_physical_devices("GPU") else "cpu"


def _libraries() -> dict[str, str]:
    backend = keras.config.backend()
    return {"keras": keras.__version__, backend: str(importlib.import_module(backend).__version__)}


def _device(execution: Execution) -> AbstractContextManager[Any]:
    """Compute where it was asked for; Keras itself finds a GPU where nothing was."""
    if execution.device == "auto":
        return nullcontext()
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        if execution.devices > 1:
            return nullcontext()  # the strategy places things
        execution.must_find(len(tf.config.list_physical_devices("GPU")), f"TensorFlow {tf.__version__}")
    else:
        from modelstac.training.fitting.devices_torch import find_device

        find_device(execution)
    scope: AbstractContextManager[Any] = keras.device(execution.device.replace("cuda", "gpu"))
    return scope


def _fitted(
    spec: Spec, windows: Windows, preparation: Preparation, fit: FitSpec, *, execution: Execution, **how: Any
) -> tuple[Weights, History]:
    """Build the Keras model, start it from the architecture's initial weights, fit it and give its weights."""
    architecture = architecture_of(spec)
    module = architecture.module("keras")

    def build() -> Any:
        model = _build(spec, _POLICIES[fit.precision])
        module.set_weights(model, architecture.initial(spec, fit.seed))
        return model

    if execution.devices == 1:
        model = build()
        history = fit_model(model, windows, preparation, fit, **how)
    else:
        from modelstac.training.fitting.parallel_keras import MirroredLearner, strategy_of

        learner = MirroredLearner(build, fit, preparation, strategy_of(execution))
        history, model = fit_learner(learner, windows, preparation, fit, **how), learner.model
    return module.get_weights(model), history


def _fitted_by_torch(
    spec: Spec, windows: Windows, preparation: Preparation, fit: FitSpec, **how: Any
) -> tuple[Weights, History]:
    """Fit the same function in native PyTorch, from the same weights, and give its weights.

    Keras on PyTorch runs a recurrence step by step in Python and its convolutions channels last, both of which
    PyTorch itself does better. Weights move exactly, so what is saved is what plain Keras would load and compute.
    """
    from modelstac.training.variants import torch as variant_torch

    model, history = variant_torch.fitted(spec, windows, preparation, fit, **how)
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
