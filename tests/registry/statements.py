"""What a publisher would say, and small ONNX files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from modelstac.registry.describing.describe import Statement

BOX = {"type": "Polygon", "coordinates": [[[5.0, 50.0], [10.0, 50.0], [10.0, 55.0], [5.0, 55.0], [5.0, 50.0]]]}
IMAGE = ("batch", "bands", "height", "width")
PLAIN = ("batch", "channel", "height", "width")


def statement(**said: Any) -> Statement:
    known = {
        "name": "net",
        "version": "1.0.0",
        "tasks": ("regression",),
        "architecture": "CNN",
        "license": "MIT",
        "geometry": BOX,
        "start": datetime(2020, 1, 1, tzinfo=UTC),
        "end": datetime(2021, 1, 1, tzinfo=UTC),
    }
    return Statement(**known | said)


Value = tuple[str, list[int | str | None]] | tuple[str, list[int | str | None], int] | onnx.ValueInfoProto


def graph(path: Path, nodes: list[tuple[Any, ...]], inputs: list[Value], outputs: list[Value], **more: Any) -> Path:
    """Write an ONNX file: nodes as (operator, inputs, outputs, attributes), tensors as (name, shape, type)."""
    made = [helper.make_node(op, given, found, **(rest[0] if rest else {})) for op, given, found, *rest in nodes]
    tensors = ([_value(value) for value in values] for values in (inputs, outputs))
    weights = more.pop("weights", [])
    found = helper.make_graph(made, "g", *tensors, weights)
    opset = [helper.make_opsetid("", more.pop("opset", 17))]
    onnx.save(helper.make_model(found, opset_imports=opset, ir_version=more.pop("ir_version", 9), **more), path)
    return path


def _value(value: Value) -> onnx.ValueInfoProto:
    if isinstance(value, onnx.ValueInfoProto):
        return value
    name, shape, *kind = value
    return helper.make_tensor_value_info(name, kind[0] if kind else TensorProto.FLOAT, shape)
