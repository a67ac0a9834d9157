"""One request to a service: signed as Standard Webhooks says, and sent to an address that everybody has.

Source: https://github.com/standard-webhooks/standard-webhooks, 1.0.0.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import h11
import orjson

from modelstac.catalog.errors import StorageError
from modelstac.catalog.server.webhooks.hooks import PREFIX, Hook
from modelstac.catalog.server.webhooks.outbox import Delivery

_TYPES = {"publish": "item.published", "promote": "alias.moved", "demote": "alias.removed"}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LEAST, _MOST = 200, 300
_PIECE = 65_536


def content(delivery: Delivery) -> bytes:
    """Return the body: what happened, and where it is below the server's address."""
    entry = delivery.entry
    data: dict[str, Any] = {"collection": entry.collection, "item": entry.item, "by": entry.by} | dict(entry.detail)
    data["path"] = f"collections/{quote(entry.collection or '', safe='')}/items/{quote(entry.item or '', safe='')}"
    return orjson.dumps({"type": _TYPES[entry.action], "timestamp": entry.at, "data": data})


def signed(hook: Hook, delivery: Delivery, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body; the id is the same each time it is sent.

    It is of the moment, too: a database that was restored from a copy gives the numbers after it once more.
    """
    secret = base64.b64decode(hook.secret.removeprefix(PREFIX))
    told = f"{delivery.entry.number} {delivery.entry.at}"
    number = hmac.new(secret, told.encode(), hashlib.sha256).hexdigest()[:24]
    message, moment = f"msg_{number}", str(int(time.time()))
    return {
        "Content-Type": "application/json",
        "User-Agent": "modelstac-webhooks",
        "webhook-id": message,
        "webhook-timestamp": moment,
        "webhook-signature": signature(hook.secret, message, moment, body),
    }


def signature(secret: str, message: str, moment: str, body: bytes) -> str:
    """Return the signature of a body, by a secret (``whsec_`` and base64), its id and its time (seconds since 1970)."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.new(key, f"{message}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


async def send(hook: Hook, delivery: Delivery, *, private: bool, seconds: float) -> None:
    """Send it.

    Parameters
    ----------
    private
        Whether addresses of one's own network may be sent to, too.
    seconds
        How long the service may take, from the look-up of its name to the status of its answer.

    Raises
    ------
    StorageError
        If it was not taken, with why.
    """
    body, parts = content(delivery), urlsplit(hook.url)
    host = str(parts.hostname)
    try:
        async with asyncio.timeout(seconds):
            status = await _posted(parts, signed(hook, delivery, body), body, private=private)
    except TimeoutError as error:
        raise StorageError(f"{host} does not answer within {seconds:g} s") from error
    except StorageError:  # an OSError, too, that has said all
        raise
    except (OSError, h11.ProtocolError) as error:
        raise StorageError(f"nothing answers at {host}: {type(error).__name__}") from error
    # Nothing follows a redirection: it could lead to where nothing may be sent.
    if not _LEAST <= status < _MOST:
        raise StorageError(f"{host} answers with status {status}")


async def _posted(parts: SplitResult, headers: Mapping[str, str], body: bytes, *, private: bool) -> int:
    """Send a body and return the status of the answer; of the rest of it nothing is read."""
    host, secure = str(parts.hostname), parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    # The address that was looked at is the one that is connected to: a name may lead elsewhere a moment later.
    address = await _address(host, port, private=private)
    context = ssl.create_default_context() if secure else None
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host if secure else None)
    try:
        connection = h11.Connection(h11.CLIENT)
        writer.write(connection.send(_request(parts, headers, body)) or b"")
        writer.write(connection.send(h11.Data(body)) or b"")
        while not isinstance(event := connection.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_PIECE))
        return event.status_code
    finally:
        writer.transport.abort()


def _request(parts: SplitResult, headers: Mapping[str, str], body: bytes) -> h11.Request:
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    said = {"Host": parts.netloc, "Content-Length": str(len(body)), "Connection": "close"} | dict(headers)
    return h11.Request(method="POST", target=target, headers=list(said.items()))


async def _address(host: str, port: int, *, private: bool) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = [str(one[4][0]) for one in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise StorageError(f"the name {host} is unknown: check the address of the webhook") from error
    if not private and not all(map(_is_public, found)):
        allowed = "MODELSTAC_WEBHOOK_PRIVATE=1 allows it"
        raise StorageError(f"{host} is an address of a private network, to which nothing is sent ({allowed})")
    return found[0]


def _is_public(address: str) -> bool:
    """Tell whether an address is everybody's, also where it holds another one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            return _is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        if (inner := found.ipv4_mapped or found.sixtofour) is not None:
            return _is_public(str(inner))
        if found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast
