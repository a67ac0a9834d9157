"""What is named by where it is, and imported when it is first asked for; what is imported already."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType, ModuleType
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


def imported(name: str) -> ModuleType | None:
    """Return a module that somebody has imported, once it is whole: another thread may be in the middle of that.

    Returns
    -------
    module
        None where nobody has, or could; it is not imported for being asked for.
    """
    if sys.modules.get(name) is None:
        return None
    try:
        return importlib.import_module(name)  # which waits where its entry is there and its content not yet
    except ImportError:
        return None


def libraries(value: object) -> Iterator[str]:
    """Name the packages that made the classes of a value, that of its own class first."""
    return (str(kind.__module__).partition(".")[0] for kind in type(value).__mro__)


def library_of(value: object, package: str) -> Any:
    """Return the package that made a class of this value, which is imported then; None of what others made.

    That it is among the imported modules would not do: another thread may be in the middle of importing it.
    """
    return importlib.import_module(package) if package in libraries(value) else None


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
