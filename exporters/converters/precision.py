"""Reduced precision of an ONNX graph, by ONNX Runtime's own tools: half precision, and dynamic 8-bit quantisation.

Both reach into the bodies of loops, where a recurrent network has its weights. Inputs and outputs stay float32, so that
a reduced file is used like the one it was made from. On a CPU the files are smaller, not faster: ONNX Runtime has few
kernels for fp16 and converts around the others, and its integer convolution is not blocked for the cache.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnx
import onnxruntime
import pystac
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import ModelDescription, Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.conversion import Conversion
from modelstac.exporters.converters.onnx_graph import operators, parts
from modelstac.registry.choosing.candidates import model_asset
from modelstac.registry.files.fetch import fetch
from modelstac.registry.trust.policy import DEFAULT_POLICY

QUANTISED = MappingProxyType({"Conv": "ConvInteger", "MatMul": "MatMulInteger", "Gemm": "MatMulInteger"})
"""Operators that become standard integer ones; others would need operators of ONNX Runtime alone."""
_WEIGHTED = (*QUANTISED, "ConvTranspose", "LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Reduced:
    """A reduced graph, the step that made it, and facts about it for the item."""

    graph: onnx.ModelProto
    step: Step
    facts: dict[str, Any]


def reduce(graph: onnx.ModelProto, precision: str) -> Reduced:
    """Reduce the precision of a float32 graph.

    Parameters
    ----------
    graph
        Is not changed.
    precision
        ``fp16``: weights and arithmetic in half precision. ``int8``: weights of convolutions and matrix products in 8
        bits, their inputs quantised while the graph runs, the rest in float32.

    Raises
    ------
    ConversionError
        When the tool fails, or there is nothing to reduce.
    """
    tool = _half if precision == "fp16" else _quantised
    try:
        reduced = tool(graph)
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
        tool="onnxruntime.transformers.float16" if precision == "fp16" else "onnxruntime.quantization.quantize_dynamic",
        version=semver(onnxruntime.__version__),
        method=f"reduced to {precision}",
    )
    return Reduced(reduced, step, _facts(reduced, precision))


def convert(item: pystac.Item, description: ModelDescription, precision: str, folder: Path) -> Conversion:
    """Write the reduced graph of a model in ONNX, as ``reduced.onnx`` into a folder; see :func:`reduce`.

    Raises
    ------
    ConversionError
        When it cannot be reduced.
    """
    key, _ = model_asset(item)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reduced = reduce(onnx.load_from_string(fetch(item, key, max_bytes=DEFAULT_POLICY.max_bytes).data), precision)
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


def _half(graph: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto.FromString(graph.SerializeToString())
    half = convert_float_to_float16(copy, keep_io_types=True)
    tensors = [tensor for part in parts(half.graph) for tensor in part.initializer]
    if not any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in tensors):
        raise ConversionError("this graph has no float32 weights to reduce to fp16")
    sorted_ = OnnxModel(half)  # the casts of inputs stand last, where the standard does not allow them
    sorted_.topological_sort()
    return sorted_.model


def _quantised(graph: onnx.ModelProto) -> onnx.ModelProto:
    silenced = logging.getLogger()
    level = silenced.level
    silenced.setLevel(logging.ERROR)  # it recommends on the root logger to prepare graphs that are prepared
    try:
        with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
            before, after = Path(name, "before.onnx"), Path(name, "after.onnx")
            onnx.save(graph, before)
            quantize_dynamic(
                before,
                after,
                op_types_to_quantize=list(QUANTISED),
                # Measured on a ConvLSTM: nearer to the source than signed weights, and 2.4 times faster.
                weight_type=QuantType.QUInt8,
                extra_options={"EnableSubgraph": True},
            )
            quantised = onnx.load(after)
    finally:
        silenced.setLevel(level)
    found = operators(quantised.graph)
    if not any(found[name] for name in QUANTISED.values()):
        raise ConversionError(f"this graph has nothing to quantise: int8 is for {', '.join(QUANTISED)} with weights")
    used = {node.domain for part in parts(quantised.graph) for node in part.node}
    domains = [entry for entry in quantised.opset_import if entry.domain in {*used, ""}]
    del quantised.opset_import[:]
    quantised.opset_import.extend(domains)
    return quantised


def _facts(graph: onnx.ModelProto, precision: str) -> dict[str, Any]:
    found = operators(graph.graph)
    opset = next(entry.version for entry in graph.opset_import if entry.domain in {"", "ai.onnx"})
    facts: dict[str, Any] = {
        "opset": opset,
        "ir_version": graph.ir_version,
        "nodes": len(graph.graph.node),
        "nodes_with_bodies": found.total(),
    }
    if precision == "int8":
        facts["quantised"] = {name: found[name] for name in dict.fromkeys(QUANTISED.values()) if found[name]}
        facts["left_in_fp32"] = {name: found[name] for name in _WEIGHTED if found[name]}
    return facts
