"""One module per framework, each with the same verb; the dict below says which module runs which file.

A runtime module imports its framework at its top, and is itself imported only by :func:`runtime`. It defines::

    def load(
        artifact: Artifact, description: ModelDescription, policy: TrustPolicy, options: Options
    ) -> Opened

which gives the framework's own object and a function from arrays by the file's names of inputs to arrays by its names
of outputs. :func:`modelstac.registry.runtimes.names.bind` makes the item's names of these, for all of them.

Other packages add runtimes by entry points (:data:`modelstac.catalog.items.formats.GROUP` adds the format)::

    [project.entry-points."modelstac.runtimes"]
    my-format = "my_package.my_runtime"

and show by :class:`modelstac.registry.testing.RuntimeContract` that theirs is one. Theirs looks into the file
itself before it hands it to a framework.

Order, each importing only from those before it: backends, custom_objects, installed, keras_on_torch, options, sharing ·
opened · names, quick · keras, litert, onnx, openvino, saved_model, torch_export · torch ·
torch_pickle.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from modelstac.catalog.ahead import uncollected
from modelstac.catalog.errors import MissingPackageError
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.runtimes.backends import spare_triton
from modelstac.registry.runtimes.sharing.opening import opening
from modelstac.registry.trust.policy import PICKLE

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.opened import Opened
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy


class Runtime(Protocol):
    """What a runtime module offers."""

    def load(
        self, artifact: Artifact, description: ModelDescription, policy: TrustPolicy, options: Options
    ) -> Opened:  # pragma: no cover - a shape, not code
        """Open a verified file."""
        ...


@dataclass(frozen=True)
class Entry:
    """Where a runtime lives and what it needs: module, packages that must be importable, extra that brings them."""

    module: str
    packages: tuple[str, ...]
    extra: str


GROUP = "modelstac.runtimes"
_OURS = MappingProxyType(
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

PACKAGES = frozenset(package for entry in _OURS.values() for package in entry.packages)
"""Packages that our runtimes need; those of other packages name none."""

# What runs code of its publisher's when it is read: the word by which a caller trusts it, and its runtime, which only a
# process of its own imports.
_TORCH_PICKLE = Entry("modelstac.registry.runtimes.torch_pickle", ("torch",), "torch")
RUNS_CODE: MappingProxyType[str, tuple[str, Entry]] = MappingProxyType(
    {"torch.save": (PICKLE, _TORCH_PICKLE), "torch.jit.save": (PICKLE, _TORCH_PICKLE)}
)


class Runtimes(Mapping[str, Entry]):
    """Runtimes by artifact type: ours, and those of installed packages, which are looked for when ours do not do."""

    def __getitem__(self, artifact_type: str) -> Entry:
        return _OURS[artifact_type] if artifact_type in _OURS else self._others()[artifact_type]

    def __contains__(self, artifact_type: object) -> bool:
        return artifact_type in _OURS or artifact_type in self._others()

    def __iter__(self) -> Iterator[str]:
        yield from _OURS
        yield from self._others().keys() - _OURS.keys()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _others(self) -> dict[str, Entry]:
        """Read entry points; a name is that of a format, and ours are not replaced."""
        from importlib.metadata import entry_points  # not at the top: few need it, and it is slow to import

        return {
            FORMATS[point.name].artifact_type: Entry(point.module, (), point.dist.name if point.dist else point.module)
            for point in entry_points(group=GROUP)
            if point.name in FORMATS
        }


RUNTIMES: Mapping[str, Entry] = Runtimes()


def runtime(artifact_type: str, *, item_id: str) -> Runtime:
    """Import the runtime of an artifact type.

    Raises
    ------
    MissingPackageError
        If its framework is not installed; names the extra.
    CannotRunError
        If this process was forked off one that had imported one.
    """
    entry = RUNS_CODE[artifact_type][1] if artifact_type in RUNS_CODE else RUNTIMES[artifact_type]
    if "torch" in entry.packages:
        spare_triton()
    try:
        with opening(item_id), uncollected():
            return cast(Runtime, importlib.import_module(entry.module))
    except ModuleNotFoundError as error:
        if error.name not in entry.packages:  # a broken installation is not a missing extra
            raise
        raise MissingPackageError.extra(error.name, entry.extra, f"loading {item_id!r}") from error
