"""From the bytes of a file to its record, whatever the file is called and whatever is said of it."""

from __future__ import annotations

import importlib
import io
import json
import re
import struct
import zipfile
from types import MappingProxyType
from typing import Protocol, cast

from modelstac.catalog.errors import ModelStacError
from modelstac.registry.facts.records import litert, onnx, weights
from modelstac.registry.facts.records.record import Record

PICKLE, HDF5 = "a pickle", "an HDF5 file"
UNSAFE = frozenset({PICKLE, HDF5})
"""What runs code when it is read, or may, by what it is called in messages."""
CALLED = MappingProxyType(
    {"keras": "a .keras archive", "torch": "a safetensors file", "onnx": "an ONNX graph"}
    | {"torch-export": "a program of torch.export", "saved-model": "an archive of a SavedModel"}
    | {"litert": "a LiteRT file", "openvino": "an archive of an OpenVINO model"}
)
_BEFORE_A_MEMBER = b"PK\x03\x04"
_BEGIN_OF_HDF5 = b"\x89HDF\r\n\x1a\n"
_BEGIN_OF_A_PICKLE = re.compile(rb"\x80[\x02-\x05]")


class Reader(Protocol):
    """What a module of a format offers."""

    def read(self, data: bytes) -> Record:  # pragma: no cover - a shape, not code
        """Read the record of a file."""
        ...


def recognised(data: bytes) -> str | None:
    """Tell the format of a file by what it holds: a key of FORMATS or one of UNSAFE, None for what is none of these."""
    if data.startswith(_BEFORE_A_MEMBER):
        return _archived(data)
    if data.startswith(_BEGIN_OF_HDF5):
        return HDF5
    if _BEGIN_OF_A_PICKLE.match(data):
        return PICKLE
    if data[4:8] == litert.IDENTIFIER:
        return "litert"
    if weights.is_safetensors(data):
        return "torch"
    return "onnx" if onnx.is_onnx(data) else None


def _archived(data: bytes) -> str | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
    if {"config.json", "metadata.json"} <= names:
        return "keras"
    # Not at the top: what looks into these is needed for no other file.
    from modelstac.registry.inspecting.saved_model import GRAPH_MEMBER
    from modelstac.registry.inspecting.torch_export import PROGRAM

    if GRAPH_MEMBER in names:
        return "saved-model"
    if "model.xml" in names:
        return "openvino"
    if any(name.endswith(f"/{PROGRAM}") for name in names):
        return "torch-export"
    return PICKLE if any(name.endswith("data.pkl") for name in names) else None


def record(data: bytes) -> Record | None:
    """Read what a file says of itself; None where it is of none of our formats, or a damaged one, which loading names.

    Nothing of it runs, and no framework is imported.
    """
    form = recognised(data)
    if form is None or form in UNSAFE:
        return None
    reader = cast("Reader", importlib.import_module(f"modelstac.registry.facts.records.{_module(form)}"))
    try:
        return reader.read(data)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, StopIteration):
        return Record(form)
    except (ModelStacError, zipfile.BadZipFile, struct.error, SyntaxError, json.JSONDecodeError, NotImplementedError):
        return Record(form)


def _module(form: str) -> str:
    return {"torch": "weights"}.get(form, form.replace("-", "_"))
