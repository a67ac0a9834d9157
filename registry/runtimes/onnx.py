"""ONNX Runtime, given the verified bytes; what they may refer to was checked before (``registry/inspecting``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, SpecError
from modelstac.registry.runtimes.opened import Opened

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

QUIET = 4  # ONNX Runtime's log level "fatal": what fails is raised, with the same words
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
) -> Opened:
    """Open a session over the verified bytes.

    Raises
    ------
    InvalidItemError
        If it is no ONNX graph that can be run here.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = QUIET
    settings.use_deterministic_compute = True
    settings.intra_op_num_threads = options.threads or 0  # 0 is as many as there are cores
    providers = choose_providers(options.device, onnxruntime.get_available_providers(), item_id=artifact.item_id)
    try:
        session = onnxruntime.InferenceSession(artifact.data, settings, providers=providers)
    except Exception as error:  # ONNX Runtime's own classes are private, and derive from Exception alone
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be opened by ONNX Runtime: {reason}") from error
    optional = [value.name for value in session.get_overridable_initializers()]
    inputs = (*(value.name for value in session.get_inputs()), *optional)
    outputs = [value.name for value in session.get_outputs()]
    run_session = session.run

    def run(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        return dict(zip(outputs, run_session(outputs, arrays), strict=True))

    return Opened(session, run, inputs, tuple(outputs), optional=tuple(optional))
