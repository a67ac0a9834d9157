"""LiteRT: a flat buffer of built-in operators, run by the plain interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.registry.runtimes.opened import Opened

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,  # noqa: ARG001 - the plain interpreter knows no operator that runs code or reads files
    options: Options,
) -> Opened:
    """Make an interpreter over the verified bytes.

    Raises
    ------
    InvalidItemError
        If they are no LiteRT model, or need operators that are not built in.
    """
    try:
        interpreter = Interpreter(model_content=artifact.data, num_threads=options.threads)
        interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be opened by LiteRT: {reason}") from error
    into, back = _signature(interpreter) or [
        {detail["name"]: int(detail["index"]) for detail in side} for side in (inputs, outputs)
    ]

    def run(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        try:
            shapes = {detail["index"]: tuple(detail["shape"]) for detail in interpreter.get_input_details()}
            other = [name for name, array in arrays.items() if shapes[into[name]] != array.shape]
            for name in other:
                interpreter.resize_tensor_input(into[name], arrays[name].shape, strict=True)
            if other:
                interpreter.allocate_tensors()
            for name, array in arrays.items():
                interpreter.set_tensor(into[name], array)
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            found = ", ".join(str(list(array.shape)) for array in arrays.values())
            raise DataError(f"LiteRT refuses an array of shape {found}: {reason}") from error
        return {name: interpreter.get_tensor(index) for name, index in back.items()}  # copies

    return Opened(interpreter, run, tuple(into), tuple(back))


def _signature(interpreter: Interpreter) -> list[dict[str, int]] | None:
    """Give the tensors of inputs and outputs as the signature calls them: their own names are the converter's.

    One tensor may be several outputs.
    """
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        return None
    [key] = signatures
    runner = interpreter.get_signature_runner(key)
    return [
        {name: int(detail["index"]) for name, detail in details.items()}
        for details in (runner.get_input_details(), runner.get_output_details())
    ]
