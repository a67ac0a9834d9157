"""Signatures over what a published item fixes for ever: its metadata, and through their checksums its files.

The signed folder has a small JSON file for each part of :func:`modelstac.catalog.items.identity.immutable_content`, so
that a mismatch has a name. OpenSSF's model-signing signs it with an elliptic curve key, without a network. The bundle
is the item's asset ``signature``, in a ``data:`` URL: it goes wherever the document goes.
"""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from modelstac.catalog.errors import (
    IntegrityError,
    InvalidItemError,
    MissingPackageError,
    NotFoundError,
    SpecError,
    StorageError,
    UntrustedError,
)
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.items.identity import SIGNATURE, immutable_content
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.files.fetch import fetch
from modelstac.registry.trust.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from types import ModuleType

    import pystac

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BYTES = 1_000_000
SIGSTORE = "sigstore:"
_PREFIX = f"data:{MEDIA_TYPE};base64,"
# The message is the repr of a list with the repr of bytes in it, so quotes may be escaped.
_CHANGED = re.compile(r"mismatch for \\?'([^'\\]+)|model \\?'[^'\\]*\\?': ([^\"'\]\\]+)")

Key = str | os.PathLike[str]


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


def signed(item: pystac.Item, config: Any) -> dict[str, Any]:
    """Sign what is fixed of an item as a configuration of model-signing says, and return the asset."""
    with _signed_folder(item) as folder:
        target = folder.with_name("signature.json")
        config.set_hashing_config(_hashing()).sign(folder, target)
        data = target.read_bytes()
    return _asset(data)


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
    data = _bundle(item)
    with _signed_folder(item) as folder:
        target = folder.with_name("signature.json")
        target.write_bytes(data)
        for key in keys:
            config = _verifier(verifying, key, item.id)
            try:
                config.set_hashing_config(_hashing()).verify(folder, target)
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


def verify_files(item: pystac.Item, *, rehash: bool = False, report: Report = ignore) -> int:
    """Fetch every file of an item and check it against its checksum; return how many there are."""
    keys = [key for key in item.assets if key != SIGNATURE]
    for key in keys:
        fetch(item, key, max_bytes=DEFAULT_POLICY.max_bytes, rehash=rehash, report=report)
    return len(keys)


@contextmanager
def _signed_folder(item: pystac.Item) -> Iterator[Path]:
    content = immutable_content(item) | {"id": item.id}
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
        folder = Path(name) / "item"
        try:
            folder.mkdir()
            for part, value in content.items():
                text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
                (folder / f"{quote(part, safe='')}.json").write_text(text, encoding="ascii")
        except (OSError, ValueError) as error:
            raise InvalidItemError(f"item {item.id!r} cannot be written down to be signed: {line(error)}") from error
        yield folder


def _bundle(item: pystac.Item) -> bytes:
    asset = item.assets[SIGNATURE]
    href = asset.href
    try:
        if not href.startswith(_PREFIX):
            return fetch(item, SIGNATURE, max_bytes=MAX_BYTES).data
        return base64.b64decode(href.removeprefix(_PREFIX), validate=True)
    except (ValueError, StorageError, NotFoundError, IntegrityError) as error:
        raise UntrustedError(
            f"the signature of item {item.id!r} cannot be read: {line(error)}; sign it anew"
        ) from error


def _asset(data: bytes) -> dict[str, Any]:
    import hashlib

    return {
        "href": _PREFIX + base64.b64encode(data).decode(),
        "type": MEDIA_TYPE,
        "title": "Signature of the item (OpenSSF model-signing)",
        "roles": ["signature"],
        "file:checksum": multihash(hashlib.sha256(data).hexdigest()),
        "file:size": len(data),
    }


def _differing(message: str) -> str:
    found = [name for pair in _CHANGED.findall(message) for part in pair for name in part.split(", ") if name]
    names = sorted({unquote(name.strip("' ").removesuffix(".json")) for name in found})
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")


def _hashing() -> Any:
    """Nothing is left out, whatever its name; both sides say so themselves, and not the signature."""
    hashing: Any = package("hashing", "signing")
    return hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


def package(name: str, purpose: str) -> ModuleType:
    """Import a module of model-signing."""
    import importlib

    try:
        return importlib.import_module(f"model_signing.{name}")
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(error.name or "model_signing", "signing", purpose) from error


def existing(key: Key) -> Path:
    """Return the path of a key, if there is one."""
    path = Path(key)
    if not path.is_file():
        raise NotFoundError(f"no key {path}: check the path")
    return path


def line(error: Exception) -> str:
    """Return what an error says in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
