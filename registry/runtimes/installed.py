"""Whether what a runtime needs is installed, told without importing it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from modelstac.catalog.errors import MissingPackageError
from modelstac.registry.runtimes import RUNTIMES


def require_packages(artifact_type: str, *, item_id: str) -> None:
    """Raise MissingPackageError when a package of the runtime is not installed; none is imported."""
    entry = RUNTIMES[artifact_type]
    for package in entry.packages:
        if sys.modules.get(package) is None and find_spec(package) is None:  # looking for one costs a millisecond
            raise MissingPackageError.extra(package, entry.extra, f"loading {item_id!r}")
