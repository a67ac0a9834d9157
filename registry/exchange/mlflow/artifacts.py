"""The files of a model that MLflow keeps: behind its server, in an object store, or in a folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from modelstac.catalog.errors import NotFoundError, StorageError, UntrustedError
from modelstac.catalog.items.digests import sha256
from modelstac.catalog.later import needing
from modelstac.registry.exchange.mlflow.tracking import Tracking
from modelstac.registry.exchange.taken import placed

_PROXY = "api/2.0/mlflow-artifacts/artifacts"
_STORES = frozenset({"s3", "gs", "az", "abfs", "abfss", "adl"})
MAX_FILES = 10_000


@dataclass(frozen=True)
class Files:
    """Files below an address.

    Parameters
    ----------
    tracking
        The server that names the address.
    root
        The address: ``mlflow-artifacts:/…``, of an object store, or a path.
    max_bytes
        Largest file that is fetched.
    """

    tracking: Tracking
    root: str
    max_bytes: int

    def names(self) -> list[str]:
        """Return the paths of all files.

        Raises
        ------
        NotFoundError, StorageError
            If the address is not there, or cannot be reached from here.
        """
        scheme = urlsplit(self.root).scheme
        if scheme == "mlflow-artifacts":
            return list(self._listed(""))
        if scheme in _STORES:
            return self._stored()
        folder = self._folder()
        return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]

    def fetch(self, name: str, into: Path) -> tuple[Path, str]:
        """Write a file below a folder, and return its path and its SHA-256."""
        target = placed(into, name, where="the model of MLflow")
        scheme = urlsplit(self.root).scheme
        if scheme == "mlflow-artifacts":
            server = self.tracking.server
            path = f"{_PROXY}/{quote(self._below(name))}"
            return target, server.fetch(path, target, max_bytes=self.max_bytes)
        if scheme in _STORES:
            return target, self._from_store(name, target)
        source = self._folder() / name
        if source.stat().st_size > self.max_bytes:
            raise UntrustedError(f"{source} has more than {self.max_bytes} bytes")
        shutil.copyfile(source, target)
        return target, sha256(target)

    def send(self, name: str, source: Path) -> None:
        """Write a file there.

        Raises
        ------
        ModelStacError
            If it cannot be reached from here.
        """
        scheme = urlsplit(self.root).scheme
        if scheme == "mlflow-artifacts":
            self.tracking.server.send(f"{_PROXY}/{quote(self._below(name))}", source)
        elif scheme in _STORES:
            with needing(f"writing to {self.root}"):
                import obstore
                from obstore.exceptions import BaseError
                from obstore.store import from_url

            try:
                obstore.put(from_url(self.root), name, source)
            except (BaseError, OSError, ValueError) as error:
                raise StorageError(f"{name} cannot be written to MLflow's {self.root}: {_line(error)}") from error
        else:
            root = Path(unquote(urlsplit(self.root).path))
            if scheme not in {"", "file"} or not root.parent.is_dir():
                self._folder()  # says what to do
            target = placed(root, name, where="the model")
            shutil.copyfile(source, target)

    def _below(self, path: str) -> str:
        root = unquote(urlsplit(self.root).path).strip("/")
        return "/".join(filter(None, (root, path)))

    def _listed(self, folder: str) -> Iterator[str]:
        waiting, count = [folder], 0
        while waiting:
            here = waiting.pop()
            params = {"path": self._below(here)}
            for one in self.tracking.server.ask("GET", _PROXY, params=params).get("files", []):
                count += 1
                if count > MAX_FILES:
                    raise UntrustedError(f"the model of MLflow has more than {MAX_FILES} files, as no model has")
                path = "/".join(filter(None, (here, str(one["path"]).rpartition("/")[2])))
                if one.get("is_dir"):
                    waiting.append(path)
                else:
                    yield path

    def _stored(self) -> list[str]:
        with needing(f"reading {self.root}"):
            import obstore
            from obstore.exceptions import BaseError
            from obstore.store import from_url

        try:
            listed = obstore.list(from_url(self.root)).collect()
        except (BaseError, OSError, ValueError) as error:
            raise StorageError(f"the files of MLflow at {self.root} cannot be listed: {_line(error)}") from error
        return [str(one["path"]) for one in listed]

    def _from_store(self, name: str, target: Path) -> str:
        with needing(f"reading {self.root}"):
            import obstore
            from obstore.exceptions import BaseError
            from obstore.store import from_url

        digest, size = hashlib.sha256(), 0
        try:
            with target.open("wb") as file:
                for chunk in obstore.get(from_url(self.root), name).stream():
                    size += len(chunk)
                    if size > self.max_bytes:
                        raise UntrustedError(f"{name} of MLflow has more than {self.max_bytes} bytes")
                    digest.update(chunk)
                    file.write(chunk)
        except (BaseError, ValueError) as error:
            raise StorageError(f"{name} of MLflow at {self.root} cannot be read: {_line(error)}") from error
        return digest.hexdigest()

    def _folder(self) -> Path:
        parts = urlsplit(self.root)
        if parts.scheme not in {"", "file"}:
            raise StorageError(
                f"MLflow keeps the model at {parts.scheme}:…, which cannot be read from here: start its server with "
                "--serve-artifacts"
            )
        folder = Path(unquote(parts.path))
        if not folder.is_dir():
            raise NotFoundError(
                f"MLflow says that the model lies in {folder}, which is not on this machine: start its server with "
                "--serve-artifacts"
            )
        return folder


def _line(error: Exception) -> str:
    return " ".join(str(error).partition("\n")[0].split())[:200]
