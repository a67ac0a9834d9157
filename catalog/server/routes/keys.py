"""Write keys: several, each with a name, stored as hashes and revocable while the server runs."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request

from modelstac.catalog.errors import InvalidItemError, UnauthorizedError
from modelstac.catalog.journal import LOCAL, Writer, set_writer
from modelstac.catalog.server.listed import Listed

PREFIX = "msk_"


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


class Keys(Listed[Key]):
    """The keys in a file.

    Parameters
    ----------
    path
        A JSON file; without it there is no key and every write is refused.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "key", lambda fields: Key(**fields), _stored)

    def make(self, name: str, *, team: str | None = None) -> str:
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
        if name.startswith(LOCAL):
            raise InvalidItemError(f"key {name[:60]!r}: a name without {LOCAL!r} is needed, for a user of a machine")
        text = PREFIX + secrets.token_urlsafe(32)
        self.add(Key(name, _hash(text), datetime.now(UTC).isoformat(timespec="seconds"), team))
        return text

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
                "a key is needed: send 'Authorization: Bearer KEY' (made by 'modelstac keys add NAME')"
            )
        found = _hash(text.strip())
        for key in self.all():
            if secrets.compare_digest(key.sha256, found):
                return Writer(key.name, key.team)
        raise UnauthorizedError("this key is unknown or was revoked: ask the keeper of the catalog for another")


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


def _stored(key: Key) -> dict[str, Any]:
    return {name: value for name, value in vars(key).items() if value is not None}


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
