"""Read a file whose digest is known: hashed once, recognised afterwards by what the operating system says of it.

A stamp keeps digest, size, times, inode and device of a file that was hashed. It holds the time of the last *change*
too, which no program but the system sets: putting another file or other bytes in the place cannot leave it as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
import uuid
from pathlib import Path

from modelstac.catalog.errors import ModelStacError, NotFoundError, StorageError, UntrustedError

CHUNK = 1 << 20
# Times have grains, of 10 ms or so (FAT: 2 s): what was written just now could be written again within the same one.
SETTLED = 2_000_000_000  # ns


def read(path: Path, stamp: Path, *, keep: int, item_id: str, rehash: bool = False) -> tuple[bytes | None, str]:
    """Return the bytes of a file and its digest, from the stamp where the file is the one that was stamped.

    Parameters
    ----------
    path
        The file.
    stamp
        Where its stamp lies or is written; nothing is written when that is not possible.
    keep
        So many bytes are kept at most; for a longer file None is returned, and still the digest.
    item_id
        For the messages.
    rehash
        Do not believe the stamp.

    Raises
    ------
    NotFoundError, StorageError
        If the file is not there or cannot be read.
    UntrustedError
        If it is no plain file.
    """
    try:
        # Without O_NONBLOCK a named pipe in the file's place would hang the loader.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise UntrustedError(f"{path} of item {item_id!r} is no plain file")
            known = None if rehash else _stamped(stamp, before)
            data = file.read(keep + 1) if before.st_size <= keep else None
            whole = data is not None and len(data) <= keep
            # The bytes are those of the stamp only if nobody wrote while they were read.
            if known is not None and whole and _identity(os.fstat(descriptor)) == _identity(before):
                _touch(stamp)
                return data, known
            digest = hashlib.sha256(data or b"")
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                whole = False
            found = digest.hexdigest()
            if _identity(os.fstat(descriptor)) == _identity(before) and _settled(before):
                _write(stamp, {"sha256": found, "file": _identity(before)})
            return data if whole else None, found
    except ModelStacError:  # some of ours are OSErrors too
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path} of item {item_id!r}: fetch it again from its publisher") from error
    except IsADirectoryError as error:
        raise UntrustedError(f"{path} of item {item_id!r} is a folder, not a plain file") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check who may read it") from error


def _identity(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _settled(status: os.stat_result) -> bool:
    return time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED


def _stamped(stamp: Path, status: os.stat_result) -> str | None:
    """Return the digest that the stamp holds for this very file."""
    try:
        content = json.loads(stamp.read_bytes())
        return str(content["sha256"]) if content["file"] == _identity(status) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _touch(stamp: Path) -> None:
    """Note the use, for whoever removes what was not used for long."""
    with contextlib.suppress(OSError):
        os.utime(stamp)


def _write(stamp: Path, content: dict[str, object]) -> None:
    temporary = stamp.with_name(f".{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # a read-only cache costs time, no more
        stamp.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            temporary.write_text(json.dumps(content))
            temporary.replace(stamp)
        finally:
            temporary.unlink(missing_ok=True)
