"""An ONNX graph made simpler by the tools of ONNX and its runtime, for readers that do not take it as it stands."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnxruntime
from onnx import inliner, shape_inference, version_converter

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.converters.classical.written_out import written_out
from modelstac.exporters.converters.onnx_graph import parts

OPSET = 18
"""To which older graphs are brought: that of PyTorch's exporter, which readers know best."""


def simpler(data: bytes, item_id: str) -> tuple[bytes, str]:
    """Give a graph that computes the same, and name the tools that made it.

    Its functions are written out, and its operators of classical machine learning in plain ones; an older opset is
    brought to :data:`OPSET`; what is constant is computed by ONNX Runtime (its ``basic`` optimisations, which use
    operators of ONNX alone); and each tensor says its shape where that is known.

    Raises
    ------
    ConversionError
        When the tools fail.
    """
    graph = onnx.load_from_string(data)
    tools = [f"onnxruntime {onnxruntime.__version__}"]
    try:
        graph = written_out(graph)
        if graph.functions:
            graph = inliner.inline_local_functions(graph)
        plain = {entry.domain for entry in graph.opset_import} <= {"", "ai.onnx"}
        if plain and max(entry.version for entry in graph.opset_import) < OPSET:
            graph = version_converter.convert_version(graph, OPSET)
            tools.insert(0, f"onnx.version_converter {onnx.__version__}")
        graph = _folded(graph)
        return shape_inference.infer_shapes(graph, data_prop=True).SerializeToString(), ", ".join(tools)
    except ConversionError:
        raise
    except Exception as error:  # each of these raises classes of its own
        reason = " ".join(str(error).split())[:300]
        raise ConversionError(f"the graph of {item_id!r} cannot be made simpler: {reason}") from error


def _folded(graph: onnx.ModelProto) -> onnx.ModelProto:
    names = [[value.name for value in side] for side in (graph.graph.input, graph.graph.output)]
    with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
        path = Path(folder, "folded.onnx")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(path)
    kept = [[value.name for value in side] for side in (folded.graph.input, folded.graph.output)]
    used = {node.domain for part in parts(folded.graph) for node in part.node}
    if kept != names or not used <= {entry.domain for entry in graph.opset_import} | {"", "ai.onnx"}:
        return graph  # it left out an input, or used operators of its own
    return folded
