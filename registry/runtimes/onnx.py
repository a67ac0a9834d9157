"""ONNX Runtime, given the verified bytes; what they may refer to was checked before (``registry/inspecting``)."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, SpecError

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes import Predict
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

WARNINGS_OFF = 3  # ONNX Runtime's log level "error"
CPU = "CPUExecutionProvider"
PROVIDERS = MappingProxyType(
    {
        "cpu": (),
        "cuda": ("CUDAExecutionProvider",),
        "amd-rocm": ("MIGraphXExecutionProvider", "ROCMExecutionProvider"),
        "macos-arm": ("CoreMLExecutionProvider",),
        "intel": ("OpenVINOExecutionProvider",),
        "directml": ("DmlExecutionProvider",),
    }
)
"""Execution providers by device, the best first; what one cannot run, the CPU does."""


def choose_providers(device: str, available: Sequence[str], *, item_id: str) -> list[str]:
    """Choose the execution providers for a device; ``auto`` is the first that is there.

    Raises
    ------
    SpecError
        If the device is not known.
    MissingPackageError
        If this build of ONNX Runtime has no provider for it; it is no silent fallback to the CPU.
    """
    if device == "auto":
        found: tuple[str, ...] = next(
            ((name,) for names in PROVIDERS.values() for name in names if name in available), ()
        )
    elif device in PROVIDERS:
        found = tuple(name for name in PROVIDERS[device] if name in available)
        if not found and PROVIDERS[device]:
            raise MissingPackageError(
                f"loading {item_id!r} on {device} needs an ONNX Runtime with {PROVIDERS[device][0]}, here are "
                f"{', '.join(available)}: install that build, or load with device='cpu'"
            )
    else:
        raise SpecError(f"no device {device!r} is known to ONNX Runtime: {', '.join(PROVIDERS)} or auto")
    return [*found, CPU]


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,  # noqa: ARG001 - kept by the inspection before ONNX Runtime is imported
    options: Options,
) -> tuple[onnxruntime.InferenceSession, Predict]:
    """Open a session over the verified bytes.

    Raises
    ------
    InvalidItemError
        If it is no ONNX graph, or not one of a single input and output.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = WARNINGS_OFF
    settings.use_deterministic_compute = True
    settings.intra_op_num_threads = options.threads or 0  # 0 is as many as there are cores
    providers = choose_providers(options.device, onnxruntime.get_available_providers(), item_id=artifact.item_id)
    try:
        session = onnxruntime.InferenceSession(artifact.data, settings, providers=providers)
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
        result: np.ndarray[Any, Any] = session.run(target, {source: frames})[0]
        return result

    return session, predict
