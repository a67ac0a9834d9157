"""LiteRT: a flat buffer of built-in operators, run by the plain interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from modelstac.catalog.errors import DataError, InvalidItemError

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes import Predict
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,  # noqa: ARG001 - the plain interpreter knows no operator that runs code or reads files
    options: Options,
) -> tuple[Interpreter, Predict]:
    """Make an interpreter over the verified bytes.

    Raises
    ------
    InvalidItemError
        If they are no LiteRT model, need operators that are not built in, or have several inputs or outputs.
    """
    try:
        interpreter = Interpreter(model_content=artifact.data, num_threads=options.threads)
        interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be opened by LiteRT: {reason}") from error
    if len(inputs) != 1 or len(outputs) != 1:
        raise InvalidItemError(
            f"{artifact.path} has {len(inputs)} inputs and {len(outputs)} outputs; a model has one of each"
        )
    source, target = inputs[0]["index"], outputs[0]["index"]

    def predict(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        try:
            if tuple(interpreter.get_input_details()[0]["shape"]) != values.shape:
                interpreter.resize_tensor_input(source, values.shape, strict=True)
                interpreter.allocate_tensors()
            interpreter.set_tensor(source, values)
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"LiteRT refuses an array of shape {list(values.shape)}: {reason}") from error
        result: np.ndarray[Any, Any] = interpreter.get_tensor(target)  # a copy
        return result

    return interpreter, predict
