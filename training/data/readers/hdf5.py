"""Opening HDF5 files so that a damaged one is an error of one line; shared by the products kept in HDF5."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from modelstac.catalog.errors import DataError, StorageError

SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Tell by the first eight bytes whether the file is HDF5."""
    try:
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="check the path and its permissions") from error


@contextmanager
def opened(path: Path, product: str) -> Iterator[h5py.File]:
    """Open ``path`` for reading; what fails inside becomes a `DataError` that names the file.

    Parameters
    ----------
    path
        The file.
    product
        What the file should be, in words, for the message.
    """
    if not is_hdf5(path):
        raise DataError(f"{path} is not an HDF5 file, so no {product}: remove it or fetch it again")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except KeyError as error:
        reason = str(error.args[0]) if error.args else "something is missing"
        raise DataError(f"{path} is no {product} ({reason}): remove it from the folder") from error
    except (OSError, RuntimeError) as error:
        # HDF5 compares the size of a file with the one in its header on opening, and checksums when it reads.
        reason = str(error).split("(", maxsplit=1)[-1].rstrip(")") or "damaged"
        raise DataError(f"{path} is cut short or damaged ({reason}): fetch it again or remove it") from error


def text(value: Any) -> str:
    """Read a string attribute, which may be a scalar or an array of one element, of bytes or of characters."""
    first = np.asarray(value).ravel()[0]
    return first.decode("ascii", "replace") if isinstance(first, bytes) else str(first)


def number(value: Any) -> float:
    """Read a numeric attribute, which may be a scalar or an array of one element."""
    return float(np.asarray(value).ravel()[0])
