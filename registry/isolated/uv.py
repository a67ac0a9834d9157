"""uv, as a program: it makes environments and finds packages, by the settings of whoever loads, never of the item."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from modelstac.catalog.errors import (
    DownloadError,
    IntegrityError,
    MissingPackageError,
    ModelStacError,
    NotFoundError,
    StorageError,
)
from modelstac.registry.isolated.processes import ended

# Another environment that is active is none of its business.
_IGNORED = ("PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "UV_PYTHON", "VIRTUAL_ENV")
_NO_NETWORK = ("network connectivity is disabled", "network was disabled", "dns error", "error sending request",
               "could not connect", "connection refused", "operation timed out", "failed to fetch")  # fmt: skip
_NOT_THERE = ("no solution found", "was not found in the", "there is no version of", "has no wheels", "no interpreter")


def find_uv(purpose: str) -> str:
    """Return the program.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    try:
        from uv import find_uv_bin
    except ModuleNotFoundError:
        program = shutil.which("uv")
    else:
        program = os.fsdecode(find_uv_bin())
    if program is None:
        raise MissingPackageError(f"{purpose} needs uv, which is not installed: pip install uv")
    return program


def run_uv(*arguments: str, folder: Path, purpose: str, timeout: float | None = None) -> str:
    """Run it in a folder, and return what it prints.

    Parameters
    ----------
    arguments
        Of its command line.
    folder
        Where it runs and looks for settings of a project: an empty one.
    purpose
        What for, as the beginning of an error.
    timeout
        Seconds that it may take.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    DownloadError
        If an index cannot be reached, or not in time.
    NotFoundError
        If there is no such package, version or Python.
    IntegrityError
        If a file has another hash.
    """
    from modelstac.registry.files.download import offline

    environment = {name: value for name, value in os.environ.items() if name not in _IGNORED}
    if offline():
        environment["UV_OFFLINE"] = "1"
    try:
        # Its arguments were checked by requirements.py.
        uv = [find_uv(purpose), *arguments, "--quiet", "--color", "never"]
        done = ended(uv, environment, folder, timeout)
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"{purpose}: uv found no packages within {timeout:g} s") from error
    except OSError as error:
        raise StorageError.doing("run uv", error, advice="install it anew: pip install --force-reinstall uv") from error
    if done.returncode:
        raise _failure(purpose, done.stderr)
    return done.stdout


def _failure(purpose: str, said: str) -> ModelStacError:
    lines = [re.sub(r"^\s*(error|cause|hint): ", "", line).strip() for line in said.splitlines()]
    reason = re.sub(r"://[^/\s]*@", "://…@", ": ".join(filter(None, lines)))[:600]
    lower = said.casefold()
    if "hash mismatch" in lower:
        return IntegrityError(f"{purpose}: a file is not the one that was published: {reason}")
    if any(sign in lower for sign in _NO_NETWORK):
        if "python-build-standalone" in lower:
            return NotFoundError(
                f"{purpose}: this machine has no such Python on its PATH, and uv cannot fetch it: {reason}"
            )
        return DownloadError(f"{purpose}: a package is not in uv's cache, and its index cannot be reached: {reason}")
    if any(sign in lower for sign in _NOT_THERE):
        return NotFoundError(f"{purpose}: {reason}")
    return StorageError(f"{purpose}: {reason}")
