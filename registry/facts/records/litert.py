"""A LiteRT file: its one signature, or the inputs and outputs of its graph, by the layout of flat buffers.

Source: tensorflow/compiler/mlir/lite/schema/schema.fbs; https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import math
from types import MappingProxyType

from modelstac.registry.facts.records.record import Record, Slot
from modelstac.registry.inspecting.wire import Table, root

IDENTIFIER = b"TFL3"
SUBGRAPHS, SIGNATURES = 2, 7  # of Model
TENSORS, INPUTS, OUTPUTS = 0, 1, 2  # of SubGraph
BUFFERS, BUFFER, DATA = 4, 2, 0  # of Model, of Tensor, of Buffer
SHAPE, TYPE, NAME, QUANTIZATION, OPEN_SHAPE = 0, 1, 3, 4, 7  # of Tensor
SCALE, ZERO_POINT = 2, 3  # of QuantizationParameters
TAKEN, GIVEN = 0, 1  # of SignatureDef
CALLED, INDEX = 0, 1  # of TensorMap
TYPES = MappingProxyType(
    {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "str", 6: "bool", 7: "int16", 8: "complex64"}
    | {9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32", 16: "uint16"}
)


def read(data: bytes) -> Record:
    """Read the record of a LiteRT file."""
    model = root(data)
    graph = next(model.tables(SUBGRAPHS))
    tensors = list(graph.tables(TENSORS))
    signatures = list(model.tables(SIGNATURES))
    if len(signatures) == 1:
        [found] = signatures
        sides = [
            [(entry.text(CALLED), tensors[entry.number(INDEX)]) for entry in found.tables(side)]
            for side in (TAKEN, GIVEN)
        ]
    else:
        sides = [
            [(tensors[index].text(NAME), tensors[index]) for index in graph.numbers(side)] for side in (INPUTS, OUTPUTS)
        ]
    inputs, outputs = (tuple(_slot(tensor, name) for name, tensor in side) for side in sides)
    steps = {name: step for side in sides for name, tensor in side if (step := _step(tensor)) is not None}
    return Record("litert", None, inputs, outputs, details={"quantization": steps} if steps else {})


def _step(tensor: Table) -> dict[str, float] | None:
    """Give what whole numbers stand for: ``scale * (number - zero_point)``; None where they stand for themselves."""
    parameters = tensor.table(QUANTIZATION)
    if parameters is None or parameters.length(SCALE) != 1:
        return None
    [scale], points = parameters.numbers(SCALE, "f"), parameters.numbers(ZERO_POINT, "q")
    return {"scale": float(scale), "zero_point": int(points[0]) if points else 0}


def parameters(data: bytes) -> int:
    """Count the numbers of the tensors that the file holds the values of."""
    model = root(data)
    filled = [bool(buffer.length(DATA)) for buffer in model.tables(BUFFERS)]
    return sum(
        math.prod(tensor.numbers(SHAPE))
        for graph in model.tables(SUBGRAPHS)
        for tensor in graph.tables(TENSORS)
        if filled[tensor.number(BUFFER)]
    )


def _slot(tensor: Table, name: str) -> Slot:
    lengths = tensor.numbers(OPEN_SHAPE) or tensor.numbers(SHAPE)
    return Slot(name, tuple(n if n >= 0 else None for n in lengths), TYPES.get(tensor.number(TYPE, "b")))
