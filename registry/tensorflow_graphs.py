"""Look into a SavedModel before it is loaded: a TensorFlow graph is a program, and some operators reach outside it.

Allowed are operators that compute on tensors, by name. The functions with which TensorFlow itself saves and restores
variables read and write files; they are allowed to be there, and not to be called by any other function.

Source: TensorFlow, "Using TensorFlow Securely" (SECURITY.md): models are programs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.registry.folders import words

MEMBERS = (
    re.compile(r"saved_model\.pb|fingerprint\.pb"),
    re.compile(r"variables/variables\.(index|data-\d{5}-of-\d{5})"),
)
_SAVING = re.compile(r"__inference__traced_(save|restore)_\d+")
_SAVING_OPERATORS = words(
    """AssignVariableOp Cast Const DisableCopyOnRead Identity MergeV2Checkpoints NoOp Pack ReadVariableOp RestoreV2
    SaveV2 Select ShardedFilename StaticRegexFullMatch StringJoin"""
)
VALUES = words(
    """Placeholder PlaceholderWithDefault Const Identity IdentityN NoOp StopGradient ReadVariableOp VarHandleOp
    VarIsInitializedOp AssignVariableOp AssignAddVariableOp ResourceGather PartitionedCall StatefulPartitionedCall If
    StatelessIf While StatelessWhile Case StatelessCase TensorListFromTensor TensorListGetItem TensorListSetItem
    TensorListReserve TensorListStack TensorListLength TensorListElementShape EmptyTensorList TensorListPushBack
    TensorListPopBack ControlTrigger Switch Merge"""
)
SHAPES = words(
    """Shape ShapeN Size Rank Reshape Squeeze ExpandDims Transpose Pack Unpack Concat ConcatV2 Split SplitV Slice
    StridedSlice Gather GatherV2 GatherNd ScatterNd TensorScatterUpdate TensorScatterAdd Tile Pad PadV2 MirrorPad Fill
    ZerosLike OnesLike Range LinSpace Where Select SelectV2 BroadcastTo BroadcastArgs BroadcastGradientArgs ReverseV2
    ReverseSequence OneHot Cast Bitcast Diag DiagPart MatrixDiagV3 MatrixDiagPartV3 MatrixBandPart MatrixSetDiagV3
    SpaceToDepth DepthToSpace SpaceToBatchND BatchToSpaceND TopKV2 Unique Cumsum Cumprod InvertPermutation"""
)
ARITHMETIC = words(
    """Add AddV2 AddN Sub Mul MulNoNan Div DivNoNan RealDiv FloorDiv FloorMod Mod Pow Square Sqrt Rsqrt Reciprocal Inv
    Neg Abs Sign Exp Expm1 Log Log1p Sin Cos Tan Asin Acos Atan Atan2 Sinh Cosh Tanh Asinh Acosh Atanh Erf Erfc Lgamma
    Digamma Xlogy Xdivy Floor Ceil Round Rint Maximum Minimum SquaredDifference ClipByValue IsNan IsInf IsFinite Equal
    NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr LogicalNot ArgMax ArgMin Sum Mean Prod Max Min All
    Any EuclideanNorm SegmentSum UnsortedSegmentSum"""
)
NETWORKS = words(
    """MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum BiasAdd Conv2D Conv3D DepthwiseConv2dNative
    Conv2DBackpropInput Conv3DBackpropInputV2 MaxPool MaxPoolV2 MaxPool3D AvgPool AvgPool3D FusedBatchNorm
    FusedBatchNormV2 FusedBatchNormV3 Relu Relu6 LeakyRelu Elu Selu Softplus Softsign Softmax LogSoftmax Sigmoid L2Loss
    LRN ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea RandomUniform StatelessRandomUniformV2
    StatelessRandomNormalV2 StatelessRandomGetKeyCounter"""
)
OPERATORS = VALUES | SHAPES | ARITHMETIC | NETWORKS
_OBJECTS = frozenset({"user_object", "variable", "function", "bare_concrete_function", "constant", "captured_tensor"})


def inspect_saved_model(content: bytes, path: Path) -> None:
    """Refuse a SavedModel that could do more than compute.

    Parameters
    ----------
    content
        ``saved_model.pb``.
    path
        The artifact's name in messages.

    Raises
    ------
    InvalidItemError
        If it is no SavedModel of TensorFlow 2.
    UntrustedError
        If it has an operator that is not listed, reaches one that saves or restores, or objects such as tables, which
        run code when they are made.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel()
    try:
        message.ParseFromString(content)
    except Exception as error:  # protobuf's DecodeError, of whichever implementation is at work
        raise InvalidItemError(f"{path} holds no SavedModel that can be read ({error}): export it anew") from error
    if len(message.meta_graphs) != 1 or not message.meta_graphs[0].object_graph_def.nodes:
        raise InvalidItemError(f"{path} holds no SavedModel of TensorFlow 2: export the model anew")
    graph = message.meta_graphs[0]
    if graph.asset_file_def or graph.graph_def.library.gradient:
        raise UntrustedError(f"{path} has assets or gradients of its own, which a model for prediction does not need")
    kinds = {node.WhichOneof("kind") for node in graph.object_graph_def.nodes}
    if foreign := sorted(str(kind) for kind in kinds - _OBJECTS):
        raise UntrustedError(f"{path} holds objects of the kind {foreign[0]!r}, which run code when they are loaded")
    functions = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    saving = {name for name in functions if _SAVING.fullmatch(name)}
    for name, nodes in {"": graph.graph_def.node, **functions}.items():
        inside = name in saving
        operators = {node.op for node in nodes}
        # The graph of version 1 beside the functions is never run; it calls the saving functions.
        called = set() if name == "" else {f for node in nodes for f in _called(node)} | (operators & functions.keys())
        foreign = sorted(operators - functions.keys() - (_SAVING_OPERATORS if inside else OPERATORS))
        foreign += sorted(called & saving)
        if foreign:
            raise UntrustedError(
                f"{path} uses {', '.join(foreign[:3])}, which does more than compute, or is not known to do no more: "
                "export the model without it"
            )


def _called(node: Any) -> set[str]:
    """Give the functions that a node names in its attributes."""
    found: set[str] = set()
    for attribute in node.attr.values():
        found.update(f.name for f in (attribute.func, *attribute.list.func) if f.name)
    return found
