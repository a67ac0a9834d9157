"""Which services are told of what: a file beside the keys, whose secrets sign what is sent."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from modelstac.catalog.backends.storage import Folder
from modelstac.catalog.credentials import bare
from modelstac.catalog.errors import CatalogError, InvalidItemError, ItemExistsError, NotFoundError, StorageError

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
    url: str
    secret: str
    events: tuple[str, ...]
    created: str

    def wants(self, action: str, at: str) -> bool:
        """Tell whether it is told of an entry of the audit log."""
        return at >= self.created and any(action in EVENTS.get(event, ()) for event in self.events)


class Hooks:
    """The services in a file, which only its owner may read.

    Parameters
    ----------
    path
        A JSON file; without it nobody is told of anything.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._read_at: tuple[int, int] | None = None
        self._known: list[Hook] = []

    def all(self) -> list[Hook]:
        """Return the services as the file has them now.

        Raises
        ------
        CatalogError
            If the file is damaged.
        """
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._read_at:
                read = json.loads(self.path.read_bytes())
                self._known = [Hook(**(fields | {"events": tuple(fields["events"])})) for fields in read]
                self._read_at = stamp
        except FileNotFoundError:
            self._known, self._read_at = [], None
        except OSError as error:
            raise StorageError.doing(f"read {self.path}", error, advice="check who may read it") from error
        except (RecursionError, ValueError, TypeError, KeyError) as error:
            raise CatalogError(f"{self.path} is no file of webhooks: remove it and add them anew") from error
        return self._known

    def add(self, name: str, url: str, events: tuple[str, ...] = tuple(EVENTS)) -> Hook:
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
        folder = Folder(self.path.parent)
        with folder.lock():
            known = self.all()
            if any(hook.name == name for hook in known):
                raise ItemExistsError(f"there is a webhook {name!r} in {self.path}: remove it first")
            secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
            made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            hook = Hook(name, url, secret, events, made)
            self._write(folder, [*known, hook])
        return hook

    def remove(self, name: str) -> None:
        """Take a service out; what was to be sent to it is not.

        Raises
        ------
        NotFoundError
            If there is none of this name.
        """
        folder = Folder(self.path.parent)
        with folder.lock():
            known = self.all()
            kept = [hook for hook in known if hook.name != name]
            if len(kept) == len(known):
                raise NotFoundError.unknown("webhook", name, [hook.name for hook in known], where=str(self.path))
            self._write(folder, kept)

    def _write(self, folder: Folder, hooks: list[Hook]) -> None:
        text = json.dumps([asdict(hook) for hook in hooks], indent=2)
        folder.write(self.path.name, text.encode(), private=True)


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
