"""Inputs and outputs of an ONNX graph, with what its names for lengths say of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.sizes import ANY, BY_DATA
from modelstac.registry.facts import Tensor
from modelstac.registry.facts.lengths import Length, Lengths
from modelstac.registry.facts.onnx_graph import (
    ARRAY,
    FUNCTION_NAME,
    FUNCTION_NODE,
    FUNCTIONS,
    GIVEN,
    GRAPH,
    INITIALIZER,
    INPUT,
    NODE,
    OUTPUT,
    SPARSE,
    TAKEN,
    TENSOR_NAME,
    VALUES,
    Dim,
    Value,
    nodes,
    operator,
    values,
)
from modelstac.registry.inspecting.size_expressions import linear, parse, symbols
from modelstac.registry.inspecting.wire import messages, texts

DEFAULTS_SINCE = 4
"""IR version from which an initializer of the name of an input is its default; before, all weights stood so."""
# Whose results are as long as the values say (onnx/docs/Operators.md).
_BY_VALUE = frozenset({"Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"})
_NOTHING = frozenset({"?", "*", "-1", "None", "none", "unk"})
"""What converters write, of several axes alike, where they know no length; it says nothing of their going together."""
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def interface(model: memoryview, ir_version: int, path: Path) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Describe inputs and outputs; an input with a default may be left out.

    Raises
    ------
    InvalidItemError
        If one is no tensor with a known number of axes; names it.
    """
    [graph] = messages([model], GRAPH)
    weights = {*texts([graph], INITIALIZER, TENSOR_NAME), *texts([graph], SPARSE, VALUES, TENSOR_NAME)}
    inputs = [v for v in values(graph, INPUT) if v.name not in weights or ir_version >= DEFAULTS_SINCE]
    outputs = values(graph, OUTPUT)
    taken, given = (
        [_dims(value, kind, path) for value in side] for kind, side in (("input", inputs), ("output", outputs))
    )
    plain = {name for dims in taken for name in dims if isinstance(name, str)}
    lengths_in, lengths_out = ([[_length(dim, plain) for dim in dims] for dims in side] for side in (taken, given))
    lengths, by_value = Lengths.of(lengths_in, lengths_out), _by_value(model, graph, [value.name for value in outputs])
    return (
        tuple(
            Tensor(value.name, lengths.sizes(axes), value.dtype, optional=value.name in weights)
            for value, axes in zip(inputs, lengths_in, strict=True)
        ),
        tuple(
            Tensor(value.name, lengths.sizes(axes, BY_DATA if value.name in by_value else ANY), value.dtype)
            for value, axes in zip(outputs, lengths_out, strict=True)
        ),
    )


def _dims(value: Value, side: str, path: Path) -> list[Dim]:
    """Give the length of each axis, the name of one, or None where nothing is said."""
    if value.kind not in {None, ARRAY}:
        raise InvalidItemError(
            f"{path}: the {side} {value.name!r} is {value.kind}, and an array is needed: export the model with "
            "tensors alone"
        )
    if value.dims is None:
        raise InvalidItemError(f"{path}: the {side} {value.name!r} has no known number of axes: export it with one")
    return [_named(dim) if isinstance(dim, str) else dim for dim in value.dims]


def _named(dim: str) -> str | None:
    return dim.strip() if dim.strip() not in {"", *_NOTHING} else None


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


def _by_value(model: memoryview, graph: memoryview, outputs: list[str]) -> frozenset[str]:
    """Name the outputs that are computed of something whose length depends on values."""
    longer = {
        name
        for function in messages([model], FUNCTIONS)
        for name in texts([function], FUNCTION_NAME)
        if any(operator(node)[1] in _BY_VALUE for node in nodes(messages([function], FUNCTION_NODE)))
    } | _BY_VALUE
    made = {name: node for node in messages([graph], NODE) for name in texts([node], GIVEN)}
    if not any(operator(node)[1] in longer for node in nodes(messages([graph], NODE))):
        return frozenset()
    found = set()
    for output in outputs:
        stack, seen = [output], set[str]()
        while stack:
            name = stack.pop()
            if name in seen or name not in made:
                continue
            seen.add(name)
            inner = list(nodes([made[name]]))
            if any(operator(node)[1] in longer for node in inner):
                found.add(output)
                break
            stack.extend(name for node in inner for name in texts([node], TAKEN))
    return frozenset(found)
