"""ONNX Runtime, given the verified bytes; what they may refer to was checked before (``registry/inspecting``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from modelstac.catalog.errors import CannotRunError, InvalidItemError, MissingPackageError, SpecError
from modelstac.registry.inspecting.wire import varint, written
from modelstac.registry.runtimes.opened import Opened

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

QUIET = 4  # ONNX Runtime's log level "fatal": what fails is raised, with the same words
CPU = "CPUExecutionProvider"
SPINNING = "session.intra_op.allow_spinning"
WAYS = ("ONNX Runtime with its optimisations of the graph", "ONNX Runtime with the graph as it is written")
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


@cache
def refuses(ir_version: int, opset: int) -> str | None:
    """Ask the ONNX Runtime that is installed whether it opens a graph of these versions; None, or why not.

    No table says it of releases to come, and the runtime does of the smallest graph: one that gives what it takes.
    """
    node = written(1, b"x") + written(2, b"y") + written(4, b"Identity")
    kind = written(2, written(1, b"\x08\x01" + written(2, written(1, b"\x08\x01"))))  # float, of one axis of length 1
    ends = b"".join(written(number, written(1, name) + kind) for number, name in ((11, b"x"), (12, b"y")))
    graph = written(1, node) + written(2, b"same") + ends
    model = b"\x08" + varint(ir_version) + written(7, graph) + written(8, b"\x10" + varint(opset))
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = QUIET
    try:
        onnxruntime.InferenceSession(model, settings, providers=[CPU])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's own classes derive from Exception alone
        return " ".join(str(error).split())
    return None


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
    settings = _settings(options, artifact)
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

    @cache
    def made() -> Any:
        # The session keeps the bytes in any case. A few operators exist for what optimisation makes of a graph only.
        try:
            return onnxruntime.InferenceSession(artifact.data, _as_written(options, artifact), providers=[CPU]).run
        except Exception:  # noqa: BLE001 - as above
            return run_session

    lock = Lock()

    def as_written() -> Any:
        with lock:  # or each of several threads would make one
            return made()

    def exactly(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        return dict(zip(outputs, as_written()(outputs, arrays), strict=True))

    how: dict[str, Any] = {"exactly": exactly, "ways": WAYS, "parallel": True}
    return Opened(session, run, inputs, tuple(outputs), optional=tuple(optional), **how)


def _add_beside(settings: onnxruntime.SessionOptions, artifact: Artifact) -> None:
    """Give the runtime the bytes of the files beside the graph, so that it opens none."""
    if not artifact.beside:
        return
    try:
        add = settings.add_external_initializers_from_files_in_memory
    except AttributeError as error:
        raise CannotRunError(
            f"item {artifact.item_id!r} has weights in files beside its graph, which the installed ONNX Runtime "
            f"{onnxruntime.__version__} takes from no memory: install a later one"
        ) from error
    files = artifact.beside
    add(list(files), list(files.values()), [len(content) for content in files.values()])


def _settings(options: Options, artifact: Artifact) -> onnxruntime.SessionOptions:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = QUIET
    settings.use_deterministic_compute = True
    settings.intra_op_num_threads = options.threads or 0  # 0 is as many as there are cores
    settings.add_session_config_entry(SPINNING, "1" if options.spin else "0")
    _add_beside(settings, artifact)
    return settings


def _as_written(options: Options, artifact: Artifact) -> onnxruntime.SessionOptions:
    """Give settings by which the operators of the graph run one by one, as they are written."""
    found = _settings(options, artifact)
    found.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return found
