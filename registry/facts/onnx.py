"""What an ONNX file says about itself, whichever tool wrote it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.facts import Facts
from modelstac.registry.facts.onnx_interface import interface
from modelstac.registry.inspecting.external import files_beside
from modelstac.registry.inspecting.onnx import external_files, inspect_graph
from modelstac.registry.trust.policy import TrustPolicy

# Whole numbers of 32 and 64 bits are shapes, axes and indices; weights of 8 bits are quantised ones.
_NO_WEIGHTS = frozenset({"BOOL", "INT16", "INT32", "INT64", "STRING", "UINT16", "UINT32", "UINT64"})


def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts:
    """Read the facts of an ONNX file; see :func:`modelstac.registry.facts.read_facts`."""
    names = external_files(data)
    beside = {name: place.stat().st_size for name, place in files_beside(path, names).items()}
    inspect_graph(data, path, domains=policy.operator_domains, beside=beside)
    try:
        model = onnx.load_from_string(data)
        if any(not _has_shape(value) for value in model.graph.output):
            model = onnx.shape_inference.infer_shapes(model)
        inputs, outputs = interface(model, path)
    except InvalidItemError:
        raise
    except Exception as error:  # protobuf's DecodeError, of whichever implementation is at work, and ONNX' own
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{path} is no ONNX file that can be read ({reason}): export it anew") from error
    opset = next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), None)
    details: dict[str, Any] = {"ir_version": model.ir_version, "nodes": len(model.graph.node)}
    details |= {} if opset is None else {"opset": opset}
    details |= {"producer": model.producer_name} if model.producer_name else {}
    details |= {"producer_version": model.producer_version} if model.producer_version else {}
    return Facts(
        format="onnx",
        framework_version=_release(model.ir_version, opset or 1, path),
        inputs=inputs,
        outputs=outputs,
        parameters=sum(_count(tensor) for tensor in _tensors(model.graph)),
        details=details,
    )


def _release(ir_version: int, opset: int, path: Path) -> str:
    """Give the first release of ONNX that knows the file's versions: the file does not say which one wrote it."""
    for release, ir, operators, *_ in helper.VERSION_TABLE:
        if ir >= ir_version and operators >= opset:
            return str(release)
    raise InvalidItemError(
        f"{path} has opset {opset} and IR version {ir_version}, which ONNX {onnx.__version__} does not know: "
        "export it with an earlier opset, or install a later onnx"
    )


def _has_shape(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.HasField("shape"))


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every constant tensor of a graph and of those that its nodes hold."""
    stack = [graph]
    while stack:
        found = stack.pop()
        yield from found.initializer
        for attribute in (a for node in found.node for a in node.attribute):
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                stack.append(attribute.g)


def _count(tensor: onnx.TensorProto) -> int:
    """Count the weights of a constant; a number without axes is part of a formula."""
    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    return 0 if name in _NO_WEIGHTS or not tensor.dims else math.prod(tensor.dims)
