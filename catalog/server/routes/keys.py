"""Write keys: several, each with a name, stored as hashes and revocable while the server runs."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelstac.catalog.backends.storage import Folder
from modelstac.catalog.errors import CatalogError, ItemExistsError, NotFoundError, StorageError, UnauthorizedError

PREFIX = "msk_"


@dataclass(frozen=True)
class Key:
    """What is kept of a write key. The key itself is random, 256 bits, so that a plain hash cannot be reversed."""

    name: str
    sha256: str
    created: str


class Keys:
    """The keys in a file.

    Parameters
    ----------
    path
        A JSON file; without it there is no key and every write is refused.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._read_at: tuple[int, int] | None = None
        self._known: list[Key] = []

    def all(self) -> list[Key]:
        """Return the keys as the file has them now; it is read again only after it changed.

        Raises
        ------
        CatalogError
            If the file is damaged.
        """
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._read_at:
                self._known = [Key(**fields) for fields in json.loads(self.path.read_bytes())]
                self._read_at = stamp
        except FileNotFoundError:
            self._known, self._read_at = [], None
        except OSError as error:
            raise StorageError.doing(f"read {self.path}", error, advice="check who may read it") from error
        except (ValueError, TypeError) as error:
            raise CatalogError(f"{self.path} is no file of keys: remove it and add the keys anew") from error
        return self._known

    def add(self, name: str) -> str:
        """Make a key and return it; it is shown this once.

        Raises
        ------
        ItemExistsError
            If the name is taken.
        """
        folder = Folder(self.path.parent)
        with folder.lock():
            known = self.all()
            if any(key.name == name for key in known):
                raise ItemExistsError(f"there is a key {name!r} in {self.path}: revoke it first, or take another name")
            text = PREFIX + secrets.token_urlsafe(32)
            self._write(folder, [*known, Key(name, _hash(text), datetime.now(UTC).isoformat(timespec="seconds"))])
        return text

    def revoke(self, name: str) -> None:
        """Take a key back; the server refuses it from its next request on.

        Raises
        ------
        NotFoundError
            If there is no such key.
        """
        folder = Folder(self.path.parent)
        with folder.lock():
            known = self.all()
            kept = [key for key in known if key.name != name]
            if len(kept) == len(known):
                raise NotFoundError.unknown("key", name, [key.name for key in known], where=str(self.path))
            self._write(folder, kept)

    def check(self, authorization: str | None) -> str:
        """Return the name of the key that an ``Authorization`` header carries.

        Raises
        ------
        UnauthorizedError
            If there is no key, an unknown or a revoked one.
        """
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.casefold() != "bearer" or not text.strip():
            raise UnauthorizedError(
                "writing needs a key: send 'Authorization: Bearer KEY' (made by 'modelstac keys add NAME')"
            )
        found = _hash(text.strip())
        for key in self.all():
            if secrets.compare_digest(key.sha256, found):
                return key.name
        raise UnauthorizedError("this key is unknown or was revoked: ask the keeper of the catalog for another")

    def _write(self, folder: Folder, keys: list[Key]) -> None:
        rows: list[dict[str, Any]] = [vars(key) for key in keys]
        folder.write(self.path.name, json.dumps(rows, indent=2).encode())


class Open(Keys):
    """No key is asked for: something in front of the server has checked who writes."""

    def check(self, authorization: str | None) -> str:  # noqa: ARG002 - it is not for this server
        """Take every writer."""
        return "open"


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
