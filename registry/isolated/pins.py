"""What a job publishes of the environment that its model runs in: the packages and Python that are installed here."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.description import ExtraAsset
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry.choosing.machine import DISTRIBUTIONS
from modelstac.registry.isolated.environments import compile_lock
from modelstac.registry.isolated.requirements import ASSET, RUNTIMES, Pin, Requirements, packages_of, parse

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription

MEDIA_TYPE = "text/plain"
PATIENCE = 120.0  # seconds; resolving TensorFlow takes five, and no index must hold a job up


def with_requirements(
    description: ModelDescription, folder: Path, *, lock: bool = False, report: Report = ignore
) -> ModelDescription:
    """Add the asset that an isolated environment is made of, where all that it needs is installed here.

    Parameters
    ----------
    description
        What is to be published, made in this environment.
    folder
        Where the file is written; it must live until the item is published.
    lock
        Ask uv for all packages that these need, and for the hashes of their files. Where it cannot say within two
        minutes, a note tells why, and what is installed is published without hashes.
    report
        Gets that note.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    found = installed(description.format, description.backend)
    if found is None:
        return description
    if lock:
        found = _locked(found, folder, description.id, report)
    return requiring(description, found, folder)


def requiring(description: ModelDescription, requirements: Requirements, folder: Path) -> ModelDescription:
    """Add the asset that an isolated environment is made of: these packages and this Python.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    path = folder / "requirements.txt"
    with explained(f"write {path}"):
        path.write_text(str(requirements), encoding="ascii")
    title = "Packages and Python that the model runs with"
    asset = ExtraAsset(path=path, media_type=MEDIA_TYPE, roles=("metadata",), title=title)
    return description.model_copy(update={"assets": {**description.assets, ASSET: asset}})


def installed(form: str, backend: str | None = None) -> Requirements | None:
    """Name what runs a format, by the versions installed here; None where one of them is not.

    A build's local version is left out (``2.13.0+cpu`` is ``2.13.0``): it is in few indexes, and the public one matches
    any build of that release.
    """
    pins = [_installed(name) for name in packages_of(form, backend)]
    if not pins or None in pins:
        return None
    return Requirements(
        f"{sys.version_info.major}.{sys.version_info.minor}", tuple(sorted(pin for pin in pins if pin is not None))
    )


def _installed(package: str) -> Pin | None:
    for name in DISTRIBUTIONS.get(package, (package,)):
        if name not in RUNTIMES:
            continue
        try:
            return Pin(name, Version(importlib.metadata.version(name)).public)
        except (importlib.metadata.PackageNotFoundError, InvalidVersion):
            continue
    return None


def _locked(found: Requirements, folder: Path, item_id: str, report: Report) -> Requirements:
    purpose = f"locking the requirements of {item_id!r}"
    try:
        text = compile_lock(str(found), python=sys.executable, folder=folder, purpose=purpose, timeout=PATIENCE)
        return parse(f"# python {found.python}\n{text}", source=f"the lock of {item_id!r}")
    except ModelStacError as error:
        report(Note(f"the requirements of {item_id} are published without hashes: {error}"))
        return found
