"""An ONNX file: its versions, producer, inputs and outputs, by the wire format.

Source: onnx/onnx.proto (ModelProto, GraphProto, ValueInfoProto, TypeProto).
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from modelstac.registry.facts.records.record import Record, Slot
from modelstac.registry.inspecting.wire import fields, messages, texts

IR_VERSION, PRODUCER, PRODUCER_VERSION, GRAPH, OPSETS = 1, 2, 3, 7, 8  # of ModelProto
DOMAIN, VERSION = 1, 2  # of OperatorSetIdProto
INITIALIZER, INPUT, OUTPUT = 5, 11, 12  # of GraphProto
VALUE_NAME, TYPE, TENSOR, ELEMENT, SHAPE, DIM, LENGTH = 1, 2, 1, 1, 2, 1, 1  # from ValueInfoProto down
INITIALIZER_NAME = 8  # of TensorProto
DEFAULTS_SINCE = 4
"""IR version from which an initializer of the name of an input is its default; before, all weights stood so."""
TYPES = MappingProxyType(
    {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "str", 9: "bool"}
    | {10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16"}
)


def is_onnx(data: bytes) -> bool:
    """Tell whether the bytes are those of a model: a version of the representation, operator sets and a graph."""
    try:
        found = {number for number, _ in fields(memoryview(data))}
    except (ValueError, IndexError):
        return False
    return {IR_VERSION, GRAPH, OPSETS} <= found


def read(data: bytes) -> Record:
    """Read the record of an ONNX file."""
    model = memoryview(data)
    [graph] = messages([model], GRAPH)
    numbers = {number: value for number, value in fields(model) if isinstance(value, int)}
    if IR_VERSION not in numbers:
        raise ValueError("it states no version of its representation, ir_version")
    ir_version = numbers[IR_VERSION]
    defaults = set(texts([graph], INITIALIZER, INITIALIZER_NAME))
    inputs = [_slot(value, defaults) for value in messages([graph], INPUT)]
    if ir_version < DEFAULTS_SINCE:
        inputs = [slot for slot in inputs if slot.name not in defaults]
    details: dict[str, object] = {"ir_version": ir_version}
    opsets = [version for domain, version in _opsets(model) if domain in {"", "ai.onnx"}]
    details |= {"opset": opsets[0]} if opsets else {}
    for name, number in (("producer", PRODUCER), ("producer_version", PRODUCER_VERSION)):
        if any(found := texts([model], number)):
            details[name] = found[0]
    outputs = tuple(_slot(value, set()) for value in messages([graph], OUTPUT))
    return Record("onnx", None, tuple(inputs), outputs, details=details)


def _opsets(model: memoryview) -> Iterator[tuple[str, int]]:
    for entry in messages([model], OPSETS):
        domain, version = "", 1
        for number, value in fields(entry):
            if number == DOMAIN and not isinstance(value, int):
                domain = str(value, "utf-8")
            elif number == VERSION and isinstance(value, int):
                version = value
        yield domain, version


def _slot(value: memoryview, defaults: set[str]) -> Slot:
    name = next(iter(texts([value], VALUE_NAME)), "")
    tensors = messages([value], TYPE, TENSOR)
    if not tensors:
        return Slot(name, optional=name in defaults)
    element = next((v for n, v in fields(tensors[0]) if n == ELEMENT and isinstance(v, int)), 0)
    shapes = messages(tensors, SHAPE)
    shape = tuple(_length(dim) for dim in messages(shapes, DIM)) if shapes else None
    return Slot(name, shape, TYPES.get(element), name in defaults)


def _length(dim: memoryview) -> int | None:
    found = next((v for n, v in fields(dim) if n == LENGTH and isinstance(v, int)), 0)
    return found if 0 < found < 1 << 63 else None  # what converters write where they know none
