"""Weights in several safetensors files, by their index, as one file: the same tensors, in the order of the index.

Source: https://huggingface.co/docs/safetensors (format), and the index that transformers and huggingface_hub write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError, ModelStacError, NotFoundError, StorageError, UntrustedError
from modelstac.registry.inspecting.weights import MAX_HEADER

INDEX = ".safetensors.index.json"
_CHUNK = 1 << 22
_MAX_INDEX = 64 << 20


def merge(index: Path, target: Path) -> None:
    """Write the tensors of all parts into one file.

    Parameters
    ----------
    index
        ``model.safetensors.index.json``, with its parts beside it.
    target
        The file to write.

    Raises
    ------
    NotFoundError, StorageError
        If a part is not there, or cannot be read, or the file not written.
    UntrustedError
        If the index leads out of its folder.
    InvalidItemError
        If index and parts do not go together.
    """
    places = _read_index(index)
    try:
        headers = {name: _header(index.parent / name) for name in dict.fromkeys(places.values())}
        wanted, offset = dict[str, Any](), 0
        held = sum((index.parent / name).stat().st_size - start for name, (start, _) in headers.items())
        sources: list[tuple[Path, int, int]] = []
        for tensor, name in places.items():
            start, header = headers[name]
            if tensor not in header:
                raise InvalidItemError(f"{name} has no tensor {tensor!r:.80}, which {index.name} says: fetch both anew")
            low, high = header[tensor]["data_offsets"]
            wanted[tensor] = header[tensor] | {"data_offsets": [offset, offset + high - low]}
            sources.append((index.parent / name, start + low, high - low))
            offset += high - low
            if offset > held:
                raise InvalidItemError(
                    f"the parts of {index.name} have tensors that lie in each other: fetch them anew"
                )
        text = json.dumps(wanted | {"__metadata__": {"format": "pt"}}).encode()
        text += b" " * (-len(text) % 8)
        with target.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for path, begin, length in sources:
                _copy(path, begin, length, file)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelStacError):
            raise
        raise InvalidItemError(
            f"the parts of {index.name} are no safetensors files ({error}): fetch them anew"
        ) from error
    except OSError as error:
        if isinstance(error, StorageError | NotFoundError | UntrustedError):
            raise
        raise StorageError.doing(f"write {target}", error, advice="set TMPDIR to another disk") from error


def _read_index(index: Path) -> Mapping[str, str]:
    try:
        if index.stat().st_size > _MAX_INDEX:
            raise UntrustedError(f"{index} has more than {_MAX_INDEX} bytes, as no index has")
        places = json.loads(index.read_bytes())["weight_map"]
        found = {str(tensor): str(name) for tensor, name in places.items()}
    except FileNotFoundError as error:
        raise NotFoundError(f"no model file {index}: check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidItemError(f"{index} is no index of safetensors files: it has no weight_map") from error
    if not found:
        raise InvalidItemError(f"{index} names no tensors")
    for name in set(found.values()):
        if "/" in name or "\\" in name or name in {"", ".", ".."} or (index.parent / name).is_symlink():
            raise UntrustedError(f"{index.name} names the file {name!r:.80}, which is none beside it")
    return found


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Return where the tensors of a part begin, and what its header says of them."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= MAX_HEADER:
                raise InvalidItemError(f"{path.name} is no safetensors file: it claims a header of {size} bytes")
            header = json.loads(file.read(size))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path.name} beside the index that names it: fetch all parts") from error
    length = path.stat().st_size
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        low, high = tensor["data_offsets"]
        if not 0 <= low <= high <= length - 8 - size:
            raise InvalidItemError(f"{path.name} ends before its tensor {name!r:.80}: fetch it anew")
    return 8 + size, header


def _copy(path: Path, begin: int, length: int, target: Any) -> None:
    with path.open("rb") as file:
        file.seek(begin)
        while length:
            chunk = file.read(min(_CHUNK, length))
            if not chunk:
                raise InvalidItemError(f"{path.name} ends before its tensors do: fetch it anew")
            target.write(chunk)
            length -= len(chunk)
