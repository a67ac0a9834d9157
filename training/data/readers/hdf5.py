"""Opening HDF5 files so that a damaged one is an error of one line; shared by the products kept in HDF5."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from modelstac.catalog.errors import DataError, ModelStacError, StorageError

MAX_OBJECTS = 100_000
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
            _refuse_other_files(file, path)
            yield file
    except ModelStacError:
        raise
    except KeyError as error:
        reason = str(error.args[0]) if error.args else "something is missing"
        raise DataError(f"{path} is no {product} ({reason}): remove it from the folder") from error
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
        # An attribute that is text, empty or no number where a number is needed, or a group in place of an array.
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is no {product} (a value in it is of another kind: {reason}): remove it") from error
    except (OSError, RuntimeError) as error:
        # HDF5 compares the size of a file with the one in its header on opening, and checksums when it reads.
        reason = str(error).split("(", maxsplit=1)[-1].rstrip(")") or "damaged"
        raise DataError(f"{path} is cut short or damaged ({reason}): fetch it again or remove it") from error


def _refuse_other_files(file: h5py.File, path: Path) -> None:
    """Refuse a file whose groups or values lie in other files, which HDF5 would open unasked.

    Source: HDF5 file format specification 3.0: external links, external and virtual storage.
    """
    stack, seen, known = [file.id], 0, {h5py.h5o.get_info(file.id).addr}
    while stack:
        group = stack.pop()
        links: list[tuple[bytes, int]] = []
        group.links.iterate(lambda name, info, found=links: found.append((name, info.type)), info=True)
        for name, kind in links:
            seen += 1
            value = h5py.h5o.open(group, name) if kind == h5py.h5l.TYPE_HARD else None
            elsewhere = kind not in {h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT}
            if isinstance(value, h5py.h5d.DatasetID):
                storage = value.get_create_plist()
                elsewhere = bool(storage.get_external_count()) or storage.get_layout() == h5py.h5d.VIRTUAL
            if elsewhere or seen > MAX_OBJECTS:
                what = f"leads to another file by {name.decode('utf-8', 'replace')!r:.80}"
                raise DataError(
                    f"{path} {what if elsewhere else f'has more than {MAX_OBJECTS:,} groups'}: "
                    "remove it from the folder, or get it as one file"
                )
            if isinstance(value, h5py.h5g.GroupID) and (place := h5py.h5o.get_info(value).addr) not in known:
                known.add(place)  # groups may hold each other
                stack.append(value)


def text(value: Any) -> str:
    """Read a string attribute, which may be a scalar or an array of one element, of bytes or of characters."""
    first = np.asarray(value).ravel()[0]
    return first.decode("ascii", "replace") if isinstance(first, bytes) else str(first)


def number(value: Any) -> float:
    """Read a numeric attribute, which may be a scalar or an array of one element."""
    return float(np.asarray(value).ravel()[0])
