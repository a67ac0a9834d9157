"""One module per framework, each with the same verb; the dict below says which module runs which file.

A runtime module imports its framework at its top, and is itself imported only by :func:`runtime`. It defines::

    def load(artifact: Artifact, description: ModelDescription, policy: TrustPolicy) -> tuple[Any, Predict]

which returns the framework's own object and a function from one array to one array, both in the item's layout.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

from modelstac.catalog.errors import MissingPackageError
from modelstac.catalog.formats import FORMATS

if TYPE_CHECKING:
    import numpy as np

    from modelstac.catalog.items import ModelDescription
    from modelstac.registry.fetch import Artifact
    from modelstac.registry.trust import TrustPolicy

    Predict = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


class Runtime(Protocol):
    """What a runtime module offers."""

    def load(
        self, artifact: Artifact, description: ModelDescription, policy: TrustPolicy
    ) -> tuple[Any, Predict]:  # pragma: no cover - a shape, not code
        """Return the framework's own object and a function from one array to one array."""
        ...


@dataclass(frozen=True)
class Entry:
    """Where a runtime lives and what it needs: module, packages that must be importable, extra that brings them."""

    module: str
    packages: tuple[str, ...]
    extra: str


RUNTIMES = MappingProxyType(
    {
        FORMATS["keras"].artifact_type: Entry("modelstac.registry.runtimes.keras", ("keras", "h5py"), "keras"),
        FORMATS["torch"].artifact_type: Entry("modelstac.registry.runtimes.torch", ("torch", "safetensors"), "torch"),
        FORMATS["onnx"].artifact_type: Entry("modelstac.registry.runtimes.onnx", ("onnxruntime",), "onnx"),
        FORMATS["torch-export"].artifact_type: Entry("modelstac.registry.runtimes.torch_export", ("torch",), "torch"),
        FORMATS["saved-model"].artifact_type: Entry(
            "modelstac.registry.runtimes.saved_model", ("tensorflow",), "tensorflow"
        ),
        FORMATS["litert"].artifact_type: Entry("modelstac.registry.runtimes.litert", ("ai_edge_litert",), "litert"),
        FORMATS["openvino"].artifact_type: Entry("modelstac.registry.runtimes.openvino", ("openvino",), "openvino"),
    }
)


def runtime(artifact_type: str, *, item_id: str) -> Runtime:
    """Import the runtime of an artifact type.

    Raises
    ------
    MissingPackageError
        If its framework is not installed; names the extra.
    """
    entry = RUNTIMES[artifact_type]
    try:
        return cast(Runtime, importlib.import_module(entry.module))
    except ModuleNotFoundError as error:
        if error.name not in entry.packages:  # a broken installation is not a missing extra
            raise
        raise MissingPackageError.extra(error.name, entry.extra, f"loading {item_id!r}") from error
