"""The files beside a graph that hold its weights: ONNX' external data.

They are listed in the item, each with its checksum, and are read into memory as the graph is: the runtime opens none.

Source: https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from modelstac.catalog.errors import CannotRunError, NotFoundError, StorageError, UntrustedError
from modelstac.registry.inspecting.wire import fields

ROLE = "mlm:weights"
"""Role of such a file in an item."""
NOTHING: Mapping[str, int] = MappingProxyType({})
MAX_FILES = 10_000
LARGEST = 1 << 31
"""Bytes of one tensor that ONNX Runtime takes from memory."""
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14  # of TensorProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_PLAIN = re.compile(r"[^/\\:\x00-\x1f]+")


def place_of(tensor: memoryview) -> dict[str, str] | None:
    """Read what a TensorProto says of where it lies: ``location``, ``offset``, ``length``; None where it holds itself.

    Raises
    ------
    ValueError
        If it is no text, or says something twice.
    """
    found: dict[str, str] = {}
    external = False
    for field_number, view in fields(tensor):
        if field_number == TENSOR_LOCATION and view != 0:
            external = True
        if field_number != TENSOR_EXTERNAL or not isinstance(view, memoryview):
            continue
        external = True
        parts = {number: str(value, "utf-8") for number, value in fields(view) if isinstance(value, memoryview)}
        if parts.get(_KEY, "") in found:
            raise ValueError(f"{parts.get(_KEY)} twice")
        found[parts.get(_KEY, "")] = parts.get(_VALUE, "")
    return found if external else None


def check_place(said: Mapping[str, str], path: Path, beside: Mapping[str, int]) -> None:
    """Refuse a tensor that does not lie inside a file that is listed.

    Parameters
    ----------
    said
        What the tensor says: ``location``, ``offset``, ``length``.
    path
        The graph, for messages.
    beside
        Bytes of each file that is listed, by its name.

    Raises
    ------
    UntrustedError
        If it lies elsewhere, or leads out of its file.
    CannotRunError
        If it is larger than a tensor may be.
    ValueError
        If its place is no number.
    """
    location = said.get("location", "")
    name = location.removeprefix("./")
    if not _PLAIN.fullmatch(name) or name in {".", ".."}:
        raise UntrustedError(
            f"{path} keeps tensors in another file ({location!r:.80}, ONNX external data), which is none beside it: "
            "publish the model anew"
        )
    if name not in beside:
        raise UntrustedError(
            f"{path} keeps tensors in another file ({name!r:.80}), which its item does not list: publish the model "
            "with that file beside it"
        )
    offset = int(said.get("offset") or 0)
    length = int(said.get("length") or max(0, beside[name] - offset))
    if length > LARGEST:
        raise CannotRunError(
            f"{path} has a tensor of {length:,} bytes in {name}, and ONNX Runtime takes {LARGEST:,} from memory: "
            "split it in two"
        )
    if offset < 0 or length < 0 or offset + length > beside[name]:
        raise UntrustedError(
            f"{path} wants {length} bytes from {offset} on of {name}, which has {beside[name]}: publish both anew"
        )


def files_beside(path: Path, names: list[str]) -> dict[str, Path]:
    """Return the files beside a graph on this machine, by name.

    Raises
    ------
    NotFoundError, StorageError
        If one is not there, or cannot be looked at.
    UntrustedError
        If one is no plain file: a link may lead to anything of yours, which would be published.
    """
    found = {}
    for name in names:
        if not _PLAIN.fullmatch(name) or name in {".", ".."}:
            raise UntrustedError(f"{path} keeps tensors in another file ({name!r:.80}), which is no file beside it")
        place = path.parent / name
        try:
            status = place.lstat()
        except FileNotFoundError as error:
            raise NotFoundError(f"{path.name} keeps tensors in {name}, which is not beside it: put it there") from error
        except OSError as error:
            raise StorageError.doing(f"read {place}", error) from error
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise UntrustedError(f"{place}, which {path.name} keeps tensors in, is a link: copy the file itself there")
        found[name] = place
    return found


def read_beside(path: Path, names: list[str], max_bytes: int) -> dict[str, bytes]:
    """Read the files beside a graph on this machine.

    Raises
    ------
    UntrustedError
        If one is no plain file, or larger than ``max_bytes``.
    NotFoundError, StorageError
        If one is not there, or cannot be read.
    """
    found = {}
    for name, place in files_beside(path, names).items():
        try:
            if place.stat().st_size > max_bytes:
                raise UntrustedError(f"{place} is larger than the limit of {max_bytes} bytes")
            found[name] = place.read_bytes()
        except OSError as error:
            if isinstance(error, UntrustedError):
                raise
            raise StorageError.doing(f"read {place}", error) from error
    return found
