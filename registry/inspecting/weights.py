"""Look into files of weights before a framework does: HDF5 inside ``.keras`` archives, and safetensors.

Both formats are data only, and yet HDF5 can point to other files, and either can claim far more than it holds.

Sources: HDF5 file format specification 3.0 (links, external and virtual storage); safetensors,
https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, UntrustedError

MAX_RATIO = 1100  # deflate cannot do better than 1,032
PLENTY, RATIO = 1 << 28, 64
"""Bytes that a small file may unpack to, and as many times its own size as a large one may."""
UNSUSPICIOUS = 1 << 16  # bytes of one tensor that may be stored as nothing but a fill value
MAX_OBJECTS = 1 << 17
MAX_HEADER = 100 << 20  # the limit of safetensors itself
MAX_TENSORS, MAX_AXES = 1 << 16, 32
WIDTHS = MappingProxyType(
    {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2}
    | {"U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8}
)


def inspect_hdf5(file: IO[bytes], path: Path, *, max_bytes: int) -> int:
    """Refuse HDF5 weights that lie elsewhere or unfold to more than they hold; return the number of weights.

    Raises
    ------
    InvalidItemError
        If it is no HDF5 file.
    UntrustedError
        If it links to other files or places, holds anything but numbers, or claims more than it stores.
    MissingPackageError
        If h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("h5py", "keras", f"looking into {path.name}") from error
    total = weights = 0
    try:
        held = file.seek(0, os.SEEK_END)
        with h5py.File(file, "r") as opened:
            for dataset in _datasets(opened.id, path):
                count = dataset.get_space().get_simple_extent_npoints()
                size, stored = count * dataset.get_type().get_size(), dataset.get_storage_size()
                weights, total = weights + count, total + size
                if total > unpacked(held, max_bytes) or size > max(UNSUSPICIOUS, MAX_RATIO * stored):
                    raise UntrustedError(
                        f"{path} claims weights of shape {list(dataset.shape)} in {stored} bytes, as no model does"
                    )
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, UntrustedError):
            raise
        raise InvalidItemError(
            f"{path} holds no readable HDF5 weights ({' '.join(str(error).split())}): publish the model anew"
        ) from error
    return weights


def unpacked(size: int, max_bytes: int) -> int:
    """Tell how many bytes a file of so many may unpack to, whatever deflate could."""
    return min(max_bytes, max(PLENTY, RATIO * size))


def _datasets(root: Any, path: Path) -> Iterator[Any]:
    """Yield every dataset, as HDF5's own identifier: h5py's objects cost five times as much.

    Groups are walked with a stack of our own, because HDF5's visitor recurses as deep as a file says.
    """
    from h5py import h5d, h5g, h5l, h5o

    stack, seen, known = [root], 0, {h5o.get_info(root).addr}
    while stack:
        group = stack.pop()
        links: list[tuple[bytes, int]] = []
        group.links.iterate(lambda name, info, found=links: found.append((name, info.type)), info=True)
        for name, kind in links:
            seen += 1
            if kind != h5l.TYPE_HARD:
                raise UntrustedError(f"{path} holds the link {_shown(name)}, which leads out of its weights")
            value = h5o.open(group, name)
            if seen > MAX_OBJECTS:
                raise UntrustedError(f"{path} holds more than {MAX_OBJECTS:,} arrays, as no model does")
            if isinstance(value, h5g.GroupID):
                if (place := h5o.get_info(value).addr) not in known:  # groups may hold each other
                    known.add(place)
                    stack.append(value)
                continue
            if not isinstance(value, h5d.DatasetID) or not _numbers(value.get_type()):
                raise UntrustedError(f"{path} holds {_shown(name)}, which is no array of numbers")
            storage = value.get_create_plist()
            if storage.get_external_count() or storage.get_layout() == h5d.VIRTUAL:
                raise UntrustedError(
                    f"{path} keeps the weights {_shown(name)} in another file: publish the model as one file"
                )
            yield value


def _numbers(kind: Any) -> bool:
    """Tell whether an HDF5 type is one of numbers; truth values are enumerations, bfloat16 is opaque."""
    from h5py import h5t

    found = kind.get_class()
    if found == h5t.COMPOUND:  # complex
        return all(kind.get_member_class(n) == h5t.FLOAT for n in range(kind.get_nmembers()))
    return found in {h5t.INTEGER, h5t.FLOAT, h5t.ENUM, h5t.OPAQUE}


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace"))


def inspect_safetensors(data: bytes, path: Path) -> None:
    """Refuse a safetensors file whose header does not describe its bytes exactly, one tensor after the other.

    Raises
    ------
    InvalidItemError
        If it is no safetensors file, or its header lies.
    """
    size = int.from_bytes(data[:8], "little")
    if len(data) < 10 or size > min(MAX_HEADER, len(data) - 8):
        raise _no_safetensors(path, f"it claims a header of {size} bytes")
    try:
        header = json.loads(data[8 : 8 + size], object_pairs_hook=_unique)
        header.pop("__metadata__", None)
        tensors = sorted((*_place(t), _bytes(t), name) for name, t in _few(header).items())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _no_safetensors(path, f"its header is malformed ({str(error)[:200]})") from error
    end = 0
    for start, stop, needed, name in tensors:
        if start != end or stop - start != needed:
            raise _no_safetensors(path, f"tensor {name!r:.80} lies at {start} to {stop} and should begin at {end}")
        end = stop
    if end != len(data) - 8 - size:
        raise _no_safetensors(path, f"its tensors end at {end} of {len(data) - 8 - size} bytes")


def _few(header: dict[str, Any]) -> dict[str, Any]:
    if len(header) > MAX_TENSORS:
        raise ValueError(f"{len(header)} tensors")
    return header


def _place(tensor: dict[str, Any]) -> tuple[int, int]:
    start, stop = tensor["data_offsets"]
    return int(start), int(stop)


def _bytes(tensor: dict[str, Any]) -> int:
    shape = tensor["shape"]
    if len(shape) > MAX_AXES:  # a product of millions of lengths is a number of millions of digits
        raise ValueError(f"{len(shape)} axes")
    if any(not isinstance(n, int) or not 0 <= n < 1 << 48 for n in shape):
        raise ValueError(f"shape {shape}")
    return int(math.prod(shape)) * WIDTHS[tensor["dtype"]]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _no_safetensors(path: Path, reason: str) -> InvalidItemError:
    return InvalidItemError(f"{path} is no safetensors file: {reason}; publish the model anew")
