"""The files of a package: a folder, an archive, or addresses on the web, each held against the SHA-256 it states.

The YAML is read here and not by bioimageio.spec: that brings nine packages and asks the web about every link, for
what are a few dozen fields.

Source: https://github.com/bioimage-io/spec-bioimage-io, model descriptions 0.4 and 0.5.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np

from modelstac.catalog.credentials import bare, shown, typed
from modelstac.catalog.errors import (
    IntegrityError,
    InvalidItemError,
    ModelStacError,
    NotFoundError,
    SpecError,
    StorageError,
    UntrustedError,
)
from modelstac.registry.exchange.bioimageio.naming import NAMES
from modelstac.registry.exchange.taken import MAX_TEXT, placed, read_yaml, safe_name
from modelstac.registry.files.download import Source, download

KNOWN = ((0, 4), (0, 5))
_MAX_FILES = 10_000


@dataclass
class Package:
    """An opened package.

    Parameters
    ----------
    rdf
        Its description.
    where
        What it is called in messages.
    into
        Where its files are put.
    root
        Its folder; None where it is on the web.
    base
        Address that those of its files are relative to; None on this machine.
    max_bytes
        Largest file.
    digests
        SHA-256 of the files that were read.
    """

    rdf: Mapping[str, Any]
    where: str
    into: Path
    root: Path | None
    base: str | None
    max_bytes: int
    digests: dict[str, str] = field(default_factory=dict)

    def file(self, source: Any, sha256: Any = None) -> Path:
        """Return a file of the package, fetched where it is elsewhere.

        Raises
        ------
        NotFoundError, StorageError, DownloadError
            If it is not there, or cannot be read.
        IntegrityError
            If it is not the one that its SHA-256 states.
        """
        if isinstance(source, Mapping):
            source, sha256 = source.get("source"), source.get("sha256", sha256)
        if not isinstance(source, str) or not source:
            raise InvalidItemError(f"{self.where} names a file by {source!r:.60}, which is no text")
        on_web = source.startswith(("http://", "https://"))
        if on_web or self.base is not None:
            href = _address(source, self.base, self.where)
            name = PurePosixPath(unquote(urlsplit(href).path)).name or "file"
            path = placed(self.into, f"{hashlib.sha256(href.encode()).hexdigest()[:8]}/{name}", where=self.where)
            found = _fetch(href, path, self.max_bytes, f"{name} of {self.where}")
        else:
            assert self.root is not None
            path = self.root / safe_name(source, where=self.where)
            if not path.resolve().is_relative_to(self.root.resolve()):
                raise InvalidItemError(
                    f"{self.where} names the file {source!r}, a link that leads out of it: copy it there"
                )
            found = _digest(path, self.where)
        self.digests[bare(source) if on_web else source] = found
        if sha256 is not None and found != sha256:
            raise IntegrityError(
                f"{source} of {self.where} is not the file that it states: its SHA-256 is {found}, stated is {sha256}"
            )
        return path

    def array(self, source: Any, sha256: Any = None) -> np.ndarray[Any, Any]:
        """Return an array of the package (``.npy``).

        Raises
        ------
        InvalidItemError
            If it is none.
        """
        path = self.file(source, sha256)
        try:
            found = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        except (ValueError, OSError, EOFError, MemoryError) as error:
            raise InvalidItemError(f"{path.name} of {self.where} is no array (.npy): {error}") from error
        return np.asarray(found)


def open_package(text: str, folder: Path, into: Path, *, max_bytes: int) -> Package:
    """Open a package.

    Parameters
    ----------
    text
        Path or URL of its YAML, its folder or its archive.
    folder
        What a path is relative to.
    into
        Folder for its files.
    max_bytes
        Largest file.

    Raises
    ------
    NotFoundError, StorageError, DownloadError
        If it is not there, or cannot be read.
    InvalidItemError
        If it is none.
    SpecError
        If it is of a version of the format that is not known here.
    """
    if text.startswith(("http://", "https://")):
        return _on_web(typed(text), into, max_bytes)
    path = folder / text
    if path.is_dir():
        path = next((path / name for name in NAMES if (path / name).is_file()), path / NAMES[0])
    if path.suffix == ".zip":
        path = _unpacked(path, into / "package", max_bytes)
    return Package(_read(path, path.name), path.name, into, path.parent, None, max_bytes)


def _on_web(href: str, into: Path, max_bytes: int) -> Package:
    name = PurePosixPath(unquote(urlsplit(href).path)).name or "package"
    path = placed(into, f"web/{name}", where=shown(href))
    _fetch(href, path, max_bytes, f"the package {shown(href)}")
    if zipfile.is_zipfile(path):
        path = _unpacked(path, into / "package", max_bytes)
        return Package(_read(path, shown(href)), shown(href), into, path.parent, None, max_bytes)
    return Package(_read(path, shown(href)), shown(href), into, None, href, max_bytes)


def _read(path: Path, where: str) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MAX_TEXT:
            raise UntrustedError(f"{where} has more than {MAX_TEXT} bytes, as no description has")
        found = read_yaml(path.read_bytes(), where=where)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}: name the package, its folder or its archive") from error
    except OSError as error:
        if isinstance(error, ModelStacError):
            raise
        raise StorageError.doing(f"read {path}", error) from error
    if not isinstance(found, Mapping) or "format_version" not in found:
        raise InvalidItemError(f"{where} has no format_version: it is no package of bioimage.io")
    if found.get("type", "model") != "model":
        raise SpecError(f"{where} describes a {found.get('type')}, and models alone are taken")
    match = re.match(r"(\d+)\.(\d+)", str(found["format_version"]))
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version not in KNOWN:
        age = "a newer" if version > KNOWN[-1] else "an older"
        known = " and ".join(f"{major}.{minor}" for major, minor in KNOWN)
        raise SpecError(
            f"{where} has the format version {found['format_version']}, {age} one than is known here ({known}): "
            + ("update modelstac, or ask for an export of 0.5" if age == "a newer" else "ask its publisher for 0.5")
        )
    return found


def unpack(path: Path, folder: Path, max_bytes: int) -> None:
    """Unpack an archive into a folder.

    Raises
    ------
    NotFoundError, InvalidItemError
        If it is not there, or is none.
    UntrustedError
        If it would unpack to more than ``max_bytes``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > max_bytes or len(members) > _MAX_FILES:
                raise UntrustedError(f"{path.name} would unpack to more than {max_bytes} bytes, or {_MAX_FILES} files")
            for member in members:
                target = placed(folder, member.filename, where=path.name)
                with archive.open(member) as incoming, target.open("wb") as outgoing:
                    shutil.copyfileobj(incoming, outgoing, 1 << 20)
    except ModelStacError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}: check the path") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise InvalidItemError(f"{path.name} is no archive, or a damaged one ({error})") from error


def _unpacked(path: Path, folder: Path, max_bytes: int) -> Path:
    """Unpack an archive, and return the path of its description."""
    unpack(path, folder, max_bytes)
    found = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if found is None:
        raise InvalidItemError(f"{path.name} has no rdf.yaml at its top: it is no package of bioimage.io")
    return found


def _address(source: str, base: str | None, where: str) -> str:
    """Return where on the web a file is; a description from there names none of this machine, nor of a store."""
    try:
        href = urljoin(base or "", source)
        if urlsplit(href).scheme in {"http", "https"}:
            return href
    except ValueError:  # brackets that are no address
        pass
    raise InvalidItemError(f"{where} names the file {source!r:.80}, which is none on the web: ask its publisher")


def _fetch(href: str, path: Path, max_bytes: int, what: str) -> str:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in download(Source(href, "", None, what), start=0):
            size += len(chunk)
            if size > max_bytes:
                raise UntrustedError(f"{what} has more than {max_bytes} bytes")
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _digest(path: Path, where: str) -> str:
    if not path.is_file():
        raise NotFoundError(f"{where} names the file {path.name}, which is not there: fetch the whole package")
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
    return digest.hexdigest()
