"""What a machine can run: packages and their versions, the backend that Keras is fixed to, accelerators, free memory.

Nothing of it imports a framework: versions come from the metadata of installed packages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from modelstac.registry.runtimes.backends import running_backend

# Import name → distributions that bring it, where these are not called the same.
DISTRIBUTIONS = MappingProxyType(
    {
        "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
        "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
        "ai_edge_litert": ("ai-edge-litert",),
    }
)
_NO_VERSION = "0"


@dataclass(frozen=True)
class Machine:
    """A machine, or a process on it; describe another one to learn what would be chosen there.

    Parameters
    ----------
    packages
        Versions of installed packages by import name.
    python
        Version of Python.
    keras_backend
        What Keras runs on in this process, None while it is not imported.
    imported
        Packages that are imported already.
    accelerators
        Values of ``mlm:accelerator`` that are here.
    memory
        Bytes that are free, None where that cannot be told.
    """

    packages: Mapping[str, str]
    python: str = ".".join(map(str, sys.version_info[:3]))
    keras_backend: str | None = None
    imported: frozenset[str] = frozenset()
    accelerators: frozenset[str] = frozenset()
    memory: int | None = None

    @classmethod
    def here(cls) -> Machine:
        """Describe this process."""
        return cls(
            packages=_Installed(),
            keras_backend=running_backend(),
            imported=frozenset(sys.modules),
            accelerators=_accelerators(),
            memory=_free_memory(),
        )


class _Installed(Mapping[str, str]):
    """The packages of this environment; each is looked for when it is asked for."""

    def __getitem__(self, package: str) -> str:
        if find_spec(package) is None:
            raise KeyError(package)
        return _version(package)

    def __contains__(self, package: object) -> bool:
        return isinstance(package, str) and find_spec(package) is not None

    def __iter__(self) -> Iterator[str]:
        import importlib.metadata  # not at the top: a tenth of what `import modelstac` may cost

        return iter(importlib.metadata.packages_distributions())

    def __len__(self) -> int:
        return sum(1 for _ in self)


@lru_cache(maxsize=64)
def _version(package: str) -> str:
    import importlib.metadata

    for distribution in DISTRIBUTIONS.get(package, (package,)):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return _NO_VERSION


@lru_cache(maxsize=1)
def _accelerators() -> frozenset[str]:
    import platform

    machine, system = platform.machine().lower(), platform.system()
    found = {"amd64"} if machine in {"x86_64", "amd64"} else set()
    if system == "Darwin" and machine == "arm64":
        found.add("macos-arm")
    if Path("/proc/driver/nvidia/version").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") not in {"", "-1"}:
        found.add("cuda")
    if Path("/dev/kfd").exists():
        found.add("amd-rocm")
    return frozenset(found)


def _free_memory() -> int | None:
    """Return the memory that a model could still get: of the machine, or of the control group that confines us."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        if limit != "max":
            found.append(max(0, int(limit) - used))
    except (OSError, ValueError):
        pass
    return min(found, default=None)
