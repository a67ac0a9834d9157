"""Read a file whose digest is known: hashed once, recognised afterwards by what the operating system says of it.

A stamp keeps digest, size, times, inode and device of a file that was hashed. It holds the time of the last *change*
too, which no program but the system sets: putting another file or other bytes in the place cannot leave it as it was.
It says too what was looked into and passed, by which rules, as the same bytes pass the same rules again. Stamps are
believed of this user and of root alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelstac.catalog.errors import ModelStacError, NotFoundError, StorageError, UntrustedError

CHUNK = 1 << 20
# Times have grains, of 10 ms or so (FAT: 2 s): what was written just now could be written again within the same one.
SETTLED = 2_000_000_000  # ns


@dataclass(frozen=True)
class Stamp:
    """What is known of a file.

    Parameters
    ----------
    place
        Where the stamp lies.
    sha256
        Digest of the file, hexadecimal.
    file
        What the operating system says of it.
    passed
        Rules that it was found to keep, see :mod:`modelstac.registry.inspecting.inspection`.
    """

    place: Path
    sha256: str
    file: tuple[int, ...]
    passed: frozenset[str] = frozenset()

    def remember(self, rules: str) -> None:
        """Note that the file keeps these rules, if it can be noted."""
        _write(self.place, {"sha256": self.sha256, "file": self.file, "passed": sorted(self.passed | {rules})})


@dataclass(frozen=True)
class Content:
    """A file that was read: its bytes (None if they are too many), its digest, and its stamp if it has one."""

    data: bytes | None
    sha256: str
    stamp: Stamp | None


def read(path: Path, stamp: Path, *, keep: int, item_id: str, rehash: bool = False) -> Content:
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
            known = None if rehash else _stamped(stamp, _identity(before))
            data = _at_most(keep, file, before.st_size) if before.st_size <= keep else None
            whole = data is not None and len(data) <= keep
            # The bytes are those of the stamp only if nobody wrote while they were read.
            if known is not None and whole and _identity(os.fstat(descriptor)) == _identity(before):
                _touch(stamp)
                return Content(data, known.sha256, known)
            digest = hashlib.sha256(data or b"")
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                whole = False
            found = digest.hexdigest()
            made = None
            if _identity(os.fstat(descriptor)) == _identity(before) and _settled(before):
                made = Stamp(stamp, found, _identity(before))
                _write(stamp, {"sha256": found, "file": made.file})
            return Content(data if whole else None, found, made)
    except ModelStacError:  # some of ours are OSErrors too
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path} of item {item_id!r}: fetch it again from its publisher") from error
    except IsADirectoryError as error:
        raise UntrustedError(f"{path} of item {item_id!r} is a folder, not a plain file") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check who may read it") from error


def _at_most(keep: int, file: IO[bytes], size: int) -> bytes:
    """Read a file of so many bytes, and of what somebody adds meanwhile until it is more than is kept."""
    data = file.read(size)  # room for these alone is taken
    while len(data) <= keep and (chunk := file.read(min(CHUNK, keep + 1 - len(data)))):
        data += chunk
    return data


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def _settled(status: os.stat_result) -> bool:
    return time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED


def _stamped(place: Path, file: tuple[int, ...]) -> Stamp | None:
    """Return the stamp, if it is one of this very file."""
    try:
        with place.open("rb") as opened:
            if not _ours(os.fstat(opened.fileno())):
                return None
            content = json.load(opened)
        if tuple(content["file"]) != file:
            return None
        return Stamp(place, str(content["sha256"]), file, frozenset(map(str, content.get("passed", ()))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _ours(status: os.stat_result) -> bool:
    """Tell whether nobody but this user and root could have written a file."""
    if not hasattr(os, "geteuid"):  # Windows gives each user a cache folder of his own
        return True
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


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
            temporary.chmod(0o644)  # whatever the umask says
            temporary.replace(stamp)
        finally:
            temporary.unlink(missing_ok=True)
