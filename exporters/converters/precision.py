"""Reduced precision of an ONNX graph, by ONNX Runtime's own tools: half precision, and 8-bit quantisation.

Half precision and the dynamic kind of quantisation reach into the bodies of loops, where a recurrent network has its
weights. Dynamic quantisation takes its scale from the batch that is predicted, so that a sample's result depends on its
neighbours; where the model has an example and no loops, the scales are measured on that, and are the same ever after.
Half precision ends at 65,504 and has eleven bits: what raw reflectances come through first may stay in float32.

Inputs and outputs stay float32, so that a reduced file is used like the one it was made from. On a CPU the files are
smaller, not faster: ONNX Runtime has few kernels for fp16 and converts around the others, and its integer convolution
is not blocked for the cache.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pystac
from onnx import TensorProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import ModelDescription, Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import artifact_of_item
from modelstac.exporters.conversion import Conversion
from modelstac.exporters.converters.onnx_graph import operators, parts
from modelstac.registry.running.signature import Arrays

QUANTISED = MappingProxyType({"Conv": "ConvInteger", "MatMul": "MatMulInteger", "Gemm": "MatMulInteger"})
"""Operators that become standard integer ones; others would need operators of ONNX Runtime alone."""
_NEAR = 2.5e-3
"""Half of what is allowed of half precision."""
_WEIGHTED = (*QUANTISED, "ConvTranspose", "LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Reduced:
    """A reduced graph, the step that made it, and facts about it for the item."""

    graph: onnx.ModelProto
    step: Step
    facts: dict[str, Any]


def reduce(graph: onnx.ModelProto, precision: str, example: Arrays | None = None) -> Reduced:
    """Reduce the precision of a float32 graph.

    Parameters
    ----------
    graph
        Is not changed.
    precision
        ``fp16``: weights and arithmetic in half precision. ``int8``: weights of convolutions and matrix products in 8
        bits, their inputs quantised while the graph runs, the rest in float32.
    example
        Inputs of the usual kind: to measure scales on, and to see whether half precision will do from the first layer
        on.

    Raises
    ------
    ConversionError
        When the tool fails, or there is nothing to reduce.
    """
    try:
        reduced, tool, said = _half(graph, example) if precision == "fp16" else _quantised(graph, example)
        onnx.checker.check_model(reduced)
    except Exception as error:  # the tools raise whatever is at hand, Exception itself included
        if isinstance(error, ConversionError):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise ConversionError(f"ONNX Runtime cannot reduce this graph to {precision}: {reason}") from error
    # It no longer is the network whose weights it holds, so that nothing may be rebuilt from it.
    kept = [entry for entry in reduced.metadata_props if not entry.key.startswith("modelstac:")]
    del reduced.metadata_props[:]
    reduced.metadata_props.extend(kept)
    step = Step(
        source_format="onnx",
        target_format="onnx",
        tool=tool,
        version=semver(onnxruntime.__version__),
        method=f"reduced to {precision}",
    )
    return Reduced(reduced, step, _facts(reduced, precision) | said)


def convert(
    item: pystac.Item, description: ModelDescription, precision: str, folder: Path, *, example: Arrays | None = None
) -> Conversion:
    """Write the reduced graph of a model in ONNX, as ``reduced.onnx`` into a folder; see :func:`reduce`.

    Raises
    ------
    ConversionError
        When it cannot be reduced.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph = onnx.load_from_string(artifact_of_item(item).data)
        reduced = reduce(graph, precision, example)
    path = folder / "reduced.onnx"
    with explained(f"write {path}"):
        path.write_bytes(reduced.graph.SerializeToString(deterministic=True))
    said = tuple(dict.fromkeys(f"{entry.category.__name__}: {entry.message}" for entry in caught))
    return Conversion(
        artifact=path,
        framework_version=semver(onnx.__version__),
        inputs=description.inputs,
        outputs=description.outputs,
        steps=(reduced.step.model_copy(update={"warnings": said}),),
        hyperparameters={"onnx": reduced.facts},
        sizes=description.sizes,
    )


def _half(graph: onnx.ModelProto, example: Arrays | None) -> tuple[onnx.ModelProto, str, dict[str, Any]]:
    tool, whole = "onnxruntime.transformers.float16", _halved(graph, ())
    kept = _front(graph.graph)
    if example is None or not kept:
        return whole, tool, {}
    expected = _run(graph, example)
    apart = _apart(expected, _run(whole, example))
    if apart <= _NEAR:
        return whole, tool, {}
    partly = _halved(graph, kept)
    _straighten(partly.graph)
    if _apart(expected, _run(partly, example)) >= apart:
        return whole, tool, {}
    return partly, tool, {"left_in_fp32": list(kept)}


def _halved(graph: onnx.ModelProto, kept: Sequence[str]) -> onnx.ModelProto:
    copy = onnx.ModelProto.FromString(graph.SerializeToString())
    half = convert_float_to_float16(copy, keep_io_types=True, node_block_list=list(kept))
    tensors = [tensor for part in parts(half.graph) for tensor in part.initializer]
    if not any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in tensors):
        raise ConversionError("this graph has no float32 weights to reduce to fp16")
    sorted_ = OnnxModel(half)  # the casts of inputs stand last, where the standard does not allow them
    sorted_.topological_sort()
    return sorted_.model


def _straighten(graph: onnx.GraphProto) -> None:
    """Let what stays in single precision hand on its numbers as they are; the tool rounds them to half and back."""
    rounded = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast" and _to(n) == TensorProto.FLOAT16}
    same = {
        node.output[0]: rounded[node.input[0]]
        for node in graph.node
        if node.op_type == "Cast" and _to(node) == TensorProto.FLOAT and node.input[0] in rounded
    }
    results = {value.name for value in graph.output}
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    used = results | {name for part in parts(graph) for node in part.node for name in node.input}
    left = [node for node in graph.node if node.op_type != "Cast" or node.output[0] in used]
    del graph.node[:]
    graph.node.extend(left)


def _to(node: onnx.NodeProto) -> int:
    return next(int(entry.i) for entry in node.attribute if entry.name == "to")


def _front(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Name the nodes from the inputs to the first layers with weights, and what normalises right after these."""
    open_, after, names = {value.name for value in graph.input}, set[str](), []
    constants = {tensor.name for tensor in graph.initializer}
    open_ -= constants
    for node in graph.node:
        given = {name for name in node.input if name and name not in constants}
        if node.op_type == "Constant":
            constants.update(node.output)
        elif given and (given <= open_ or (node.op_type == "BatchNormalization" and given <= after)):
            names.append(node.name)
            (after if node.op_type in _WEIGHTED or given <= after else open_).update(node.output)
    return tuple(names) if all(names) else ()


def _run(graph: onnx.ModelProto, example: Arrays) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {name: example[name] for name in (v.name for v in session.get_inputs())}))


def _apart(expected: Sequence[Any], found: Sequence[Any]) -> float:
    """Give the largest difference as a share of the largest value of its output; infinite where numbers are lost."""
    shares = [0.0]
    for one, other in zip(expected, found, strict=True):
        if one.dtype.kind != "f" or not one.size:
            continue
        most = max(1.0, float(np.nanmax(np.abs(one), initial=0.0)))
        with np.errstate(invalid="ignore"):
            share = float(np.max(np.where(np.isfinite(one), np.abs(one - other), 0.0), initial=0.0)) / most
        shares.append(share if np.isfinite(share) else np.inf)
    return max(shares)


def _quantised(graph: onnx.ModelProto, example: Arrays | None) -> tuple[onnx.ModelProto, str, dict[str, Any]]:
    silenced = logging.getLogger()
    level = silenced.level
    silenced.setLevel(logging.ERROR)  # it recommends on the root logger to prepare graphs that are prepared
    loops = any(node.op_type in _WEIGHTED for part in list(parts(graph.graph))[1:] for node in part.node)
    static = example is not None and not loops
    try:
        with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
            before, after = Path(name, "before.onnx"), Path(name, "after.onnx")
            onnx.save(graph, before)
            # Weights without a sign: measured on a ConvLSTM, nearer to the source and 2.4 times faster.
            common: dict[str, Any] = {"op_types_to_quantize": list(QUANTISED), "weight_type": QuantType.QUInt8}
            if static:
                quantize_static(
                    before,
                    after,
                    _Example(example or {}),
                    quant_format=QuantFormat.QDQ,
                    activation_type=QuantType.QUInt8,
                    **common,
                )
            else:
                quantize_dynamic(before, after, extra_options={"EnableSubgraph": True}, **common)
            quantised = onnx.load(after)
    finally:
        silenced.setLevel(level)
    found = operators(quantised.graph)
    if not any(found[name] for name in ("DequantizeLinear", *QUANTISED.values())):
        raise ConversionError(f"this graph has nothing to quantise: int8 is for {', '.join(QUANTISED)} with weights")
    used = {node.domain for part in parts(quantised.graph) for node in part.node}
    domains = [entry for entry in quantised.opset_import if entry.domain in {*used, ""}]
    del quantised.opset_import[:]
    quantised.opset_import.extend(domains)
    tool = f"onnxruntime.quantization.quantize_{'static' if static else 'dynamic'}"
    return quantised, tool, {"scales_from": "the example" if static else "each batch"}


class _Example(CalibrationDataReader):  # type: ignore[misc]
    """Gives the example once."""

    def __init__(self, example: Arrays) -> None:
        self._left = [dict(example)]

    def get_next(self) -> dict[str, Any] | None:
        return self._left.pop() if self._left else None


def _facts(graph: onnx.ModelProto, precision: str) -> dict[str, Any]:
    found = operators(graph.graph)
    opset = next((entry.version for entry in graph.opset_import if entry.domain in {"", "ai.onnx"}), None)
    facts: dict[str, Any] = {
        "opset": opset,
        "ir_version": graph.ir_version,
        "nodes": len(graph.graph.node),
        "nodes_with_bodies": found.total(),
    }
    if precision == "int8":
        names = ("DequantizeLinear", *dict.fromkeys(QUANTISED.values()))
        facts["quantised"] = {name: found[name] for name in names if found[name]}
        given = {n.output[0] for part in parts(graph.graph) for n in part.node if n.op_type == "DequantizeLinear"}
        left = Counter(n.op_type for part in parts(graph.graph) for n in part.node if not given.intersection(n.input))
        facts["left_in_fp32"] = {name: left[name] for name in _WEIGHTED if left[name]}
    return facts
