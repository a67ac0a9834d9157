"""What is named by where it is, and imported when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any

from modelstac.catalog.errors import MissingPackageError

_CATALOG = "cql2 jinja2 jsonschema jsonschema_rs markdown_it markupsafe obstore referencing shapely"
EXTRAS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(_CATALOG.split(), "catalog") | {"onnx": "publish", "starlette": "server", "yaml": "publish"}
)
"""By package that not every installation has, the extra that brings it: who loads models from a server needs none."""

BEFORE_PUBLISHING: list[str] = []
"""Places of functions of an item, and of its description where that is read already, which look into it and its files
before it is stored, and raise where they do not go together: a catalog knows documents and bytes; rooms above it, which
know what is in a model file, add theirs.
"""


@contextmanager
def needing(purpose: str) -> Iterator[None]:
    """Tell which extra brings a package that the imports in this block do not find.

    Raises
    ------
    MissingPackageError
        If one of ``EXTRAS`` is not installed; what else is missing raises what it raised.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in EXTRAS:  # a broken installation is not a missing extra
            raise
        raise MissingPackageError.extra(package, EXTRAS[package], purpose) from error


@cache
def at(place: str) -> Any:
    """Import what is at a place, ``module:name``.

    Raises
    ------
    MissingPackageError
        If it needs a package of ``EXTRAS`` that is not installed.
    """
    module, _, name = place.partition(":")
    with needing(name):
        return getattr(importlib.import_module(module), name)


def later(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package (PEP 562), of which these names are at these places."""

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return at(places[name])

    return get
