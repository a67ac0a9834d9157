"""Signatures over what a published item fixes for ever: its metadata, and through their checksums its files.

:mod:`modelstac.registry.trust.bundle` says what is signed; here are the keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from modelstac.catalog.errors import SpecError, UntrustedError
from modelstac.catalog.items.identity import SIGNATURE
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.trust.bundle import (
    SIGSTORE,
    Key,
    existing,
    hashing,
    line,
    package,
    read_bundle,
    signed,
    signed_folder,
    verify_files,
)

if TYPE_CHECKING:
    import pystac

# The message is the repr of a list with the repr of bytes in it, so quotes may be escaped.
_CHANGED = re.compile(r"mismatch for \\?'([^'\\]+)|model \\?'[^'\\]*\\?': ([^\"'\]\\]+)")


def sign(item: pystac.Item, key: Key, *, password: str | None = None, report: Report = ignore) -> dict[str, Any]:
    """Sign an item, after fetching and verifying all its files, and return its asset ``signature``.

    Parameters
    ----------
    item
        As published.
    key
        Private key: PEM file of an elliptic curve (P-256, P-384 or P-521).
    password
        Of the key, if it is encrypted.

    Raises
    ------
    IntegrityError, UntrustedError
        If a file is not the one that the item says, or has no checksum.
    SpecError
        If the file is no such key, or the password is not its own.
    MissingPackageError
        If model-signing is not installed.
    """
    verify_files(item, report=report)
    signing = package("signing", f"signing {item.id!r}")
    path = existing(key)
    secret = None if password is None else password.encode()
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=path, password=secret)
    except (ValueError, TypeError, AttributeError) as error:
        raise SpecError(f"{path} is no private key to sign with, or its password is another: {line(error)}") from error
    return signed(item, config)


def verify(item: pystac.Item, keys: Sequence[Key]) -> None:
    """Check that one of some keys signed the item as it is; the files are checked where they are read.

    Parameters
    ----------
    item
        As published.
    keys
        Public keys: PEM files; or identities of Sigstore, ``sigstore:IDENTITY,ISSUER``, for which it is asked whom it
        trusts.

    Raises
    ------
    UntrustedError
        If it is not signed, by none of them, or was changed since: names what.
    """
    if not keys:
        raise SpecError(f"no public key was named, so no signature of {item.id!r} could be right: name one")
    if SIGNATURE not in item.assets:
        raise UntrustedError(f"item {item.id!r} is not signed: sign it (modelstac sign), or require no signature")
    verifying = package("verifying", f"verifying {item.id!r}")
    data = read_bundle(item)
    with signed_folder(item) as folder:
        target = folder.with_name("signature.json")
        target.write_bytes(data)
        for key in keys:
            config = _verifier(verifying, key, item.id)
            try:
                config.set_hashing_config(hashing()).verify(folder, target)
            except Exception as error:
                if "Signature mismatch" in str(error):  # the key is right, what it signed is not what is here
                    raise UntrustedError(
                        f"item {item.id!r} was changed since it was signed by {key}: {_differing(str(error))}; fetch "
                        "it again from its publisher"
                    ) from error
            else:
                return
    raise UntrustedError(
        f"item {item.id!r} is signed by none of {', '.join(str(key) for key in keys)}: name the public key of its "
        "publisher, if you trust him"
    )


def _verifier(verifying: Any, key: Key, item_id: str) -> Any:
    if str(key).startswith(SIGSTORE):
        from modelstac.registry.trust.sigstore import verifier

        return verifier(verifying, str(key).removeprefix(SIGSTORE), item_id)
    path = existing(key)
    try:
        return verifying.Config().use_elliptic_key_verifier(public_key=path)
    except (ValueError, TypeError, AttributeError) as error:
        raise SpecError(f"{path} is no public key of an elliptic curve: {line(error)}") from error


def require(item: pystac.Item, keys: Sequence[Key] | None) -> None:
    """Refuse an item that none of the keys given, or by default of those that the setting names, has signed.

    Raises
    ------
    UntrustedError, SpecError
        As :func:`verify` does.
    """
    if keys is None:
        keys = [key for key in os.environ.get("MODELSTAC_REQUIRE_SIGNATURE", "").split(os.pathsep) if key]
        if not keys:
            return
    verify(item, [keys] if isinstance(keys, str | os.PathLike) else keys)


def _differing(message: str) -> str:
    found = [name for pair in _CHANGED.findall(message) for part in pair for name in part.split(", ") if name]
    names = sorted({unquote(name.strip("' ").removesuffix(".json")) for name in found})
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
