"""A LiteRT file: its one signature, or the inputs and outputs of its graph, by the layout of flat buffers.

Source: tensorflow/compiler/mlir/lite/schema/schema.fbs; https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from modelstac.registry.facts.records.record import Record, Slot

IDENTIFIER = b"TFL3"
SUBGRAPHS, SIGNATURES = 2, 7  # of Model
TENSORS, INPUTS, OUTPUTS = 0, 1, 2  # of SubGraph
BUFFERS, BUFFER, DATA = 4, 2, 0  # of Model, of Tensor, of Buffer
SHAPE, TYPE, NAME, OPEN_SHAPE = 0, 1, 3, 7  # of Tensor
TAKEN, GIVEN = 0, 1  # of SignatureDef
CALLED, INDEX = 0, 1  # of TensorMap
TYPES = MappingProxyType(
    {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "str", 6: "bool", 7: "int16", 8: "complex64"}
    | {9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32", 16: "uint16"}
)


def read(data: bytes) -> Record:
    """Read the record of a LiteRT file."""
    model = _Table(data, struct.unpack_from("<I", data)[0])
    graph = next(model.tables(SUBGRAPHS))
    tensors = list(graph.tables(TENSORS))
    signatures = list(model.tables(SIGNATURES))
    if len(signatures) == 1:
        [found] = signatures
        inputs, outputs = (
            tuple(_slot(tensors[entry.number(INDEX)], entry.text(CALLED)) for entry in found.tables(side))
            for side in (TAKEN, GIVEN)
        )
    else:
        inputs, outputs = (
            tuple(_slot(tensors[index], tensors[index].text(NAME)) for index in graph.numbers(side))
            for side in (INPUTS, OUTPUTS)
        )
    return Record("litert", None, inputs, outputs)


def parameters(data: bytes) -> int:
    """Count the numbers of the tensors that the file holds the values of."""
    model = _Table(data, struct.unpack_from("<I", data)[0])
    filled = [bool(buffer.length(DATA)) for buffer in model.tables(BUFFERS)]
    return sum(
        math.prod(tensor.numbers(SHAPE))
        for graph in model.tables(SUBGRAPHS)
        for tensor in graph.tables(TENSORS)
        if filled[tensor.number(BUFFER)]
    )


def _slot(tensor: _Table, name: str) -> Slot:
    lengths = tensor.numbers(OPEN_SHAPE) or tensor.numbers(SHAPE)
    return Slot(name, tuple(n if n >= 0 else None for n in lengths), TYPES.get(tensor.number(TYPE, "b")))


@dataclass(frozen=True)
class _Table:
    """A table of a flat buffer: its fields lie where the table of offsets before it says."""

    data: bytes
    at: int

    def _field(self, number: int) -> int:
        (back,) = struct.unpack_from("<i", self.data, self.at)
        (size,) = struct.unpack_from("<H", self.data, self.at - back)
        place = 4 + 2 * number
        if place >= size:
            return 0
        (offset,) = struct.unpack_from("<H", self.data, self.at - back + place)
        return self.at + int(offset) if offset else 0

    def _vector(self, number: int) -> tuple[int, int]:
        """Return where the values of a list begin, and how many there are."""
        field = self._field(number)
        if not field:
            return 0, 0
        place = field + struct.unpack_from("<I", self.data, field)[0]
        return place + 4, struct.unpack_from("<I", self.data, place)[0]

    def number(self, number: int, kind: str = "I") -> int:
        field = self._field(number)
        return int(struct.unpack_from(f"<{kind}", self.data, field)[0]) if field else 0

    def text(self, number: int) -> str:
        begin, length = self._vector(number)
        return self.data[begin : begin + length].decode()

    def numbers(self, number: int) -> tuple[int, ...]:
        begin, length = self._vector(number)
        return struct.unpack_from(f"<{length}i", self.data, begin)

    def length(self, number: int) -> int:
        return self._vector(number)[1]

    def tables(self, number: int) -> Iterator[_Table]:
        begin, length = self._vector(number)
        for place in range(begin, begin + 4 * length, 4):
            yield _Table(self.data, place + struct.unpack_from("<I", self.data, place)[0])
