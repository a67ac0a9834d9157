"""Training jobs on Keras: one ``.keras`` file of Keras' own layers, without optimiser."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.versions import semver
from modelstac.training.architectures import convlstm_keras
from modelstac.training.fit_keras import fit_model
from modelstac.training.variants import Trained
from modelstac.training.weights import initial_weights

if TYPE_CHECKING:
    from modelstac.catalog.messages import Report
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fit import FitSpec
    from modelstac.training.spec import ConvLSTMSpec


def train(spec: ConvLSTMSpec, windows: Windows, preparation: Preparation, fit: FitSpec, *, report: Report) -> Trained:
    """Build the model, start it from ``initial_weights(spec, fit.seed)`` and fit it."""
    model = convlstm_keras.build(spec)
    convlstm_keras.set_weights(model, initial_weights(spec, fit.seed))
    history = fit_model(model, windows, preparation, fit, report=report)

    def forecast(values: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = model.predict_on_batch(values[..., None])[..., 0]
        return result

    def save(path: Path) -> None:
        # A model that was never compiled: what is published needs neither loss nor the optimiser's moments.
        fresh = convlstm_keras.build(spec)
        convlstm_keras.set_weights(fresh, convlstm_keras.get_weights(model))
        fresh.save(path)

    return Trained(forecast, save, history)


def versions() -> dict[str, Any]:
    """Give the versions of Keras and of the backend that it runs on."""
    backend = keras.config.backend()
    package = importlib.import_module(backend)
    return {
        "framework_version": semver(keras.__version__),
        "backend": backend,
        "backend_version": semver(str(package.__version__)),
    }
