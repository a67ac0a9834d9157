"""Write a result in one step: whoever reads sees the file that was there before, or the new one, whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelstac.catalog.errors import StorageError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file; after a failure or an interruption it is what it was.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; what was written takes its place when the block ends without an error.

    The temporary name keeps the suffix, by which many writers choose a format.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        try:
            temporary.touch(exist_ok=False)  # some writers give a wrong reason when there is no such folder
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        advice = "check that the folder is there, may be written and has space, or name another output"
        raise StorageError.doing(f"write {path}", error, advice=advice) from error
