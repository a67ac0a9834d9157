"""A model of several files as one: a zip archive, the same bytes for the same files, and unpacked only as expected.

A checksum, a size and an atomic publish belong to one file. So a SavedModel folder, or OpenVINO's pair of files, is one
archive: members stored uncompressed, in the order of their names, dated 1980.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from modelstac.catalog.errors import InvalidItemError, StorageError, UntrustedError
from modelstac.registry.inspecting.weights import unpacked

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that zip knows
MAX_MEMBERS = 10_000


def words(text: str) -> frozenset[str]:
    """Give the words of a text as a set: how lists of names that may occur in a model are written down."""
    return frozenset(text.split())


def pack(folder: Path, archive: Path) -> None:
    """Write every file of a folder into an archive.

    Raises
    ------
    UntrustedError
        If the folder holds a link.
    OSError
        If it cannot be read or the archive not written.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
            if path.is_symlink():
                raise UntrustedError(f"{path} is a link: a model is made of plain files")
            if path.is_file():
                member = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
                member.external_attr = (stat.S_IFREG | 0o644) << 16
                file.writestr(member, path.read_bytes())


def read_members(data: bytes, path: Path, *, allowed: Sequence[re.Pattern[str]], max_bytes: int) -> dict[str, bytes]:
    """Read an archive into memory, once every member is known to be expected.

    Parameters
    ----------
    data
        The archive.
    path
        Its name in messages.
    allowed
        Patterns of the names of members; each must match one whole.
    max_bytes
        Largest size of all members together.

    Returns
    -------
    dict
        Content by name, folders left out.

    Raises
    ------
    InvalidItemError
        If it is no zip archive.
    UntrustedError
        If a member is unexpected, double, a link, or leads outside, or all together are too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check(members, path, allowed, len(data), max_bytes)
            return {member.filename: archive.read(member) for member in members}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        if isinstance(error, (UntrustedError, InvalidItemError)):
            raise
        raise InvalidItemError(f"{path} is no zip archive, or a damaged one ({error}): publish it anew") from error


def _check(
    members: Sequence[zipfile.ZipInfo], path: Path, allowed: Sequence[re.Pattern[str]], packed: int, max_bytes: int
) -> None:
    names = [member.filename for member in members]
    if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        raise UntrustedError(f"{path} has {len(names)} members, or one of them twice, as no exporter writes them")
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        parts = PurePosixPath(member.filename).parts
        outside = member.filename.startswith("/") or "\\" in member.filename or ".." in parts
        if outside or kind not in {0, stat.S_IFREG} or not any(p.fullmatch(member.filename) for p in allowed):
            raise UntrustedError(f"{path} has the unexpected member {member.filename!r}: export the model anew")
    size, limit = sum(member.file_size for member in members), unpacked(packed, max_bytes)
    if size > limit:
        raise UntrustedError(f"{path} ({packed} bytes) would unpack to {size} bytes, more than the limit of {limit}")


def unpack(members: dict[str, bytes], folder: Path) -> None:
    """Write members that :func:`read_members` gave into an empty folder of this user's own.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    try:
        for name, content in members.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    except OSError as error:
        advice = "free space there or set TMPDIR to another disk"
        raise StorageError.doing(f"unpack a model into {folder}", error, advice=advice) from error
