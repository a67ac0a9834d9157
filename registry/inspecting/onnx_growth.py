"""What the constants of an ONNX graph may grow to when a runtime opens it; see :mod:`.budgets.growth`.

Field numbers: onnx/onnx.proto, as in :mod:`modelstac.registry.inspecting.onnx`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import MappingProxyType

from modelstac.registry.inspecting.budgets.growth import CAP, Growth, Step
from modelstac.registry.inspecting.folders import words
from modelstac.registry.inspecting.wire import fields, integers, messages

GRAPH, FUNCTIONS = 7, 25  # of ModelProto
NODES, INITIALIZERS = 1, 5  # of GraphProto
FUNCTION_NAME, FUNCTION_NODES = 1, 7  # of FunctionProto
INPUT, OUTPUT, NAME, OPERATOR, ATTRIBUTE = 1, 2, 3, 4, 5  # of NodeProto
ATTRIBUTE_NAME, ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_INTS, ATTRIBUTE_GRAPHS = 1, 5, 6, 8, 11
DIMS, TENSOR_TYPE, INT64_DATA, TENSOR_NAME, RAW_DATA = 1, 2, 7, 8, 9  # of TensorProto
INT64 = 7
FEW = 16
NESTED = words("If Loop Scan SequenceMap")
GROWING: MappingProxyType[str, int | None] = MappingProxyType(
    {"Expand": 1, "Tile": 1, "ConstantOfShape": 0}
    | dict.fromkeys(words("Range OneHot Pad Resize Upsample CenterCropPad Col2Im AffineGrid SplitToSequence"))
    | dict.fromkeys(words("RandomNormal RandomUniform Multinomial HannWindow HammingWindow BlackmanWindow"))
    | dict.fromkeys(words("MelWeightMatrix StringNormalizer TfIdfVectorizer MaxUnpool DFT STFT GridSample"))
    | dict.fromkeys(NESTED)
)
KEEPING = words(
    """Identity Cast CastLike Reshape Flatten Squeeze Unsqueeze Transpose Slice Split Neg Abs Sqrt Exp Log Floor Ceil
    Round Sign Not Reciprocal Relu Sigmoid Tanh Erf Clip Dropout CumSum EyeLike Trilu ReduceProd ReduceSum ReduceMax
    ReduceMin ReduceMean QuantizeLinear DequantizeLinear ScatterND ScatterElements"""
)


def grows(data: bytes) -> Growth:
    """Follow the constants of a file.

    Raises
    ------
    IndexError, ValueError
        If it is no file of ONNX.
    """
    model = [memoryview(data)]
    functions = messages(model, FUNCTIONS)
    names = {str(value, "utf-8") for value in messages(functions, FUNCTION_NAME)}
    growth = Growth({**GROWING, **dict.fromkeys(names)}, KEEPING)
    for graph in messages(model, GRAPH):
        _follow(graph, growth, names)
    for function in functions:
        for node in messages([function], FUNCTION_NODES):
            _node(node, growth, names)
    return growth


def _follow(graph: memoryview, growth: Growth, functions: set[str]) -> None:
    nodes = []
    for number, value in fields(graph):
        if isinstance(value, int):
            continue
        if number == INITIALIZERS:
            name, count, values = _tensor(value)
            growth.hold(name, count, values)
        elif number == NODES:
            nodes.append(value)
    for node in nodes:
        _node(node, growth, functions)


def _node(node: memoryview, growth: Growth, functions: set[str]) -> None:
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[memoryview] = []
    kind = name = ""
    for number, value in fields(node):
        if isinstance(value, int):
            continue
        if number == ATTRIBUTE:
            attributes.append(value)
        elif number in {INPUT, OUTPUT, NAME, OPERATOR}:
            text = str(value, "utf-8")
            if number == INPUT:
                inputs.append(text)
            elif number == OUTPUT:
                outputs.append(text)
            elif number == NAME:
                name = text
            else:
                kind = text
    if kind in functions:
        inputs = []  # what a function makes of one constant beside its other inputs, nobody follows
    name = name or (outputs[0] if outputs else "")
    count = values = None
    if kind == "Constant":
        count, values = _constant(attributes)
    growth.follow(Step(kind, name, tuple(inputs), tuple(outputs), count, values))
    if kind in NESTED:
        for graph in messages(attributes, ATTRIBUTE_GRAPH) + messages(attributes, ATTRIBUTE_GRAPHS):
            _follow(graph, growth, functions)


def _constant(attributes: list[memoryview]) -> tuple[int, tuple[int, ...] | None]:
    """Read what a node Constant holds: a tensor, or some numbers."""
    for tensor in messages(attributes, ATTRIBUTE_TENSOR):
        return _tensor(tensor)[1:]
    numbers = [value for one in attributes for value in integers(one, ATTRIBUTE_INTS)]
    return max(map(len, attributes), default=0), tuple(numbers) if 0 < len(numbers) <= FEW else None


def _tensor(tensor: memoryview) -> tuple[str, int, tuple[int, ...] | None]:
    """Give the name of a tensor, how many values it has, and these where they are a few whole numbers."""
    name, kind, raw = "", 0, b""
    for number, value in fields(tensor):
        if number == TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == TENSOR_NAME and not isinstance(value, int):
            name = str(value, "utf-8")
        elif number == RAW_DATA and not isinstance(value, int) and len(value) <= 8 * FEW:
            raw = bytes(value)
    dims = list(integers(tensor, DIMS))
    count = CAP if any(not 0 <= length < 1 << 48 for length in dims) or len(dims) > 64 else math.prod(dims)
    if kind != INT64 or count > FEW:
        return name, min(count, CAP), None
    return name, count, tuple(_signed(raw)) or tuple(integers(tensor, INT64_DATA)) or None


def _signed(raw: bytes) -> Iterator[int]:
    for start in range(0, len(raw) - len(raw) % 8, 8):
        yield int.from_bytes(raw[start : start + 8], "little", signed=True)
