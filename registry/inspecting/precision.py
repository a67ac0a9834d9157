"""In which precision a model file computes: float32 (or more), float16, bfloat16 or 8 bits, read without opening it.

What a file stores is not what it computes with: weights of half precision that are cast to float32 before they are used
compress a file, and its arithmetic is that of float32. So do weights of 8 bits. A model that multiplies in half
precision differs from the same model in another runtime by roundings of half precision, and one whose values in between
are whole numbers of 8 bits by steps of these.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.inspecting.wire import Table, fields, messages, root

FULL, HALF, BRAIN, WHOLE = "fp32", "fp16", "bf16", "int8"
_NAMES = MappingProxyType(
    {"float16": HALF, "mixed_float16": HALF, "F16": HALF, "bfloat16": BRAIN, "mixed_bfloat16": BRAIN, "BF16": BRAIN}
)
_TORCH = MappingProxyType({6: HALF, 13: BRAIN})
"""``ScalarType`` of an exported program: torch/_export/serde/schema.py."""
_ONNX = MappingProxyType({10: HALF, 16: BRAIN})
"""``TensorProto.DataType``: onnx/onnx.proto."""
_TENSORFLOW = MappingProxyType({19: HALF, 14: BRAIN})
"""``DataType``: tensorflow/core/framework/types.proto."""
_WHOLE = frozenset({"ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QuantizeLinear"})
"""Operators of ONNX that make whole numbers of values in between, or take them; others begin with ``QLinear``."""
_CODES, _GRAPHS = 1, 2  # of Model: tensorflow/compiler/mlir/lite/schema/schema.fbs
_TENSORS, _OPERATORS = 0, 3  # of SubGraph
_SCALES = 4, 2  # of Tensor and of its QuantizationParameters
_CODE, _TAKEN = 0, 1  # of Operator
_EIGHT_BITS = frozenset({3, 7, 9})  # uint8, int16 and int8 of TensorType
_KIND = 3  # of OperatorCode
_DEQUANTIZE = 6  # of BuiltinOperator
_MOVES = frozenset({"Cast", "Const", "Constant", "Identity", "VarHandleOp", "ReadVariableOp", "Placeholder", "NoOp"})

_UNREADABLE = (
    *(zipfile.BadZipFile, struct.error, KeyError, ValueError),
    *(IndexError, TypeError, AttributeError, RecursionError),
)


def precision_of(data: bytes, artifact_type: str) -> str:
    """Tell in which precision a file computes: ``fp32``, ``fp16``, ``bf16`` or ``int8``; the lowest that it says.

    ``fp32`` also where its format does not say, or the file cannot be read: whoever opens it tells why.
    """
    read = _READERS.get(artifact_type)
    if read is None:
        return FULL
    try:
        found = set(read(data))
    except _UNREADABLE:
        return FULL
    return next((name for name in (WHOLE, BRAIN, HALF) if name in found), FULL)


def _keras(data: bytes) -> Iterator[str]:
    """Look at the policy of every layer, and at what it makes of the values that it is given."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        config = json.loads(archive.read("config.json"))
    for key, value in _pairs(config):
        if key == "dtype":
            said = value.get("config", {}) if isinstance(value, dict) else {"name": value}
            policy = said.get("name", said.get("source_name"))  # the latter of weights of 8 bits, beside their mode
            if isinstance(policy, str) and policy in _NAMES:
                yield _NAMES[policy]
        elif key == "activation_quantizer" and value:
            yield WHOLE


def _torch_export(data: bytes) -> Iterator[str]:
    """Look at the type of every value of the graph that is computed by more than a cast."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("models/model.json"))
        program = json.loads(archive.read(name))
    for key, graph in _pairs(program):
        if key != "graph" or not isinstance(graph, dict):
            continue
        types = {n: _TORCH.get(meta.get("dtype")) for n, meta in graph.get("tensor_values", {}).items()}
        for node in graph.get("nodes", ()):
            if "_to_copy" in node["target"] or ".to." in node["target"]:
                continue
            if node["target"].endswith(".wrap_with_autocast"):
                _, dtype, enabled, *_ = (argument["arg"] for argument in node["inputs"])
                yield from filter(None, [enabled.get("as_bool") and _TORCH.get(dtype.get("as_scalar_type"))])
                continue
            used = [argument["arg"].get("as_tensor") for argument in node["inputs"]]
            yield from filter(None, (types.get(tensor["name"]) for tensor in used if isinstance(tensor, dict)))


def _safetensors(data: bytes) -> Iterator[str]:
    """Look at the types of the weights, with which PyTorch computes as they are."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    yield from (_NAMES[t["dtype"]] for n, t in header.items() if n != "__metadata__" and t.get("dtype") in _NAMES)


def _onnx(data: bytes) -> Iterator[str]:
    """Look at what initialisers and constants are used by, and at casts into half precision."""
    stack = messages([memoryview(data)], 7)
    while stack:
        graph = stack.pop()
        half: dict[str, str] = {}
        nodes = []
        for number, value in fields(graph):
            if isinstance(value, int):
                continue
            if number == 5:
                half |= _half_tensor(value)
            elif number == 1:
                nodes.append(value)
        for node in nodes:
            kind, used, attributes = _text(node, 4), [str(v, "utf-8") for v in messages([node], 1)], messages([node], 5)
            stack += [g for attribute in attributes for g in (*messages([attribute], 6), *messages([attribute], 11))]
            if kind in _WHOLE or kind.startswith("QLinear"):
                yield WHOLE
            elif kind == "Cast":
                yield from filter(None, (_ONNX.get(_number(a, 3)) for a in attributes if _text(a, 1) == "to"))
            elif kind not in _MOVES:
                yield from (half[name] for name in used if name in half)


def _half_tensor(tensor: memoryview) -> dict[str, str]:
    kind = _ONNX.get(_number(tensor, 2))
    return {} if kind is None else {_text(tensor, 8): kind}


def _saved_model(data: bytes) -> Iterator[str]:
    """Look at the type of every operator that computes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("saved_model.pb"))
        graphs = messages([memoryview(archive.read(name))], 2, 2)
    for node in (*messages(graphs, 1), *messages(graphs, 2, 1, 3)):
        if _text(node, 2) not in _MOVES:
            for entry in messages([node], 5):
                if _text(entry, 1) == "T":
                    yield from filter(None, (_TENSORFLOW.get(_number(value, 6)) for value in messages([entry], 2)))


def _litert(data: bytes) -> Iterator[str]:
    """Look for whole numbers with a scale that more is done with than giving them back as what they stand for."""
    model = root(data)
    kinds = [code.number(_KIND) or code.number(0, "b") for code in model.tables(_CODES)]
    for graph in model.tables(_GRAPHS):
        scaled = [_is_scaled(tensor) for tensor in graph.tables(_TENSORS)]
        for operator in graph.tables(_OPERATORS):
            if kinds[operator.number(_CODE)] != _DEQUANTIZE and any(
                scaled[n] for n in operator.numbers(_TAKEN) if n >= 0
            ):
                yield WHOLE


def _is_scaled(tensor: Table) -> bool:
    """Tell whether a tensor is of whole numbers of 8 or 16 bits that stand for others."""
    parameters = tensor.table(_SCALES[0])
    return tensor.number(1, "b") in _EIGHT_BITS and parameters is not None and parameters.length(_SCALES[1]) > 0


def _text(view: memoryview, number: int) -> str:
    return next((str(v, "utf-8") for n, v in fields(view) if n == number and isinstance(v, memoryview)), "")


def _number(view: memoryview, number: int) -> int:
    return next((v for n, v in fields(view) if n == number and isinstance(v, int)), 0)


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    stack = [value]
    while stack:
        found = stack.pop()
        if isinstance(found, dict):
            yield from found.items()
            stack.extend(found.values())
        elif isinstance(found, list):
            stack.extend(found)


_READERS: MappingProxyType[str, Callable[[bytes], Iterator[str]]] = MappingProxyType(
    {
        FORMATS["keras"].artifact_type: _keras,
        FORMATS["torch-export"].artifact_type: _torch_export,
        FORMATS["torch"].artifact_type: _safetensors,
        FORMATS["litert"].artifact_type: _litert,
        FORMATS["onnx"].artifact_type: _onnx,
        FORMATS["saved-model"].artifact_type: _saved_model,
    }
)
