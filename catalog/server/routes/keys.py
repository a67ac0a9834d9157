"""Write keys: several, each with a name, stored as hashes and revocable while the server runs."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request

from modelstac.catalog.backends.storage import Folder
from modelstac.catalog.errors import (
    CatalogError,
    InvalidItemError,
    ItemExistsError,
    NotFoundError,
    StorageError,
    UnauthorizedError,
)
from modelstac.catalog.journal import LOCAL, Writer, set_writer

PREFIX = "msk_"
_LONGEST = 200


@dataclass(frozen=True)
class Key:
    """What is kept of a write key. The key itself is random, 256 bits, so that a plain hash cannot be reversed.

    Parameters
    ----------
    team
        The sub-catalog whose models the key may write; None for all.
    """

    name: str
    sha256: str
    created: str
    team: str | None = None


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
        except (RecursionError, ValueError, TypeError) as error:
            raise CatalogError(f"{self.path} is no file of keys: remove it and add the keys anew") from error
        return self._known

    def add(self, name: str, *, team: str | None = None) -> str:
        """Make a key and return it; it is shown this once.

        Parameters
        ----------
        team
            The sub-catalog whose models it may write; None for all.

        Raises
        ------
        InvalidItemError
            If the name is none.
        ItemExistsError
            If the name is taken.
        """
        if not 0 < len(name) <= _LONGEST or not name.isprintable() or name.startswith(LOCAL):
            raise InvalidItemError(
                f"key {name[:60]!r}: a name of 1 to {_LONGEST} characters is needed, without {LOCAL!r}"
            )
        folder = Folder(self.path.parent)
        with folder.lock():
            known = self.all()
            if any(key.name == name for key in known):
                raise ItemExistsError(f"there is a key {name!r} in {self.path}: revoke it first, or take another name")
            text = PREFIX + secrets.token_urlsafe(32)
            made = datetime.now(UTC).isoformat(timespec="seconds")
            self._write(folder, [*known, Key(name, _hash(text), made, team)])
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

    def check(self, authorization: str | None) -> Writer:
        """Return whose key an ``Authorization`` header carries.

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
                return Writer(key.name, key.team)
        raise UnauthorizedError("this key is unknown or was revoked: ask the keeper of the catalog for another")

    def _write(self, folder: Folder, keys: list[Key]) -> None:
        rows: list[dict[str, Any]] = [
            {name: value for name, value in vars(key).items() if value is not None} for key in keys
        ]
        folder.write(self.path.name, json.dumps(rows, indent=2).encode())


class Open(Keys):
    """No key is asked for: something in front of the server has checked who writes."""

    def check(self, authorization: str | None) -> Writer:  # noqa: ARG002 - it is not for this server
        """Take every writer."""
        return Writer("open")


def admit(keys: Keys, request: Request) -> Writer:
    """Return who writes by a request, and note it for its log line and for the audit log.

    Raises
    ------
    UnauthorizedError
        As :meth:`Keys.check` does.
    """
    found = keys.check(request.headers.get("authorization"))
    request.state.writer = found.name
    set_writer(found)
    return found


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
