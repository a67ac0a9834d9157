"""Who one is to a server: user and password of a URL, a token for its host, or ``~/.netrc``.

What was typed in the URL of a catalog or an item is kept in this process, for that server alone, and taken out of the
URL at once: no item, message, log or note of the cache has it.

Sources: RFC 7617 (Basic), RFC 6750 (Bearer), RFC 3986, 3.2.1 (user information in URLs).
"""

from __future__ import annotations

import base64
import ipaddress
import logging
import os
import re
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from modelstac.catalog.terminal import harmless

LOG = logging.getLogger("modelstac")
VARIABLE = "MODELSTAC_TOKEN"
_WEB = frozenset({"http", "https"})
_NONE = re.compile(r"[^\x20-\x5a\x5c\x5e-\x7e]")  # brackets, and letters that look like signs of a URL
_TYPED: dict[tuple[str, str], str] = {}
"""Header by scheme, and host and port, of URLs that somebody typed in this process."""
_TOLD: set[tuple[str, str]] = set()
"""Servers of which :func:`warn_unencrypted` has spoken."""


def shown(href: str) -> str:
    """Return a URL without what may be secret in it: user, password, signature."""
    parts = _split(href)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def bare(href: str) -> str:
    """Return a URL without user and password; anything else as it is."""
    if "@" not in href or "://" not in href:
        return href
    parts = _split(href)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def is_secret(href: str) -> bool:
    """Tell whether a URL has a password, or a user of the web, who may be a token."""
    if "@" not in href or "://" not in href:
        return False
    parts = _split(href)
    return parts.password is not None or (parts.scheme in _WEB and bool(parts.username))


def without_secrets(document: Any) -> Any:
    """Return a JSON document of which no ``href`` has user and password."""
    if isinstance(document, dict):
        return {
            name: bare(value) if name == "href" and isinstance(value, str) else without_secrets(value)
            for name, value in document.items()
        }
    return [without_secrets(value) for value in document] if isinstance(document, list) else document


def typed(href: str) -> str:
    """Take user and password out of a URL that somebody typed; this process knows them for that server from now on."""
    parts = _split(href)
    if parts.scheme not in _WEB or parts.username is None:
        return href
    _TYPED[_server(parts)] = _basic(parts)
    return bare(href)


def identified(href: str) -> tuple[str, dict[str, str]]:
    """Return a URL without user and password, and the header by which its server knows one; none where nobody said.

    What the URL says counts most, then what was typed before, ``MODELSTAC_TOKEN_<HOST>``, and ``~/.netrc``.
    """
    parts = _split(href)
    if parts.scheme not in _WEB:
        return href, {}
    found = _basic(parts) if parts.username is not None else _TYPED.get(_server(parts))
    if found is None and (token := _token(parts.hostname)) is not None:
        found = f"Bearer {token}"
    if found is None:
        found = _from_netrc(parts.hostname)
    if found is None:
        return bare(href), {}
    warn_unencrypted(href)
    return bare(href), {"Authorization": found}


def warn_unencrypted(href: str) -> None:
    """Say, once of each server, that what one is known by goes there unencrypted: by http, to another machine."""
    parts = _split(href)
    if parts.scheme != "http" or _server(parts) in _TOLD or _is_here(parts.hostname or ""):
        return
    _TOLD.add(_server(parts))
    LOG.warning(
        "your key, token or password goes to %s unencrypted, and whoever is on the way can read it: use https://",
        harmless(_server(parts)[1]),
    )


def variable(host: str | None) -> str:
    """Return the variable of the token for a host: dots are one underscore, dashes two.

    So that no other host has the same: ``data-example.org`` is somebody else than ``data.example.org``.
    """
    name = (host or "").replace("-", "__").replace(".", "_").replace(":", "_")
    return f"{VARIABLE}_{name.upper()}"


def refusal(href: str, status: int) -> str:
    """Say of a server that does not let one in what happened, and what to do."""
    parts = _split(href)
    given = bool(identified(href)[1])
    if status == 401:
        what = "takes no such user, password or token" if given else "wants to know who you are"
    else:
        what = "does not let you read it" if given else "does not let everybody read it"
    advice = f"set {variable(parts.hostname)} to a token, or give credentials for {parts.hostname} in ~/.netrc"
    return f"the server {what} ({status}): {advice}"


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _split(href: str) -> SplitResult:
    """Take a URL apart; of one of somebody's that is none, what is left without what makes it none."""
    try:
        return urlsplit(href)
    except ValueError:
        return urlsplit(_NONE.sub("", href))


def _server(parts: SplitResult) -> tuple[str, str]:
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _basic(parts: SplitResult) -> str:
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _token(host: str | None) -> str | None:
    if host is None or "_" in host:  # ``a_b`` would have the variable of ``a.b``, and is another's
        return None
    token = os.environ.get(variable(host), "").strip()
    return token if token and "\n" not in token else None


def _from_netrc(host: str | None) -> str | None:
    import netrc

    try:
        login, _, password = netrc.netrc(os.environ.get("NETRC")).hosts[host or ""]
    except (KeyError, OSError, netrc.NetrcParseError):  # the usual: there is no such file
        return None
    return f"Basic {base64.b64encode(f'{login}:{password or str()}'.encode()).decode()}"
