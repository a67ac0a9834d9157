"""Write a result in one step: whoever reads sees the file that was there before, or the new one, whole."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from modelstac.catalog.errors import StorageError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file; after a failure or an interruption it is what it was.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        advice = "check that the folder is there, may be written and has space, or name another output"
        raise StorageError.doing(f"write {path}", error, advice=advice) from error
