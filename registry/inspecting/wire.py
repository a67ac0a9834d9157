"""Protobuf's wire format and flat buffers, walked by hand: what they hold, without the packages that define them.

The walk is the stricter of two readers: what it cannot read is refused, and of a field that should occur once it gives
every occurrence. Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MOST = 1 << 20
"""Messages of one kind that are taken: an empty one is two bytes in a file, and a hundred times that here."""
WIDTH = MappingProxyType({FIXED64: 8, FIXED32: 4})


def written(number: int, content: bytes) -> bytes:
    """Write a field with a length."""
    return varint(number << 3 | LENGTH) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Write a whole number from 0."""
    rest, bits = divmod(value, 128)
    return bytes([bits | 128]) + varint(rest) if rest else bytes([bits])


def messages(views: Iterable[memoryview], *numbers: int) -> list[memoryview]:
    """Follow fields with a length from messages to what lies below them, one number a level."""
    found = list(views)
    for number in numbers:
        below = (value for view in found for n, value in fields(view) if n == number and isinstance(value, memoryview))
        found = list(islice(below, MOST + 1))
        if len(found) > MOST:
            raise ValueError(f"more than {MOST} messages")
    return found


def integers(view: memoryview, number: int) -> Iterator[int]:
    """Yield the whole numbers of a repeated field, whether each has a tag or all have one, with their sign."""
    for found, value in fields(view):
        if found != number:
            continue
        if isinstance(value, int):
            yield _with_sign(value)
            continue
        position = 0
        while position < len(value):
            one, position = _varint(value, position)
            yield _with_sign(one)


def _with_sign(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def texts(views: Iterable[memoryview], *numbers: int) -> list[str]:
    """Follow fields as :func:`messages` does, to text at their end."""
    return [str(value, "utf-8") for value in messages(views, *numbers)]


def fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field number and value (a view for what has a length, the number for a varint) of one message."""
    position = 0
    while position < len(view):
        tag, position = _varint(view, position)
        if tag >> 32:  # some parsers would drop the upper bits and see another field than we do
            raise ValueError(f"tag {tag}")
        number, wire = tag >> 3, tag & 7
        if number == 0:  # no message has it; what is filled with zeros would be read to its end
            raise ValueError("a field without number")
        if wire == VARINT:
            value, position = _varint(view, position)
            yield number, value
            continue
        if wire == LENGTH:
            length, position = _varint(view, position)
        elif wire in WIDTH:
            length = WIDTH[wire]
        else:
            raise ValueError(f"wire type {wire}")  # groups, which ONNX never had
        if position + length > len(view):
            raise IndexError("a field ends after the file")
        yield number, view[position : position + length]
        position += length


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")


@dataclass(frozen=True)
class Table:
    """A table of a flat buffer: its fields lie where the table of offsets before it says.

    Source: https://flatbuffers.dev/internals.
    """

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
        """Give a number, 0 where there is none."""
        field = self._field(number)
        return int(struct.unpack_from(f"<{kind}", self.data, field)[0]) if field else 0

    def text(self, number: int) -> str:
        """Give a text."""
        begin, length = self._vector(number)
        return self.data[begin : begin + length].decode()

    def numbers(self, number: int, kind: str = "i") -> tuple[int, ...]:
        """Give a list of numbers, by default whole ones of 32 bits."""
        begin, length = self._vector(number)
        return struct.unpack_from(f"<{length}{kind}", self.data, begin)

    def length(self, number: int) -> int:
        """Say how long a list is."""
        return self._vector(number)[1]

    def table(self, number: int) -> Table | None:
        """Give the table of a field."""
        field = self._field(number)
        return Table(self.data, field + struct.unpack_from("<I", self.data, field)[0]) if field else None

    def tables(self, number: int) -> Iterator[Table]:
        """Yield the tables of a list."""
        begin, length = self._vector(number)
        for place in range(begin, begin + 4 * length, 4):
            yield Table(self.data, place + struct.unpack_from("<I", self.data, place)[0])


def root(data: bytes) -> Table:
    """Give the table of a flat buffer that all others hang on."""
    return Table(data, struct.unpack_from("<I", data)[0])
