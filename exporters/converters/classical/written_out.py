"""A graph without operators of ``ai.onnx.ml``."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import onnx
from onnx import helper

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.converters.classical import linear, trees
from modelstac.exporters.converters.classical.writing import Writing

DOMAIN = "ai.onnx.ml"
_OLDEST = 11
_CONSTANTS_ALONE = 6  # before it, what is constant had to be an input, too
_UNCHANGED = frozenset(
    {"Add", "Cast", "Concat", "Div", "Exp", "Flatten", "Gather", "Identity", "MatMul", "Mul", "Neg", "Reshape"}
    | {"Sigmoid", "Sub", "Transpose"}
)
"""Operators that mean the same from opset 7 to :data:`_OLDEST`."""
_WRITERS: MappingProxyType[str, Callable[[Writing], None]] = MappingProxyType(
    {
        "ArrayFeatureExtractor": linear.feature_extractor,
        "Binarizer": linear.binarizer,
        "Imputer": linear.imputer,
        "LabelEncoder": linear.label_encoder,
        "LinearClassifier": linear.linear_classifier,
        "LinearRegressor": linear.linear_regressor,
        "Normalizer": linear.normalizer,
        "SVMRegressor": linear.support_vectors_regressor,
        "Scaler": linear.scaler,
        "TreeEnsembleClassifier": trees.classifier,
        "TreeEnsembleRegressor": trees.regressor,
    }
)


def written_out(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Give a graph that computes the same in operators of ONNX itself; one that has no others is given as it is.

    Raises
    ------
    ConversionError
        When one of its operators is not written out; names it.
    """
    if not any(node.domain == DOMAIN for node in graph.graph.node):
        return graph
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    # A graph that has no others need not say which operators of ONNX it means.
    opset = next((entry.version for entry in graph.opset_import if entry.domain in {"", "ai.onnx"}), _OLDEST)
    plain = {node.op_type for node in graph.graph.node if node.domain != DOMAIN}
    if opset < _OLDEST and not plain <= _UNCHANGED:
        raise ConversionError(f"opset {opset} is too old for operators of {DOMAIN} to be written out")
    opset = max(opset, _OLDEST)
    del made.graph.node[:]
    for number, node in enumerate(graph.graph.node):
        if node.domain != DOMAIN:
            made.graph.node.append(node)
            continue
        if node.op_type not in _WRITERS:
            raise ConversionError(f"{node.op_type} of {DOMAIN} is not written out in plain operators")
        writing = Writing(node, f"written_out_{number}", opset)
        _WRITERS[node.op_type](writing)
        made.graph.node.extend(writing.nodes)
        made.graph.initializer.extend(writing.constants)
    del made.opset_import[:]
    made.opset_import.extend([helper.make_opsetid("", opset)])
    made.ir_version = max(made.ir_version, _CONSTANTS_ALONE)
    return made
