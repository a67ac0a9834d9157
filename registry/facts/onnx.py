"""What an ONNX file says about itself, whichever tool wrote it."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.versions import semver
from modelstac.catalog.later import needing
from modelstac.registry.facts import Facts
from modelstac.registry.facts.onnx_graph import (
    FUNCTION_NODE,
    FUNCTIONS,
    GRAPH,
    NODE,
    OUTPUT,
    Constant,
    constants,
    factors,
    held,
    learned,
    values,
)
from modelstac.registry.facts.onnx_interface import interface
from modelstac.registry.facts.records.onnx import read as read_record
from modelstac.registry.inspecting.external import files_beside
from modelstac.registry.inspecting.onnx import external_files, inspect_graph
from modelstac.registry.inspecting.wire import messages
from modelstac.registry.trust.policy import TrustPolicy

# Whole numbers of 32 and 64 bits are shapes, axes and indices; weights of 8 bits are quantised ones.
_NO_WEIGHTS = frozenset({"bool", "int16", "int32", "int64", "string", "uint16", "uint32", "uint64"})
# The first release of each version of the representation (IR) and of the operators, onnx.helper.VERSION_TABLE.
RELEASES = (
    *(("1.0", 3, 1), ("1.1", 3, 5), ("1.1.2", 3, 6), ("1.2", 3, 7), ("1.3", 3, 8), ("1.4.1", 4, 9)),
    *(("1.5.0", 5, 10), ("1.6.0", 6, 11), ("1.7.0", 7, 12), ("1.8.0", 7, 13), ("1.9.0", 7, 14)),
    *(("1.10.0", 8, 15), ("1.11.0", 8, 16), ("1.12.0", 8, 17), ("1.13.0", 8, 18), ("1.14.0", 9, 19)),
    *(("1.15.0", 9, 20), ("1.16.0", 10, 21), ("1.17.0", 10, 22), ("1.18.0", 11, 23), ("1.19.0", 12, 24)),
    *(("1.20.0", 13, 25), ("1.21.0", 13, 26)),
)


def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts:
    """Read the facts of an ONNX file; see :func:`modelstac.registry.facts.read_facts`."""
    names = external_files(data)
    beside = {name: place.stat().st_size for name, place in files_beside(path, names).items()}
    inspect_graph(data, path, domains=policy.operator_domains, beside=beside)
    try:
        return _read(data, path)
    except (ValueError, LookupError) as error:
        if isinstance(error, InvalidItemError):
            raise
        raise _unreadable(path, error) from error


def _read(data: bytes, path: Path) -> Facts:
    model = memoryview(data)
    [graph] = messages([model], GRAPH)
    told = read_record(data).details
    ir_version, opset = int(told["ir_version"]), told.get("opset")
    shaped = model if all(value.dims is not None for value in values(graph, OUTPUT)) else _inferred(data, path)
    inputs, outputs = interface(shaped, ir_version, path)
    of_functions = (one for node in messages([model], FUNCTIONS, FUNCTION_NODE) for one in held(node))
    details = {"ir_version": ir_version, "nodes": len(messages([graph], NODE))}
    return Facts(
        format="onnx",
        framework_version=_release(ir_version, int(opset or 1), path),
        inputs=inputs,
        outputs=outputs,
        parameters=sum(map(_count, itertools.chain(constants(graph, factors(graph)), of_functions))) + learned(graph),
        details=details | {name: value for name, value in told.items() if name not in details},
    )


def _inferred(data: bytes, path: Path) -> memoryview:
    """Have the package of ONNX find the shapes of outputs that say none."""
    with needing(f"finding the shapes that {path.name} gives, which it does not say"):
        import onnx

    try:
        return memoryview(onnx.shape_inference.infer_shapes(data).SerializeToString())
    except Exception as error:  # protobuf's DecodeError, of whichever implementation is at work, and ONNX' own
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InvalidItemError:
    reason = " ".join(str(error).split())
    return InvalidItemError(f"{path} is no ONNX file that can be read ({reason}): export it anew")


def _release(ir_version: int, opset: int, path: Path) -> str:
    """Give the first release of ONNX that knows the file's versions: the file does not say which one wrote it."""
    for release, ir, operators in RELEASES:
        if ir >= ir_version and operators >= opset:
            return semver(release)
    with needing(f"reading {path.name}, of a later ONNX than is known here"):
        import onnx

    for later, ir, operators, *_ in onnx.helper.VERSION_TABLE:
        if ir >= ir_version and operators >= opset:
            return semver(str(later))
    raise InvalidItemError(
        f"{path} has opset {opset} and IR version {ir_version}, which ONNX {onnx.__version__} does not know: "
        "export it with an earlier opset, or install a later onnx"
    )


def _count(tensor: Constant) -> int:
    """Count the weights of a constant; a number without axes is part of a formula."""
    return 0 if tensor.dtype in _NO_WEIGHTS or not tensor.dims else math.prod(tensor.dims)
