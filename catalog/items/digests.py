"""SHA-256 digests and their multihash form, which ``file:checksum`` of the STAC file extension uses.

Source: https://github.com/multiformats/multihash; ``12`` is the code of sha2-256 and ``20`` its length of 32 bytes.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from modelstac.catalog.errors import IntegrityError, InvalidItemError, StorageError

if TYPE_CHECKING:
    import pystac

_SHA256_PREFIX = "1220"
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Raises
    ------
    StorageError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error


def multihash(digest: str) -> str:
    """Return the multihash of a hexadecimal SHA-256."""
    if not _HEX_DIGEST.fullmatch(digest):
        raise InvalidItemError(f"{digest!r} is no SHA-256: 64 hexadecimal digits in lower case are needed")
    return _SHA256_PREFIX + digest


def from_multihash(checksum: str) -> str:
    """Return the hexadecimal SHA-256 inside a multihash.

    Raises
    ------
    InvalidItemError
        If the checksum is malformed or of another algorithm, which could not be verified on load.
    """
    digest = checksum.removeprefix(_SHA256_PREFIX)
    if not checksum.startswith(_SHA256_PREFIX) or not _HEX_DIGEST.fullmatch(digest):
        raise InvalidItemError(
            f"checksum {checksum!r} is no SHA-256 multihash: '1220' and 64 hexadecimal digits are needed"
        )
    return digest


def check_size(item: pystac.Item, key: str, path: Path, length: int) -> None:
    """Raise IntegrityError if the item says another number of bytes than a file has."""
    size = item.assets[key].extra_fields.get("file:size")
    if isinstance(size, int) and size != length:
        raise IntegrityError(
            f"{path} of item {item.id!r} is not the published file: it has {length} bytes, and file:size is {size}; "
            "fetch it again from its publisher, or ask which is right"
        )
