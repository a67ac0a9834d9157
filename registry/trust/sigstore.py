"""Signatures without a key of one's own: an identity that an OpenID provider vouches for, in Sigstore's public log.

It needs the network to sign, and to learn whom to trust; another instance than the public one is named by a file
(``ClientTrustConfig`` of sigstore).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DownloadError, SpecError
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.files.download import OFFLINE, offline
from modelstac.registry.trust.bundle import SIGSTORE, existing, line, package, signed, verify_files

if TYPE_CHECKING:
    import pystac

TRUST_CONFIG = "MODELSTAC_SIGSTORE"


def sign(
    item: pystac.Item, *, token: str | None = None, interactive: bool = True, report: Report = ignore
) -> dict[str, Any]:
    """Sign an item by an identity, after fetching and verifying all its files, and return its asset ``signature``.

    Parameters
    ----------
    item
        As published.
    token
        OpenID token of the identity; by default that of the machine (of GitHub's or GitLab's jobs, for example), or
        else the browser asks.
    interactive
        Whether a person can answer.

    Raises
    ------
    DownloadError
        If Sigstore cannot be reached, or does not take the token.
    IntegrityError, UntrustedError
        If a file is not the one that the item says, or has no checksum.
    MissingPackageError
        If model-signing is not installed.
    """
    _require_network(f"signing {item.id!r} by Sigstore")
    verify_files(item, report=report)
    signing: Any = package("signing", f"signing {item.id!r}")
    try:
        config = signing.Config().use_sigstore_signer(
            identity_token=token,
            use_ambient_credentials=True,
            force_oob=not interactive,
            trust_config=_trust_config(),
        )
        return signed(item, config)
    except Exception as error:  # of sigstore, TUF, requests and OpenID, with no class in common
        raise _unreachable(f"item {item.id!r} was not signed", error) from error


def verifier(verifying: Any, who: str, item_id: str) -> Any:
    """Return what verifies signatures of ``IDENTITY,ISSUER``.

    Raises
    ------
    SpecError
        If that is no identity and issuer.
    DownloadError
        If Sigstore cannot be reached.
    """
    identity, _, issuer = who.rpartition(",")
    if not identity or "://" not in issuer:
        raise SpecError(
            f"{SIGSTORE}{who} is no identity: write {SIGSTORE}IDENTITY,ISSUER, such as "
            f"{SIGSTORE}me@example.org,https://accounts.google.com"
        )
    _require_network(f"verifying {item_id!r} by Sigstore")
    try:
        return verifying.Config().use_sigstore_verifier(
            identity=identity, oidc_issuer=issuer, trust_config=_trust_config()
        )
    except Exception as error:
        raise _unreachable(f"item {item_id!r} was not verified", error) from error


def _trust_config() -> Path | None:
    named = os.environ.get(TRUST_CONFIG)
    return existing(named) if named else None


def _require_network(purpose: str) -> None:
    if offline():
        raise DownloadError(f"{purpose} needs the network, which {OFFLINE} forbids: use a key (--key), or unset that")


def _unreachable(what: str, error: Exception) -> DownloadError:
    return DownloadError(
        f"{what}: Sigstore cannot be reached or refuses ({line(error)}); check network and token, or use a key (--key)"
    )
