"""ONNX Runtime, given the verified bytes; what they may refer to was checked before (``registry/inspection.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from modelstac.catalog.errors import DataError, InvalidItemError

if TYPE_CHECKING:
    from modelstac.catalog.items import ModelDescription
    from modelstac.registry.fetch import Artifact
    from modelstac.registry.runtimes import Predict
    from modelstac.registry.trust import TrustPolicy

WARNINGS_OFF = 3  # ONNX Runtime's log level "error"
PROVIDERS = ["CPUExecutionProvider"]


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,  # noqa: ARG001 - kept by the inspection before ONNX Runtime is imported
) -> tuple[onnxruntime.InferenceSession, Predict]:
    """Open a session over the verified bytes.

    Raises
    ------
    InvalidItemError
        If it is no ONNX graph, or not one of a single input and output.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = WARNINGS_OFF
    try:
        session = onnxruntime.InferenceSession(artifact.data, options, providers=PROVIDERS)
    except Exception as error:  # ONNX Runtime's own classes are private, and derive from Exception alone
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be opened by ONNX Runtime: {reason}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise InvalidItemError(
            f"{artifact.path} has {len(inputs)} inputs and {len(outputs)} outputs; a model has one of each"
        )
    source, target = inputs[0].name, [outputs[0].name]

    def predict(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        try:
            result: np.ndarray[Any, Any] = session.run(target, {source: frames})[0]
        except Exception as error:
            reason = " ".join(str(error).split())
            raise DataError(f"ONNX Runtime refuses an array of shape {list(frames.shape)}: {reason}") from error
        return result

    return session, predict
