"""A SavedModel: the version of TensorFlow that wrote it, and its one signature, by the wire format.

Source: tensorflow/core/protobuf/meta_graph.proto and tensorflow/core/framework/{tensor_shape,types}.proto.
"""

from __future__ import annotations

import io
import zipfile
from types import MappingProxyType

from modelstac.registry.facts.records.record import Record, Slot
from modelstac.registry.inspecting.saved_model import GRAPH_MEMBER, META_GRAPHS, SERVED, served
from modelstac.registry.inspecting.wire import fields, messages, texts

INFO, SIGNATURES, TENSORFLOW_VERSION = 1, 5, 5  # of MetaGraphDef, and of its MetaInfoDef
KEY, VALUE = 1, 2  # of an entry of a map
INPUTS, OUTPUTS = 1, 2  # of SignatureDef
DTYPE, SHAPE, DIM, LENGTH, UNKNOWN_RANK = 2, 3, 2, 1, 3  # of TensorInfo and TensorShapeProto
TYPES = MappingProxyType(
    {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "str", 8: "complex64", 9: "int64"}
    | {10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64"}
)


def read(data: bytes) -> Record:
    """Read the record of an archive of a SavedModel."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = memoryview(archive.read(GRAPH_MEMBER))
    graphs = messages([content], META_GRAPHS)
    version = next(iter(texts(graphs, INFO, TENSORFLOW_VERSION)), None)
    called = served(texts(graphs, SIGNATURES, KEY))
    for entry in messages(graphs, SIGNATURES):
        if texts([entry], KEY) == [called]:
            inputs, outputs = (
                tuple(_slot(found) for found in messages([entry], VALUE, side)) for side in (INPUTS, OUTPUTS)
            )
            return Record("saved-model", version, inputs, outputs)
    names = [name for name in texts(graphs, SIGNATURES, KEY) if not name.startswith("__")]
    there = f"it has {', '.join(names)}" if names else "it has none"
    return Record("saved-model", version, details={"lacks": f"the signature {SERVED!r} ({there})"})


def _slot(entry: memoryview) -> Slot:
    name = next(iter(texts([entry], KEY)), "")
    [info] = messages([entry], VALUE)
    dtype = next((value for number, value in fields(info) if number == DTYPE and isinstance(value, int)), 0)
    shapes = messages([info], SHAPE)
    unknown = not shapes or any(number == UNKNOWN_RANK and value for number, value in fields(shapes[0]))
    shape = None if unknown else tuple(_length(dim) for dim in messages(shapes, DIM))
    return Slot(name, shape, TYPES.get(dtype))


def _length(dim: memoryview) -> int | None:
    """Read a length; -1, which stands for any, is written as a number of 64 bits without sign."""
    found = next((value for number, value in fields(dim) if number == LENGTH and isinstance(value, int)), 0)
    return found if found < 1 << 63 else None
