"""Inputs and outputs of an ONNX graph, with what its names for lengths say of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from onnx import helper

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.sizes import ANY, BY_DATA
from modelstac.registry.facts import TYPES, Tensor
from modelstac.registry.facts.lengths import Length, Lengths
from modelstac.registry.inspecting.size_expressions import linear, parse, symbols

DEFAULTS_SINCE = 4
"""IR version from which an initializer of the name of an input is its default; before, all weights stood so."""
# Whose results are as long as the values say (onnx/docs/Operators.md).
_BY_VALUE = frozenset({"Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"})
_KINDS = {"sequence_type": "a sequence", "map_type": "a map", "optional_type": "optional"}
_KINDS |= {"sparse_tensor_type": "a sparse tensor"}
_NUMBERS = frozenset({name.upper() for name in TYPES} - {"FLOAT32", "FLOAT64"} | {"FLOAT", "DOUBLE"})
_NOTHING = frozenset({"?", "*", "-1", "None", "none", "unk"})
"""What converters write, of several axes alike, where they know no length; it says nothing of their going together."""
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def interface(model: onnx.ModelProto, path: Path) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Describe inputs and outputs; an input with a default may be left out.

    Raises
    ------
    InvalidItemError
        If one is no tensor with a known number of axes; names it.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    inputs = [v for v in graph.input if v.name not in weights or model.ir_version >= DEFAULTS_SINCE]
    for kind, values in (("input", inputs), ("output", graph.output)):
        for value in values:
            _check(value, kind, path)
    plain = {name for value in inputs for name in _dims(value) if isinstance(name, str)}
    taken, given = (
        [[_length(dim, plain) for dim in _dims(value)] for value in side] for side in (inputs, graph.output)
    )
    lengths, by_value = Lengths.of(taken, given), _by_value(model)
    return (
        tuple(
            Tensor(value.name, lengths.sizes(axes), _type(value), optional=value.name in weights)
            for value, axes in zip(inputs, taken, strict=True)
        ),
        tuple(
            Tensor(value.name, lengths.sizes(axes, BY_DATA if value.name in by_value else ANY), _type(value))
            for value, axes in zip(graph.output, given, strict=True)
        ),
    )


def _check(value: onnx.ValueInfoProto, kind: str, path: Path) -> None:
    found = value.type.WhichOneof("value")
    if found in _KINDS:
        raise InvalidItemError(
            f"{path}: the {kind} {value.name!r} is {_KINDS[found]}, and an array is needed: export the model with "
            "tensors alone"
        )
    if found != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        raise InvalidItemError(f"{path}: the {kind} {value.name!r} has no known number of axes: export it with one")


def _dims(value: onnx.ValueInfoProto) -> list[int | str | None]:
    """Give the length of each axis, the name of one, or None where nothing is said."""
    return [
        dim.dim_value
        if dim.HasField("dim_value") and dim.dim_value > 0
        else dim.dim_param.strip()
        if dim.dim_param.strip() not in {"", *_NOTHING}
        else None
        for dim in value.type.tensor_type.shape.dim
    ]


def _length(dim: int | str | None, plain: set[str]) -> Length:
    """Read the name of a length; one that is computed of others' names is understood, any other is a symbol.

    PyTorch names an axis ``2*height`` where it is even, beside others of ``height``.
    """
    if not isinstance(dim, str):
        return dim
    try:
        tree = parse(dim, _NAME)
    except ValueError:
        return ast.Name(dim)
    found = linear(tree)
    multiple = found is not None and len(found.factors) == 1 and max(found.factors.values()) > 1
    return tree if multiple or symbols(tree) <= plain else ast.Name(dim)


def _type(value: onnx.ValueInfoProto) -> str:
    """Name the data type as NumPy does, or as ONNX does where NumPy has none."""
    number = value.type.tensor_type.elem_type
    name = onnx.TensorProto.DataType.Name(number)
    # For the rest (bfloat16, float8, int4) the package gives a type of another one, or of the numbers that hold it.
    return str(helper.tensor_dtype_to_np_dtype(number).name) if name in _NUMBERS else name.casefold()


def _by_value(model: onnx.ModelProto) -> frozenset[str]:
    """Name the outputs that are computed of something whose length depends on values."""
    longer = {f.name for f in model.functions if any(node.op_type in _BY_VALUE for node in _nodes(f.node))}
    made: dict[str, onnx.NodeProto] = {name: node for node in model.graph.node for name in node.output}
    found = set()
    for output in model.graph.output:
        stack, seen = [output.name], set[str]()
        while stack:
            name = stack.pop()
            if name in seen or name not in made:
                continue
            seen.add(name)
            inner = list(_nodes([made[name]]))
            if any(node.op_type in _BY_VALUE or node.op_type in longer for node in inner):
                found.add(output.name)
                break
            stack.extend(name for node in inner for name in node.input)
    return frozenset(found)


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes and those of the graphs that they hold."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                stack.extend(graph.node)
