"""Files of scenes held against ``file:size`` and ``file:checksum`` of their items (file extension 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.digests import digest_of, other_digest

MOST = 2 * 2**30
"""Bytes of a file that is hashed, at most: some seconds. Of larger ones often a window is read."""


def check_file(path: str, fields: Mapping[str, Any], of: str) -> str:
    """Refuse a file on a disk that is not the one that its item describes; over a network windows are read.

    Parameters
    ----------
    path
        Where it lies.
    fields
        Those of its asset.
    of
        The id of its item, for messages.

    Returns
    -------
    str
        What to say, where it was not hashed; else nothing.

    Raises
    ------
    DataError
        If it has another size or digest.
    StorageError
        If it cannot be read.
    """
    if "://" in path or path.startswith("/vsi") or not Path(path).is_file():
        return ""
    here, size = Path(path).stat().st_size, fields.get("file:size")
    if isinstance(size, int) and not isinstance(size, bool) and size != here:
        raise _other(path, of, f"it has {here} bytes, and file:size is {size}")
    said = fields.get("file:checksum")
    wanted = ("sha256", said[4:]) if isinstance(said, str) and said.startswith("1220") else other_digest(said)
    if wanted is None:
        return ""
    if here > MOST:
        return f"{path} was not held against the file:checksum of its item: it has {here / 2**30:.1f} GB"
    if (found := digest_of(Path(path), wanted[0])) != wanted[1]:
        raise _other(path, of, f"its {wanted[0]} is {found[:12]}…, and file:checksum says {wanted[1][:12]}…")
    return ""


def _other(path: str, of: str, why: str) -> DataError:
    return DataError(
        f"{path} is not the file that item {of!r} describes: {why}: fetch it again, or correct the item if the file "
        "was changed on purpose"
    )
