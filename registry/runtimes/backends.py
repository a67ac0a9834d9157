"""Which backend Keras runs on: it is fixed when ``keras`` is first imported, once for the whole process.

No framework is imported here, except Keras itself by :func:`import_keras`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Collection, Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import get_ident
from types import MappingProxyType
from typing import Any

from modelstac.catalog.ahead import uncollected
from modelstac.catalog.errors import BackendError, MissingPackageError
from modelstac.catalog.later import imported
from modelstac.catalog.messages import Note, Report, ignore

PACKAGES = MappingProxyType({"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"})
VARIABLE = "KERAS_BACKEND"
BESIDE = frozenset({"IPython", "matplotlib", "pandas", "sklearn"})
"""What Keras does without where it is not installed, and else imports in half of its time: for data frames, pictures of
arrays and wrappers."""
CLASHES = (3, 7)
"""From this version on, Triton ends a process that has imported TensorFlow (2.19 to 2.21): both bring LLVM."""
_spared: set[str] = set()


def running_backend() -> str | None:
    """Return the backend that Keras runs on in this process, or None while Keras is not imported."""
    keras = imported("keras")
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


def spare_beside() -> None:
    """Have Keras imported without :data:`BESIDE` from here on, for a process of ours that uses none of them."""
    _spared.update(BESIDE)


@contextlib.contextmanager
def without_tensorflow() -> Iterator[None]:
    """Let Keras on another backend save a model, or set a seed, without importing TensorFlow, which takes seconds.

    When it saves, it only asks whether something is of a type of TensorFlow (Keras 3.15). Where it cannot be told that
    TensorFlow is not there, it is imported as ever.
    """
    lazy: Any = getattr(imported("keras.src.utils.module_utils"), "tensorflow", None)
    if "tensorflow" in sys.modules or getattr(lazy, "_available", ...) is not None:
        yield
        return
    lazy._available = False
    try:
        yield
    finally:
        lazy._available = None  # as it was: not asked for yet


def spare_triton() -> None:
    """Count Triton as not installed where TensorFlow is imported and the two do not go together.

    PyTorch for CUDA brings it, and imports it when a program is exported or loaded; without it PyTorch does all but
    ``torch.compile`` on a GPU. Triton first and TensorFlow after it go together.
    """
    if "tensorflow" not in sys.modules or "triton" in sys.modules:
        return
    from importlib.metadata import PackageNotFoundError, version  # not at the top: few need it, it is slow to import

    with contextlib.suppress(PackageNotFoundError, ValueError):
        if tuple(map(int, version("triton").split(".")[:2])) >= CLASHES:
            sys.modules["triton"] = None  # type: ignore[assignment]


def _import_on(backend: str) -> None:
    """Import Keras with the variable set for that moment only: our children make their own choice."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = backend
    spare_triton()
    try:
        with uncollected():
            _import_without(_spared)
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _import_without(names: set[str]) -> None:
    """Import Keras as where some packages cannot be imported, and whole where it needs them after all."""
    absent = _Absent(names)
    sys.meta_path.insert(0, absent)
    try:
        importlib.import_module("keras")
    except ImportError:
        absent.names = frozenset()
        importlib.import_module("keras")
    finally:
        sys.meta_path.remove(absent)


class _Absent(MetaPathFinder, Loader):
    """Finds some packages, as whoever looks for them expects, and cannot import them, in one thread."""

    def __init__(self, names: Collection[str]) -> None:
        self.names, self._thread = names, get_ident()

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Find these, and leave all others to the next finder."""
        return ModuleSpec(fullname, self) if fullname in self.names and get_ident() == self._thread else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Fail as an import does of what is not installed."""
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)
