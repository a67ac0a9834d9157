"""Keras: the portable ``.keras`` file, in safe mode, on whichever backend this process runs Keras on.

Import this module only after :func:`modelstac.registry.runtimes.backends.import_keras` has settled the backend.
"""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras.src.saving import saving_lib
from keras.src.saving.serialization_lib import SafeModeScope

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.registry.runtimes.keras_on_torch import quick
from modelstac.registry.trust.policy import DEFAULT_POLICY, LAMBDA

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes import Predict
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,
    options: Options,  # noqa: ARG001 - its threads and device are the process's own
) -> tuple[keras.Model, Predict]:
    """Load the archive without its optimizer, and make a quick ``predict`` of it.

    Raises
    ------
    InvalidItemError
        If Keras cannot read it.
    """
    model = read_archive(artifact, policy)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InvalidItemError(
            f"{artifact.path} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; a model has one of each"
        )
    return model, PREDICT.get(keras.config.backend(), _predict_on_any)(model)


def read_archive(artifact: Artifact, policy: TrustPolicy = DEFAULT_POLICY) -> keras.Model:
    """Read an archive that was looked into, in safe mode unless Lambda layers are trusted, and without its optimizer.

    Raises
    ------
    InvalidItemError
        If Keras cannot read it.
    """
    try:
        # The scope, because a process-wide enable_unsafe_deserialization() wins over the argument safe_mode=True.
        safe, known = LAMBDA not in policy.code, {}
        if policy.custom_objects:
            from modelstac.registry.runtimes.custom_objects import custom_objects

            known = custom_objects(artifact.data, policy, item_id=artifact.item_id)
        with SafeModeScope(safe):
            # What keras.saving.load_model calls, which takes a path only: these are the bytes that were verified.
            file = io.BytesIO(artifact.data)
            model: keras.Model = saving_lib.load_model(file, custom_objects=known, compile=False, safe_mode=safe)
            return model
    except ModelStacError:
        raise
    except Exception as error:  # Keras raises whatever its layers do on a configuration without sense
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be read by Keras {keras.__version__}: {reason}") from error


def _predict_on_tensorflow(model: keras.Model) -> Predict:
    """One traced graph for every batch; ``model.predict`` sets up a data pipeline for each call (5 times slower)."""
    tensorflow = importlib.import_module("tensorflow")  # not at the top: the backend may be another one
    signature = tensorflow.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    graph = tensorflow.function(lambda inputs: model(inputs, training=False), input_signature=[signature])

    def predict(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        outputs: np.ndarray[Any, Any] = graph(inputs).numpy()
        return outputs

    return predict


def _predict_on_torch(model: keras.Model) -> Predict:
    torch = importlib.import_module("torch")
    run = quick(model)

    def predict(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            outputs: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(run(inputs))
        return outputs

    return predict


def _predict_on_any(model: keras.Model) -> Predict:
    def predict(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        outputs: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(model(inputs, training=False))
        return outputs

    return predict


PREDICT = {"tensorflow": _predict_on_tensorflow, "torch": _predict_on_torch}
