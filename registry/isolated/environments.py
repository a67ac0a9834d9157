"""Environments for models, made by uv, kept under the digest of their requirements and shared by processes.

``<digest>/`` holds the environment, ``requirements.txt`` (every file by its hash) and ``environment.json``. It is made
in ``.making-<digest>`` beside it and has its name when it is whole. ``<digest>.lock`` is held by who makes or removes
it, ``<digest>.used`` by whose worker runs in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import NotFoundError, SpecError
from modelstac.catalog.messages import Finished, Note, Report, Started, ignore
from modelstac.registry.isolated.requirements import RUNTIMES, Requirements
from modelstac.registry.isolated.uv import run_uv

FOLDER = "MODELSTAC_ENVIRONMENTS"
OLDEST = (3, 11)  # what our own part of a worker is written in
_SHOWN = 12  # digits of a digest


@dataclass(frozen=True)
class Environment:
    """One environment.

    Parameters
    ----------
    digest
        SHA-256 of its requirements, hexadecimal.
    folder
        Where it is.
    python
        Version of Python.
    packages
        All that is installed, ``name==version``.
    asked
        What was asked for: the packages that run the model.
    used
        Time of the last use, seconds since 1970.
    """

    digest: str
    folder: Path
    python: str
    packages: tuple[str, ...]
    asked: tuple[str, ...]
    used: float

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return _interpreter(self.folder)

    def in_use(self) -> contextlib.AbstractContextManager[None]:
        """Keep it from being removed."""
        return Environments(self.folder.parent).using(self)

    def size(self) -> int:
        """Count its bytes; files that it shares with uv's cache by hard links count as well."""
        return sum(entry.lstat().st_size for entry in self.folder.rglob("*") if not entry.is_dir())


class Environments:
    """The environments of a user.

    Parameters
    ----------
    root
        Their folder; by default ``MODELSTAC_ENVIRONMENTS``, or in the user's cache folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or _default_root()

    def find(self, requirements: Requirements) -> Environment | None:
        """Return an environment that was made, None where it was not."""
        return self._read(requirements.digest)

    def provide(
        self,
        requirements: Requirements,
        *,
        purpose: str,
        report: Report = ignore,
        oldest: tuple[int, int] = OLDEST,
    ) -> Environment:
        """Return an environment, made unless it is here; of many who wait for it one makes it.

        Parameters
        ----------
        requirements
            What is in it.
        purpose
            What for, as the beginning of an error.
        report
            Gets progress and notes.
        oldest
            Python that what runs in it needs at least.

        Raises
        ------
        MissingPackageError
            If uv is not installed.
        DownloadError, NotFoundError, IntegrityError, StorageError
            If it cannot be made; says which package is missing.
        SpecError
            If it is to have a Python that is too old.
        """
        found = self.find(requirements)
        if found is None:
            if tuple(map(int, requirements.python.split("."))) < oldest:
                needed = ".".join(map(str, oldest))
                raise SpecError(
                    f"{purpose}: it asks for Python {requirements.python}, and a worker needs {needed} or later"
                )
            with self._locked(requirements.digest):
                found = self._read(requirements.digest)  # somebody was quicker
                if found is None:
                    found = self._make(requirements, purpose, report)
        with contextlib.suppress(OSError):  # a cache that is read-only
            os.utime(found.folder)
        return found

    def _make(self, requirements: Requirements, purpose: str, report: Report) -> Environment:
        target = self.root / requirements.digest
        making = target.with_name(f".making-{requirements.digest}")
        task = f"make the environment {requirements.digest[:_SHOWN]} ({', '.join(_asked(requirements))})"
        report(Started(task))
        with explained(f"write into {self.root}"):
            shutil.rmtree(making, ignore_errors=True)  # begun by somebody who was killed
            making.mkdir(mode=0o700)
        try:
            packages = _install(requirements, making, purpose, report)
            document = {"python": requirements.python, "packages": packages, "asked": _asked(requirements)}
            with explained(f"write into {self.root}"):
                (making / "environment.json").write_text(json.dumps(document), encoding="utf-8")
                making.rename(target)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        report(Finished(task))
        found = self._read(requirements.digest)
        assert found is not None
        return found

    def entries(self) -> list[Environment]:
        """Return all environments, the least recently used first."""
        found = (self._read(path.name) for path in self.root.glob("[0-9a-f]*") if path.is_dir())
        return sorted((e for e in found if e is not None), key=lambda entry: entry.used)

    def prune(self, *, unused_days: float = 0) -> tuple[list[Environment], list[Environment]]:
        """Remove what was not used for so many days; return what went, and what had to stay as a worker runs in it."""
        removed: list[Environment] = []
        busy: list[Environment] = []
        for entry in self.entries():
            if time.time() - entry.used >= unused_days * 86_400:
                (removed if self._remove(entry) else busy).append(entry)
        for left in self.root.glob(".making-*"):
            with self._locked(left.name.removeprefix(".making-"), timeout=0) as free:
                if free:
                    shutil.rmtree(left, ignore_errors=True)
        return removed, busy

    def _remove(self, entry: Environment) -> bool:
        with self._locked(entry.digest, timeout=0) as free, self._used(entry.digest).open("ab") as file:
            if not free or not _hold(file, alone=True):
                return False
            with explained(f"remove {entry.folder}"):
                gone = entry.folder.with_name(f".making-{entry.digest}")
                shutil.rmtree(gone, ignore_errors=True)
                entry.folder.rename(gone)  # in one step: nobody finds half of it
                shutil.rmtree(gone)
            return True

    @contextlib.contextmanager
    def using(self, environment: Environment) -> Iterator[None]:
        """Keep an environment from being removed."""
        try:
            file = self._used(environment.digest).open("ab")
        except OSError:  # a cache that is read-only is not pruned either
            yield
            return
        with file:
            _hold(file, alone=False)
            if not environment.interpreter.exists():
                raise NotFoundError(f"environment {environment.digest[:_SHOWN]} was removed meanwhile: load again")
            yield

    def _used(self, digest: str) -> Path:
        return self.root / f"{digest}.used"

    def _read(self, digest: str) -> Environment | None:
        folder = self.root / digest
        try:
            document = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
            packages, asked = tuple(document["packages"]), tuple(document["asked"])
            return Environment(digest, folder, document["python"], packages, asked, folder.stat().st_mtime)
        except (OSError, ValueError, KeyError):
            return None

    @contextlib.contextmanager
    def _locked(self, digest: str, *, timeout: float = -1) -> Iterator[bool]:
        import filelock  # not at the top: an environment that is there needs no lock

        with explained(f"write into {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = filelock.FileLock(self.root / f"{digest}.lock", timeout=timeout)
            with contextlib.suppress(filelock.Timeout):
                lock.acquire()
        try:
            yield lock.is_locked
        finally:
            lock.release()


def _install(requirements: Requirements, folder: Path, purpose: str, report: Report) -> list[str]:
    """Make the environment in a folder, and return what is in it: nothing is built, and every file has its hash."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}" == requirements.python
    python = getattr(sys, "_base_executable", sys.executable) if here else requirements.python
    run_uv("venv", "--relocatable", "--no-project", "--python", python, "venv", folder=folder, purpose=purpose)
    lock = folder / "requirements.txt"
    if requirements.locked:
        lock.write_text(str(requirements), encoding="utf-8")
    else:
        report(Note(f"{purpose}: its files are not known by hash, so those of your package index are taken and kept"))
        text = compile_lock(str(requirements), python=str(_interpreter(folder)), folder=folder, purpose=purpose)
        lock.write_text(f"# python {requirements.python}\n{text}", encoding="utf-8")
    flags = ("--require-hashes", "--no-deps", "--no-build", "--strict")
    where = ("--python", str(_interpreter(folder)))
    run_uv("pip", "install", *flags, *where, "--requirement", lock.name, folder=folder, purpose=purpose)
    return run_uv("pip", "freeze", *where, folder=folder, purpose=purpose).split()


def compile_lock(text: str, *, python: str, folder: Path, purpose: str, timeout: float | None = None) -> str:
    """Name all packages that some packages need, each by version and hashes, by uv's index."""
    asked = folder / "asked.txt"
    asked.write_text(text, encoding="utf-8")
    flags = ("--generate-hashes", "--no-header", "--no-annotate", "--no-build", "--python", python)
    return run_uv("pip", "compile", *flags, asked.name, folder=folder, purpose=purpose, timeout=timeout)


def timeout_of(variable: str, default: float) -> float:
    """Read a number of seconds from an environment variable."""
    return number_of(variable, default, "seconds")


def number_of(variable: str, default: float, unit: str = "GB") -> float:
    """Read a number above 0 from an environment variable."""
    text = os.environ.get(variable) or str(default)
    with contextlib.suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise SpecError(f"{variable} is {text!r}: a number of {unit} is needed")


def _asked(requirements: Requirements) -> list[str]:
    return [pin.name if pin.version is None else f"{pin.name}=={pin.version}" for pin in requirements.pins
            if pin.name in RUNTIMES]  # fmt: skip


def _interpreter(folder: Path) -> Path:
    parts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return folder.joinpath("venv", *parts)


def _hold(file: IO[bytes], *, alone: bool) -> bool:
    """Hold a file until it is closed, with others or alone; without waiting."""
    try:
        import fcntl
    except ImportError:  # Windows removes no file that is in use
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _default_root() -> Path:
    if named := os.environ.get(FOLDER):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("modelstac")) / "environments"
