"""Look into a SavedModel before it is loaded: a TensorFlow graph is a program, and some operators reach outside it.

Allowed are operators that compute on tensors, by name. The functions with which TensorFlow itself saves and restores
variables read and write files; they are allowed to be there, and not to be called by any other function.

Source: TensorFlow, "Using TensorFlow Securely" (SECURITY.md): models are programs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType

from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.registry.inspecting.folders import words
from modelstac.registry.inspecting.wire import fields, integers, messages, texts

# Field numbers of TensorFlow's messages, in the order of the way down; a test compares them with TensorFlow's own.
META_GRAPHS, GRAPH, ASSETS, OBJECT_GRAPH = 2, 2, 6, 7  # of SavedModel, then of MetaGraphDef
NODES, LIBRARY = 1, 2  # of GraphDef
FUNCTIONS, GRADIENTS = 1, 2  # of FunctionDefLibrary
SIGNATURE, FUNCTION_NODES = 1, 3  # of FunctionDef
NAME, OPERATOR, ATTRIBUTES = 1, 2, 5  # of NodeDef; a name has the same number in OpDef and NameAttrList
VALUE, LIST, FUNCTION, LIST_FUNCTIONS = 2, 1, 10, 9  # of an entry of the attributes, AttrValue and its list
OBJECTS = 1  # of SavedObjectGraph
TENSOR, TENSOR_SHAPE, DIMENSION, LENGTH = 8, 2, 2, 1  # of AttrValue, TensorProto, TensorShapeProto and its Dim
KINDS = MappingProxyType(
    {4: "user_object", 5: "asset", 6: "function", 7: "variable", 8: "bare_concrete_function"}
    | {9: "constant", 10: "resource", 12: "captured_tensor"}
)

GRAPH_MEMBER = "saved_model.pb"
SERVED = "serving_default"
MAX_SPREAD, MAX_AXES = 1 << 27, 254
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
    SpaceToDepth DepthToSpace SpaceToBatchND BatchToSpaceND TopKV2 Unique Cumsum Cumprod InvertPermutation Roll
    UniqueV2 UniqueWithCounts UniqueWithCountsV2 ListDiff EnsureShape DynamicPartition DynamicStitch
    ParallelDynamicStitch MatrixDiag MatrixDiagPart MatrixSetDiag TensorScatterSub TensorScatterMax TensorScatterMin
    MirrorPadGrad SparseToDense LowerBound UpperBound"""
)
ARITHMETIC = words(
    """Add AddV2 AddN Sub Mul MulNoNan Div DivNoNan RealDiv FloorDiv FloorMod Mod Pow Square Sqrt Rsqrt Reciprocal Inv
    Neg Abs Sign Exp Expm1 Log Log1p Sin Cos Tan Asin Acos Atan Atan2 Sinh Cosh Tanh Asinh Acosh Atanh Erf Erfc Lgamma
    Digamma Xlogy Xdivy Floor Ceil Round Rint Maximum Minimum SquaredDifference ClipByValue IsNan IsInf IsFinite Equal
    NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr LogicalNot ArgMax ArgMin Sum Mean Prod Max Min All
    Any EuclideanNorm SegmentSum SegmentMax SegmentMin SegmentMean SegmentProd UnsortedSegmentSum UnsortedSegmentMax
    UnsortedSegmentMin UnsortedSegmentProd BitwiseAnd BitwiseOr BitwiseXor Invert LeftShift RightShift PopulationCount
    Erfinv Ndtri Igamma Igammac Betainc Zeta Polygamma BesselI0 BesselI1 BesselI0e BesselI1e NextAfter TruncateDiv
    TruncateMod ApproximateEqual CumulativeLogsumexp Cross Bucketize Bincount DenseBincount HistogramFixedWidth
    NthElement InTopKV2"""
)
COMPLEX = words(
    """Complex ComplexAbs Real Imag Angle Conj FFT FFT2D FFT3D IFFT IFFT2D IFFT3D RFFT RFFT2D RFFT3D IRFFT IRFFT2D
    IRFFT3D FFTND IFFTND RFFTND IRFFTND"""
)
MATRICES = words(
    """Cholesky MatrixInverse MatrixDeterminant LogMatrixDeterminant MatrixSolve MatrixSolveLs MatrixTriangularSolve
    MatrixExponential MatrixLogarithm MatrixSquareRoot Qr Svd SelfAdjointEigV2 Eig Lu"""
)
NETWORKS = words(
    """MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum BiasAdd Conv2D Conv3D DepthwiseConv2dNative
    Conv2DBackpropInput Conv3DBackpropInputV2 MaxPool MaxPoolV2 MaxPool3D AvgPool AvgPool3D FusedBatchNorm
    FusedBatchNormV2 FusedBatchNormV3 Relu Relu6 LeakyRelu Elu Selu Softplus Softsign Softmax LogSoftmax Sigmoid L2Loss
    LRN ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea ScaleAndTranslate ImageProjectiveTransformV2
    ImageProjectiveTransformV3 CropAndResize ExtractImagePatches ExtractVolumePatches Dilation2D Conv MaxPoolWithArgmax
    NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 CombinedNonMaxSuppression RGBToHSV
    HSVToRGB AdjustContrastv2 AdjustHue AdjustSaturation"""
)
RANDOM = words(
    """RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal StatelessRandomUniformV2
    StatelessRandomUniformIntV2 StatelessRandomNormalV2 StatelessTruncatedNormalV2 StatelessRandomGetKeyCounter"""
)
"""Of functions for training, such as noise: whether what is served draws any is seen when it runs."""
OPERATORS = VALUES | SHAPES | ARITHMETIC | COMPLEX | MATRICES | NETWORKS | RANDOM
_OBJECTS = frozenset({"user_object", "variable", "function", "bare_concrete_function", "constant", "captured_tensor"})


def served(names: Iterable[str]) -> str:
    """Choose the signature that is run: the one that is called so, or else the only one, however it is called."""
    found = [name for name in names if not name.startswith("__")]
    return found[0] if len(found) == 1 else SERVED


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
        run code when they are made, or constants that are much larger than it.
    """
    try:
        _inspect([memoryview(content)], path)
    except (IndexError, ValueError) as error:
        if isinstance(error, InvalidItemError):
            raise
        raise InvalidItemError(f"{path} holds no SavedModel that can be read ({error}): export it anew") from error


def _inspect(saved_model: list[memoryview], path: Path) -> None:
    meta_graphs = messages(saved_model, META_GRAPHS)
    objects = messages(meta_graphs, OBJECT_GRAPH, OBJECTS)
    if len(meta_graphs) != 1:
        raise InvalidItemError(f"{path} holds {len(meta_graphs)} graphs of a SavedModel: export one, for serving")
    if not objects:
        raise InvalidItemError(
            f"{path} holds no SavedModel of TensorFlow 2: export the model anew, or make ONNX of it "
            "(python -m tf2onnx.convert --saved-model FOLDER --output model.onnx) and publish that"
        )
    library = messages(meta_graphs, GRAPH, LIBRARY)
    if messages(meta_graphs, ASSETS) or messages(library, GRADIENTS):
        raise UntrustedError(f"{path} has assets or gradients of its own, which a model for prediction does not need")
    kinds = {kind for view in objects for kind in _kinds(view)}
    if foreign := sorted(str(kind) for kind in kinds - _OBJECTS):
        raise UntrustedError(
            f"{path} holds objects of the kind {foreign[0]!r}, such as tables, which run code when they are loaded: "
            "export the model without"
        )
    functions: dict[str, list[memoryview]] = {}
    for view in messages(library, FUNCTIONS):
        for name in texts([view], SIGNATURE, NAME) or [""]:
            functions.setdefault(name, []).extend(messages([view], FUNCTION_NODES))
    saving = {name for name in functions if _SAVING.fullmatch(name)}
    outside = messages(meta_graphs, GRAPH, NODES)
    spread = 0
    # The graph of version 1 beside the functions is never run; it calls the saving functions.
    for nodes, known, called in (
        (outside, OPERATORS, frozenset[str]()),
        *((v, _SAVING_OPERATORS if n in saving else OPERATORS, saving) for n, v in functions.items()),
    ):
        for node in nodes:
            spread += _spread(node, path)
            if spread > MAX_SPREAD:
                raise _too_large(node, path)
            operators = set(texts([node], OPERATOR))
            foreign = sorted(operators - functions.keys() - known)
            foreign += sorted((operators | _called(node)) & called)
            if foreign:
                place = "".join(f" in node {name!r}" for name in texts([node], NAME)[-1:])
                raise UntrustedError(
                    f"{path} uses {', '.join(foreign[:3])}{place}, which does more than compute, or is not known to do "
                    "no more: export the model without it"
                )


def _spread(node: memoryview, path: Path) -> int:
    """Count the values of constants that a node claims beyond its own bytes: one value may stand for any number.

    Raises
    ------
    UntrustedError
        If one alone is too large.
    """
    total = 0
    for tensor in messages([node], ATTRIBUTES, VALUE, TENSOR):
        lengths = [n for view in messages([tensor], TENSOR_SHAPE, DIMENSION) for n in integers(view, LENGTH)]
        if len(lengths) > MAX_AXES or any(not 0 <= length < 1 << 48 for length in lengths):
            raise _too_large(node, path)
        count = math.prod(lengths)
        total += count if count > len(tensor) else 0
    return total


def _too_large(node: memoryview, path: Path) -> UntrustedError:
    name = "".join(f" {name!r:.80}" for name in texts([node], NAME)[-1:])
    return UntrustedError(
        f"{path} has constants that unfold to more than {MAX_SPREAD:,} values (node{name}): export the model without"
    )


def _kinds(view: memoryview) -> set[str | None]:
    """Name what an object claims to be, of which there should be one."""
    return {KINDS[number] for number, _ in fields(view) if number in KINDS} or {None}


def _called(node: memoryview) -> set[str]:
    """Give the functions that a node names in its attributes."""
    values = messages([node], ATTRIBUTES, VALUE)
    return {*texts(values, FUNCTION, NAME), *texts(values, LIST, LIST_FUNCTIONS, NAME)}
