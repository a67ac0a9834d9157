"""Which backend Keras runs on: it is fixed when ``keras`` is first imported, once for the whole process.

No framework is imported here, except Keras itself by :func:`import_keras`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from modelstac.catalog.errors import BackendError, MissingPackageError
from modelstac.catalog.messages import Note, Report, ignore

PACKAGES = MappingProxyType({"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"})
VARIABLE = "KERAS_BACKEND"
UNNEEDED = frozenset({"matplotlib", "sklearn"})
"""Packages that Keras imports where it finds them, for plots and for wrappers of estimators: a fifth of its import."""
_left_out: set[str] = set()


def running_backend() -> str | None:
    """Return the backend that Keras runs on in this process, or None while Keras is not imported."""
    keras = sys.modules.get("keras")
    return None if keras is None else str(keras.config.backend())


def installed_backends() -> tuple[str, ...]:
    """Return the backends whose packages are installed, without importing them."""
    return tuple(name for name, package in PACKAGES.items() if find_spec(package) is not None)


def import_keras(wanted: str | None, *, item_id: str, report: Report = ignore) -> str:
    """Import Keras on the backend that an item was made with, or say on which other one it runs.

    A ``.keras`` file is portable, so another backend gives the same function; it is never taken silently.

    Parameters
    ----------
    wanted
        Backend of the item, or None if it names none.
    item_id
        For the messages.
    report
        Gets a note when the backend is not the wanted one.

    Returns
    -------
    str
        The backend that Keras runs on.

    Raises
    ------
    MissingPackageError
        If Keras or every backend is missing.
    """
    running = running_backend()
    if running is not None:
        if wanted not in {None, running}:
            report(Note(f"{item_id} was made on Keras' {wanted} backend and runs on {running}, as this process does"))
        return running
    if find_spec("keras") is None:
        raise MissingPackageError.extra("keras", "keras", f"loading {item_id!r}")
    installed = installed_backends()
    asked = os.environ.get(VARIABLE)
    if not installed:
        extra = wanted if wanted in {"tensorflow", "torch"} else "tensorflow"
        raise MissingPackageError.extra(extra, extra, f"loading {item_id!r} with Keras")
    chosen = next(name for name in (wanted, asked, installed[0]) if name in installed)
    if wanted not in {None, chosen}:
        report(Note(f"{item_id} was made on Keras' {wanted} backend, which is not installed here; it runs on {chosen}"))
    elif asked not in {None, chosen}:
        report(Note(f"{VARIABLE} is {asked}, and {item_id} was made on {chosen}: Keras starts on {chosen}"))
    _import_on(chosen)
    return chosen


def require_keras(wanted: str, *, purpose: str) -> None:
    """Import Keras on this backend and no other.

    Raises
    ------
    BackendError
        If Keras runs on another one in this process.
    MissingPackageError
        If Keras or that backend is not installed.
    """
    running = running_backend()
    if running not in {None, wanted}:
        raise BackendError(
            f"{purpose} needs Keras on {wanted}, and this process runs it on {running}: use a new process with "
            f"{VARIABLE}={wanted}"
        )
    if find_spec("keras") is None:
        raise MissingPackageError.extra("keras", "keras", purpose)
    if wanted not in installed_backends():
        raise MissingPackageError.extra(wanted, wanted, purpose)
    if running is None:
        _import_on(wanted)


def leave_out(packages: Iterable[str] = UNNEEDED) -> None:
    """Let Keras be imported without packages that it can do without; for processes that are ours alone.

    They are left out while Keras is imported, and can be imported as ever after it. Where Keras is there, nothing is
    done.
    """
    _left_out.update(packages)


def _import_on(backend: str) -> None:
    """Import Keras with the variable set for that moment only: our children make their own choice."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = backend
    modules: dict[str, Any] = sys.modules
    absent = {name for name in _left_out if name not in modules}
    modules.update(dict.fromkeys(absent))  # None says to an import that there is none
    try:
        importlib.import_module("keras")
    finally:
        for name in absent:
            del modules[name]
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
