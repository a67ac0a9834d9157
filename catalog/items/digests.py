"""SHA-256 digests and their multihash form, which ``file:checksum`` of the STAC file extension uses.

Source: https://github.com/multiformats/multihash; ``12`` is the code of sha2-256 and ``20`` its length of 32 bytes.
Other people's items have digests of other algorithms, which are verified where hashlib knows these.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import IntegrityError, InvalidItemError, StorageError

if TYPE_CHECKING:
    import pystac

_SHA256_PREFIX = "1220"
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_ALGORITHMS: MappingProxyType[str, str] = MappingProxyType({
    "11": "sha1", "13": "sha512", "14": "sha3_512", "15": "sha3_384", "16": "sha3_256", "17": "sha3_224",
    "20": "sha384", "9320": "sha224", "d501": "md5", "c0e402": "blake2b", "e0e402": "blake2s",
})  # fmt: skip
"""By their code, a number of seven bits a byte: the algorithms of hashlib beside SHA-256."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits; see :func:`digest_of`."""
    return digest_of(path, "sha256")


def digest_of(path: Path, algorithm: str) -> str:
    """Return the digest of a file by an algorithm of hashlib, in hexadecimal digits.

    Raises
    ------
    StorageError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
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
            f"checksum {checksum!r} is no SHA-256 multihash: '1220' and 64 hexadecimal digits are needed; "
            "modelstac check ITEM --fix FILE writes it of a file that is at hand"
        )
    return digest


def other_digest(checksum: Any) -> tuple[str, str] | None:
    """Return the algorithm of hashlib and the digest of a multihash that is not of SHA-256; None if it is none such."""
    text = checksum if isinstance(checksum, str) else ""
    for code, name in _ALGORITHMS.items():
        length = hashlib.new(name, usedforsecurity=False).digest_size
        digest = text.removeprefix(f"{code}{length:02x}")
        if len(digest) + len(code) + 2 == len(text) and re.fullmatch(rf"[0-9a-f]{{{2 * length}}}", digest):
            return name, digest
    return None


def check_size(item: pystac.Item, key: str, path: Path, length: int) -> None:
    """Raise IntegrityError if the item says another number of bytes than a file has."""
    size = item.assets[key].extra_fields.get("file:size")
    if isinstance(size, int) and size != length:
        raise IntegrityError(
            f"{path} of item {item.id!r} is not the published file: it has {length} bytes, and file:size is {size}; "
            "fetch it again from its publisher, or ask which is right"
        )
