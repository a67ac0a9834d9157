"""Which services are told of what: a file beside the keys, whose secrets sign what is sent."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelstac.catalog.credentials import bare
from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.server.listed import Listed

PREFIX = "whsec_"
EVENTS = {"publish": ("publish",), "alias": ("promote", "demote")}
"""What a service may be told of, and which entries of the audit log that is."""


@dataclass(frozen=True)
class Hook:
    """One service.

    Parameters
    ----------
    name, url
        What it is called here, and the address that is sent to.
    secret
        Signs what is sent (Standard Webhooks: ``whsec_`` and base64).
    events
        Of :data:`EVENTS`.
    created
        It is told of what happens from then on (RFC 3339, UTC).
    """

    name: str
    url: str = field(repr=False)  # may hold a secret, too
    secret: str = field(repr=False)
    events: tuple[str, ...]
    created: str

    def wants(self, action: str, at: str) -> bool:
        """Tell whether it is told of an entry of the audit log."""
        return at >= self.created and any(action in EVENTS.get(event, ()) for event in self.events)


class Hooks(Listed[Hook]):
    """The services in a file, which only its owner may read.

    Parameters
    ----------
    path
        A JSON file; without it nobody is told of anything.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "webhook", _read, asdict, private=True)

    def make(self, name: str, url: str, events: tuple[str, ...] = tuple(EVENTS)) -> Hook:
        """Add a service and return it with its secret, which is shown this once.

        Raises
        ------
        InvalidItemError
            If the address or an event is none.
        ItemExistsError
            If the name is taken.
        """
        if not _is_address(url):
            raise InvalidItemError(
                f"webhook {bare(url)[:80]!r}: an address such as https://example.org/models is needed"
            )
        if unknown := [event for event in events if event not in EVENTS]:
            raise InvalidItemError(f"webhook {name!r}: there is no event {unknown[0]!r}; known: {', '.join(EVENTS)}")
        secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        hook = Hook(name, url, secret, events, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        self.add(hook)
        return hook


def _read(fields: Mapping[str, Any]) -> Hook:
    return Hook(**(dict(fields) | {"events": tuple(fields["events"])}))


def _is_address(url: str) -> bool:
    """Tell whether one can send there: of the web, in ASCII, with nobody's password in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return (
        plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and port != 0
    )
