"""What is named by where it is, and imported when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

BEFORE_PUBLISHING: list[str] = []
"""Places of functions of an item, which look into it and its files before it is stored, and raise where they do not go
together: a catalog knows documents and bytes; rooms above it, which know what is in a model file, add theirs.
"""


def at(place: str) -> Any:
    """Import what is at a place, ``module:name``."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def later(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package (PEP 562), of which these names are at these places."""

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return at(places[name])

    return get
