"""OpenVINO: the intermediate representation (``model.xml`` and ``model.bin`` in one archive), run on the CPU."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.inspecting.folders import read_members

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes import Predict
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

MEMBERS = (re.compile(r"model\.(xml|bin)"),)
# Where the processor has bfloat16, OpenVINO would compute in it unasked.
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,
    options: Options,
) -> tuple[openvino.CompiledModel, Predict]:
    """Compile the model from memory; operators of extensions are not known to it.

    Raises
    ------
    UntrustedError
        If the archive holds other files.
    InvalidItemError
        If OpenVINO cannot read or compile it.
    """
    members = read_members(artifact.data, artifact.path, allowed=MEMBERS, max_bytes=policy.max_bytes)
    if sorted(members) != ["model.bin", "model.xml"]:
        raise InvalidItemError(f"{artifact.path} holds {', '.join(members) or 'nothing'}, not model.xml and model.bin")
    threads = {} if options.threads is None else {"INFERENCE_NUM_THREADS": options.threads}
    try:
        core = openvino.Core()
        model = core.read_model(model=members["model.xml"], weights=members["model.bin"])
        compiled = core.compile_model(model, "CPU", SETTINGS | threads)
    except Exception as error:  # OpenVINO raises RuntimeError and classes that it does not export
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be opened by OpenVINO: {reason}") from error
    if len(compiled.inputs) != 1 or len(compiled.outputs) != 1:
        raise InvalidItemError(
            f"{artifact.path} has {len(compiled.inputs)} inputs and {len(compiled.outputs)} outputs; "
            "a model has one of each"
        )

    def predict(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        result: np.ndarray[Any, Any] = np.array(compiled(values)[0])  # a copy: the next call writes there again
        return result

    return compiled, predict
