"""OpenVINO: the intermediate representation (``model.xml`` and ``model.bin`` in one archive), run on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.inspecting.folders import read_members
from modelstac.registry.inspecting.openvino import MEMBERS
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.runtimes.sharing.pool import Pool

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

# Where the processor has bfloat16, OpenVINO would compute in it unasked. What its cache keeps of attention compiled for
# one step, 2026.4 uses for 37, too, and is off by 6.7 in values of 1: so nothing is kept, and a change of shape takes
# half a millisecond instead of a fifth on a small network.
# Of weights that are kept in 8 bits it would round what they are multiplied with to 8 bits, too, and of attention what
# it keeps.
SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "EXECUTION_MODE_HINT": "ACCURACY",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    "KV_CACHE_PRECISION": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "CPU_RUNTIME_CACHE_CAPACITY": "0",
}
_DIVIDES = "nonconvertable_divide_0"
"""Says of a division that it stays one; files do not keep it. Left to itself OpenVINO multiplies by the reciprocal: one
result in four has another last digit, which is another side of a threshold for values in steps."""


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,
    options: Options,
) -> Opened:
    """Compile the model from memory; operators of extensions are not known to it.

    Raises
    ------
    UntrustedError
        If the archive holds other files; it was looked into before OpenVINO was imported.
    InvalidItemError
        If OpenVINO cannot read or compile it.
    """
    members = read_members(artifact.data, artifact.path, allowed=MEMBERS, max_bytes=policy.max_bytes)
    threads = {} if options.threads is None else {"INFERENCE_NUM_THREADS": options.threads}
    try:
        core = openvino.Core()
        model = core.read_model(model=members["model.xml"], weights=members["model.bin"])
        _divide(model)
        compiled = core.compile_model(model, "CPU", SETTINGS | threads)
    except Exception as error:  # OpenVINO raises RuntimeError and classes that it does not export
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be opened by OpenVINO: {reason}") from error
    # Not those of the compiled model: it takes out what does nothing, and gives a port the names of that, too.
    inputs, outputs = (tuple(map(_name, ports)) for ports in (model.inputs, model.outputs))
    # The compiled model has one request of its own, in which two threads find each other's arrays.
    requests = Pool(compiled.create_infer_request)

    def run(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        with requests.lent() as request:
            found = request.infer([arrays[name] for name in inputs])
            # Copies: the next call writes there.
            return {name: np.array(found[number]) for number, name in enumerate(outputs)}

    return Opened(compiled, run, inputs, outputs, parallel=True)


def _divide(model: Any) -> None:
    """Have quotients computed exactly, in the bodies of loops and branches too."""
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind == "Divide" and node.get_element_type().is_real():
            node.get_rt_info()[_DIVIDES] = ""
        elif kind == "If":
            _divide(node.get_then_body())
            _divide(node.get_else_body())
        elif kind in {"Loop", "TensorIterator"}:
            _divide(node.get_function())


def _name(port: Any) -> str:
    """Name an input or output: a port may have several names, or none, where its node still has one."""
    names = sorted(port.names, key=lambda name: (len(name), name))
    return str(names[0] if names else port.node.friendly_name)
