"""What is signed of a published item, and where its signature lies.

The signed folder has a small JSON file for each part of :func:`modelstac.catalog.items.identity.immutable_content`, so
that a mismatch has a name. OpenSSF's model-signing signs it with an elliptic curve key, without a network. The bundle
is the item's asset ``signature``, in a ``data:`` URL: it goes wherever the document goes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelstac.catalog.errors import (
    IntegrityError,
    InvalidItemError,
    MissingPackageError,
    NotFoundError,
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

Key = str | os.PathLike[str]


def verify_files(item: pystac.Item, *, rehash: bool = False, report: Report = ignore) -> int:
    """Fetch every file of an item and check it against its checksum; return how many there are."""
    keys = [key for key in item.assets if key != SIGNATURE]
    for key in keys:
        fetch(item, key, max_bytes=DEFAULT_POLICY.max_bytes, rehash=rehash, report=report)
    return len(keys)


def signed(item: pystac.Item, config: Any) -> dict[str, Any]:
    """Sign what is fixed of an item as a configuration of model-signing says, and return the asset."""
    with signed_folder(item) as folder:
        target = folder.with_name("signature.json")
        config.set_hashing_config(hashing()).sign(folder, target)
        data = target.read_bytes()
    return _asset(data)


@contextmanager
def signed_folder(item: pystac.Item) -> Iterator[Path]:
    """Write what is signed of an item into a folder, for as long as that is needed."""
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


def read_bundle(item: pystac.Item) -> bytes:
    """Return the signature of an item.

    Raises
    ------
    UntrustedError
        If it cannot be read.
    """
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
    return {
        "href": _PREFIX + base64.b64encode(data).decode(),
        "type": MEDIA_TYPE,
        "title": "Signature of the item (OpenSSF model-signing)",
        "roles": ["signature"],
        "file:checksum": multihash(hashlib.sha256(data).hexdigest()),
        "file:size": len(data),
    }


def hashing() -> Any:
    """Nothing is left out, whatever its name; both sides say so themselves, and not the signature."""
    module: Any = package("hashing", "signing")
    return module.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


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
