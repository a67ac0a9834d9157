"""From an asset to verified bytes.

The file is opened once, read once and hashed, and the very bytes that were hashed are what the runtime gets: between
check and use there is no moment in which somebody could exchange the file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pystac

from modelstac.catalog.digests import from_multihash
from modelstac.catalog.errors import (
    IntegrityError,
    InvalidItemError,
    ModelStacError,
    NotFoundError,
    StorageError,
    UntrustedError,
)

CHUNK = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """The verified bytes of one model file.

    Parameters
    ----------
    item_id
        Item that the file belongs to.
    path
        Where it was read; for messages only, never to be opened again.
    data
        The content.
    sha256
        Its digest, hexadecimal, equal to the published one.
    """

    item_id: str
    path: Path
    data: bytes = field(repr=False)
    sha256: str

    @contextmanager
    def private_file(self, suffix: str) -> Iterator[Path]:
        """Give the bytes as a file in a folder that only this user can reach, for a framework that wants a path."""
        with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:  # mode 0700
            path = Path(folder) / f"model{suffix}"
            try:
                path.write_bytes(self.data)
            except OSError as error:
                raise StorageError.doing(
                    f"copy {self.path.name} to {folder}", error, advice="free space there or set TMPDIR to another disk"
                ) from error
            yield path


def local_path(item: pystac.Item, key: str) -> Path:
    """Return the file of an asset.

    Raises
    ------
    StorageError
        If the asset lies on another machine.
    """
    href = item.assets[key].get_absolute_href() or item.assets[key].href
    url = urlsplit(href)
    if url.scheme == "file" and url.netloc in {"", "localhost"}:
        return Path(unquote(url.path))
    if len(url.scheme) > 1:  # one letter is a Windows drive
        raise StorageError(
            f"asset {key!r} of item {item.id!r} lies at {href}; only local files can be loaded: copy item and file here"
        )
    return Path(href)


def fetch(item: pystac.Item, key: str, *, max_bytes: int) -> Artifact:
    """Read the file of an asset and check it against the published size and digest.

    Parameters
    ----------
    item, key
        The asset, with ``file:checksum`` (multihash of sha256) and, if possible, ``file:size``.
    max_bytes
        Largest file to read.

    Raises
    ------
    NotFoundError
        If the file is not there.
    StorageError
        If it cannot be read.
    UntrustedError
        If the asset has no checksum, is no plain file, or is too large.
    IntegrityError
        If its bytes are not the published ones; names the file and both digests.
    """
    fields = item.assets[key].extra_fields
    path = local_path(item, key)
    checksum, size = fields.get("file:checksum"), fields.get("file:size")
    if checksum is None:
        raise UntrustedError(
            f"asset {key!r} of item {item.id!r} has no file:checksum, so {path} cannot be verified: publish it with one"
        )
    if not isinstance(checksum, str):
        raise InvalidItemError(f"asset {key!r} of item {item.id!r} has the file:checksum {checksum!r}: no text")
    published = from_multihash(checksum)
    data, found = _read(path, keep=min(max_bytes, size if isinstance(size, int) else max_bytes), item_id=item.id)
    if found != published:
        raise IntegrityError(
            f"{path} of item {item.id!r} is not the published file: sha256 is {found}, published was {published}; "
            "fetch it again from its publisher"
        )
    if data is None:
        raise UntrustedError(f"{path} of item {item.id!r} is larger than its file:size {size} or the limit {max_bytes}")
    return Artifact(item.id, path, data, found)


def _read(path: Path, *, keep: int, item_id: str) -> tuple[bytes | None, str]:
    """Read at most ``keep`` bytes into memory, and the digest of the whole file (no bytes if there were more)."""
    digest = hashlib.sha256()
    try:
        # Without O_NONBLOCK a named pipe in the item's place would hang the loader.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UntrustedError(f"{path} of item {item_id!r} is no plain file")
            if status.st_size <= keep:
                data = file.read(keep + 1)
                digest.update(data)
                if len(data) <= keep:
                    return data, digest.hexdigest()
            while chunk := file.read(CHUNK):
                digest.update(chunk)
            return None, digest.hexdigest()
    except ModelStacError:  # some of ours are OSErrors too
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path} of item {item_id!r}: fetch it again from its publisher") from error
    except IsADirectoryError as error:
        raise UntrustedError(f"{path} of item {item_id!r} is a folder, not a plain file") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check who may read it") from error
