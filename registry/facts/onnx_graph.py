"""The graph of an ONNX file, by the wire format: importing the package that defines it takes longer than reading it.

Source: onnx/onnx.proto (a test compares what is read with the ``onnx`` package).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from types import MappingProxyType

from modelstac.registry.inspecting.wire import fields, integers, messages, texts

GRAPH, FUNCTIONS = 7, 25  # of ModelProto
NODE, INITIALIZER, INPUT, OUTPUT, SPARSE = 1, 5, 11, 12, 15  # of GraphProto
TAKEN, GIVEN, OPERATOR, ATTRIBUTE, DOMAIN = 1, 2, 4, 5, 7  # of NodeProto
ATTRIBUTE_NAME, INNER, FLOATS, STRINGS, INNER_GRAPHS = 1, 6, 7, 9, 11  # of AttributeProto
TENSORS, SPARSE_TENSORS = (5, 10), (22, 23)  # of it, one or several
FUNCTION_NAME, FUNCTION_NODE = 1, 7  # of FunctionProto
VALUES = 1  # of SparseTensorProto
DIMS, DATA_TYPE, TENSOR_NAME = 1, 2, 8  # of TensorProto
NAME, TYPE = 1, 2  # of ValueInfoProto
ELEMENT, SHAPE = 1, 2  # of TypeProto.Tensor
DIM, DIM_VALUE, DIM_PARAM = 1, 1, 2  # of TensorShapeProto and of its Dimension
CLASSICAL = "ai.onnx.ml"
"""Domain of trees, linear models and their like."""
ARRAY = "a tensor"
KINDS = MappingProxyType({1: ARRAY, 4: "a sequence", 5: "a map", 8: "a sparse tensor", 9: "optional"})
"""What a value may be: the fields of TypeProto."""
TYPES: tuple[str, ...] = (
    *("undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16"),
    *("float64", "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz"),
    *("float8e5m2", "float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2"),
)
"""Data types in the order of their numbers: by NumPy's names, or by those of ONNX in lower case."""
Dim = int | str | None


@dataclass(frozen=True)
class Value:
    """An input or output of a graph.

    Parameters
    ----------
    name
        Of it.
    kind
        One of :data:`KINDS`; None where it is not said.
    dtype
        One of :data:`TYPES`.
    dims
        Length of each axis, its name, or None; None altogether where not even their number is said.
    """

    name: str
    kind: str | None
    dtype: str
    dims: tuple[Dim, ...] | None


@dataclass(frozen=True)
class Constant:
    """A constant tensor: its name, type and lengths."""

    name: str
    dtype: str
    dims: tuple[int, ...]


def values(graph: memoryview, side: int) -> list[Value]:
    """Read the inputs or outputs of a graph."""
    return [_value(view) for view in messages([graph], side)]


def _value(view: memoryview) -> Value:
    name = next(iter(texts([view], NAME)), "")
    kind, dtype, dims = None, 0, None
    for number, found in (pair for one in messages([view], TYPE) for pair in fields(one)):
        if number not in KINDS or isinstance(found, int):
            continue
        kind, dtype, dims = KINDS[number], 0, None  # the last counts
        if kind == ARRAY:
            dtype = _last(found, ELEMENT)
            shapes = messages([found], SHAPE)
            dims = tuple(_dim(one) for one in messages(shapes, DIM)) if shapes else None
    return Value(name, kind, _type(dtype), dims)


def _dim(view: memoryview) -> Dim:
    found: Dim = None
    for number, value in fields(view):
        if number == DIM_VALUE and isinstance(value, int):
            found = value if 0 < value < 1 << 63 else None  # what converters write where they know none
        elif number == DIM_PARAM and not isinstance(value, int):
            found = str(value, "utf-8")
    return found


def _last(view: memoryview, number: int) -> int:
    return next((value for n, value in reversed(list(fields(view))) if n == number and isinstance(value, int)), 0)


def _type(number: int) -> str:
    if not 0 <= number < len(TYPES):
        raise ValueError(f"data type {number}")
    return TYPES[number]


def constant(view: memoryview) -> Constant:
    """Read a tensor without its values."""
    name = next(iter(texts([view], TENSOR_NAME)), "")
    return Constant(name, _type(_last(view, DATA_TYPE)), tuple(integers(view, DIMS)))


def constants(graph: memoryview, without: Set[str] = frozenset()) -> Iterator[Constant]:
    """Yield every constant tensor of a graph and of those that its nodes hold; of sparse ones what is stored.

    Parameters
    ----------
    without
        Names of values of the graph that do not count.
    """
    for number, value in fields(graph):
        if isinstance(value, int):
            continue
        if number == INITIALIZER:
            if (found := constant(value)).name not in without:
                yield found
        elif number == SPARSE:
            yield from map(constant, messages([value], VALUES))
        elif number == NODE and without.isdisjoint(texts([value], GIVEN)):
            yield from held(value)


def held(node: memoryview) -> Iterator[Constant]:
    """Yield every constant tensor that a node holds, also in its graphs."""
    for attribute in messages([node], ATTRIBUTE):
        name = next(iter(texts([attribute], ATTRIBUTE_NAME)), "")
        for number, value in fields(attribute):
            if isinstance(value, int):
                continue
            if number in TENSORS:
                yield constant(value)
            elif number in SPARSE_TENSORS:
                yield from map(constant, messages([value], VALUES))
            elif number in {INNER, INNER_GRAPHS}:
                yield from constants(value)
            elif number == FLOATS and name == "value_floats":
                yield Constant(name, "float32", (len(value) // 4,))


def nodes(found: Iterable[memoryview]) -> Iterator[memoryview]:
    """Yield nodes and those of the graphs that they hold."""
    stack = list(found)
    while stack:
        node = stack.pop()
        yield node
        for attribute in messages([node], ATTRIBUTE):
            for number, value in fields(attribute):
                if number in (INNER, INNER_GRAPHS) and not isinstance(value, int):
                    stack += messages([value], NODE)


def operator(node: memoryview) -> tuple[str, str]:
    """Return the domain and the name of what a node computes."""
    domain, name = "", ""
    for number, value in fields(node):
        if number == DOMAIN and not isinstance(value, int):
            domain = str(value, "utf-8")
        elif number == OPERATOR and not isinstance(value, int):
            name = str(value, "utf-8")
    return domain, name


def factors(graph: memoryview) -> set[str]:
    """Name what nodes that resize take beside what they resize: the part of it, and by how much or to which size."""
    resizing = (node for node in messages([graph], NODE) if operator(node)[1] in {"Resize", "Upsample"})
    return {name for node in resizing for name in list(texts([node], TAKEN))[1:]} - {""}


def learned(graph: memoryview) -> int:
    """Count the numbers that trees, linear models and their like (ai.onnx.ml) keep in attributes."""
    count = 0
    for node in nodes(messages([graph], NODE)):
        domain, kind = operator(node)
        if domain == CLASSICAL and kind != "LabelEncoder":  # which tells names apart
            count += sum(map(_numbers, messages([node], ATTRIBUTE)))
    return count


def _numbers(attribute: memoryview) -> int:
    name, floats, leaves = b"", 0, 0
    for number, value in fields(attribute):
        if isinstance(value, int):
            continue
        if number == FLOATS:
            floats += len(value) // 4
        elif number == STRINGS:
            leaves += bytes(value) == b"LEAF"  # it splits nothing: what stands there for a threshold is none
        elif number == ATTRIBUTE_NAME:
            name = bytes(value)
    return 0 if name.startswith(b"nodes_hitrates") else floats - leaves
