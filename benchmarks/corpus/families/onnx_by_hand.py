"""Graphs written by hand, as people do for indices, masks and small networks."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.corpus.entries import Family, image, series, table, tokens, video
from benchmarks.corpus.families.onnx_parts import Graph

model = Family("onnx")
image = partial(image, first=True)
IMAGE = ["N", 4, "H", "W"]


def simple(name, given, shape, out, *, kind="float32", opset=17, out_kind="float32"):
    """Register a graph of one input and one output."""

    def register(write):
        def build(seed):
            g = Graph(seed, opset)
            return g.model({"x": (shape, kind)}, {"y": (write(g, "x"), out, out_kind)})

        build.__wrapped__ = write
        model(name, given)(build)
        return write

    return register


@simple("NDVI", image(16, 16, 4, more=8), IMAGE, ["N", 1, "H", "W"])
def ndvi(g, x):
    red = g("Slice", x, g.constant([2], "int64"), g.constant([3], "int64"), g.constant([1], "int64"))
    nir = g("Slice", x, g.constant([3], "int64"), g.constant([4], "int64"), g.constant([1], "int64"))
    return g("Div", g("Sub", nir, red), g("Add", nir, red))


@simple("EVI, guarded", image(16, 16, 4, more=8), IMAGE, ["N", "H", "W"])
def evi(g, x):
    blue, _, red, nir = (
        g("Split", x, outputs=4, axis=1, num_outputs=4) if g.opset > 17 else g("Split", x, outputs=4, axis=1)
    )
    down = g(
        "Add", g("Add", nir, g("Mul", red, g.constant(6.0, "float32"))), g("Mul", blue, g.constant(-7.5, "float32"))
    )
    good = g("Greater", g("Abs", down), g.constant(1e-3, "float32"))
    return g(
        "Squeeze",
        g("Where", good, g("Div", g("Sub", nir, red), down), g.constant(0.0, "float32")),
        g.constant([1], "int64"),
    )


@simple("Cloud mask by thresholds", image(16, 16, 4, more=8), IMAGE, ["N", "H", "W"], out_kind="bool")
def cloud(g, x):
    bright = g("Greater", g("ReduceMean", x, axes=[1], keepdims=0), g.constant(0.6, "float32"))
    flat = g("Less", g("ReduceMax", x, axes=[1], keepdims=0), g.constant(0.9, "float32"))
    return g("And", bright, flat)


@simple("Tasselled cap", image(16, 16, 4, more=8), IMAGE, ["N", 3, "H", "W"])
def tasselled(g, x):
    return g("Conv", x, g.weight(3, 4, 1, 1))


@simple("Sobel edges", image(16, 16, 1, more=8), ["N", 1, "H", "W"], ["N", 1, "H", "W"])
def sobel(g, x):
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    both = g(
        "Conv",
        g("Pad", x, g.constant([0, 0, 1, 1] * 2, "int64"), mode="reflect"),
        g.constant(np.stack([kernel, kernel.T])[:, None]),
    )
    return g("ReduceL2", both, axes=[1])


@simple("Multilayer perceptron", table(6), ["N", 6], ["N", 3])
def mlp(g, x):
    x = g("Relu", g("Gemm", x, g.weight(6, 8), g.weight(8)))
    return g("Softmax", g("Gemm", x, g.weight(8, 3), g.weight(3)), axis=-1)


@simple("LeNet-5", image(28, 28, 1), ["N", 1, 28, 28], ["N", 10])
def lenet(g, x):
    x = g(
        "AveragePool", g("Tanh", g("Conv", x, g.weight(6, 1, 5, 5), pads=[2] * 4)), kernel_shape=[2, 2], strides=[2, 2]
    )
    x = g("AveragePool", g("Tanh", g("Conv", x, g.weight(16, 6, 5, 5))), kernel_shape=[2, 2], strides=[2, 2])
    return g("Softmax", g("Gemm", g("Flatten", x), g.weight(400, 10)), axis=1)


@simple("ResNet block", image(16, 16, 4, more=8), IMAGE, ["N", 4, "H", "W"])
def resnet(g, x):
    y = g("Conv", x, g.weight(4, 4, 3, 3), pads=[1] * 4)
    y = g(
        "Relu", g("BatchNormalization", y, *(g.constant(np.abs(g.rng.normal(1, 0.2, 4)), "float32") for _ in range(4)))
    )
    return g("Relu", g("Add", x, g("Conv", y, g.weight(4, 4, 3, 3), pads=[1] * 4)))


@simple("U-Net", image(16, 16, 4, more=8), IMAGE, ["N", 3, "H", "W"])
def unet(g, x):
    a = g("Relu", g("Conv", x, g.weight(6, 4, 3, 3), pads=[1] * 4))
    b = g("Relu", g("Conv", g("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2]), g.weight(8, 6, 3, 3), pads=[1] * 4))
    up = g("ConvTranspose", b, g.weight(8, 6, 2, 2), strides=[2, 2])
    return g("Softmax", g("Conv", g("Concat", up, a, axis=1), g.weight(3, 12, 1, 1)), axis=1)


@simple("SegNet classes", image(16, 16, 4), ["N", 4, 16, 16], ["N", 16, 16], out_kind="int64")
def classes(g, x):
    return g("ArgMax", g("Conv", x, g.weight(5, 4, 3, 3), pads=[1] * 4), axis=1, keepdims=0)


def resizing(name, **how):
    @simple(f"Resize, {name}", image(12, 12, 3, more=4), ["N", 3, "H", "W"], ["N", 3, "H2", "W2"], opset=18)
    def resize(g, x):
        return g(
            "Resize",
            x,
            "",
            g.constant([1, 1, *how.get("by", (2.0, 2.0))], "float32"),
            **{k: v for k, v in how.items() if k != "by"},
        )


resizing("nearest", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
resizing(
    "nearest exact", mode="nearest", coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_floor"
)
resizing("bilinear", mode="linear", coordinate_transformation_mode="half_pixel")
resizing("bilinear, corners aligned", mode="linear", coordinate_transformation_mode="align_corners")
resizing("bicubic", mode="cubic", coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75)
resizing("bilinear, down with antialias", mode="linear", antialias=1, by=(0.5, 0.5))


@simple("Average pooling with a remainder", image(15, 17, 3), ["N", 3, 15, 17], ["N", 3, 8, 9])
def average(g, x):
    return g("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1)


@simple("Largest pooling with a remainder", image(15, 17, 3), ["N", 3, 15, 17], ["N", 3, 7, 8])
def largest(g, x):
    return g("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])


@simple("ESPCN, depth to space", image(12, 12, 3, more=4), ["N", 3, "H", "W"], ["N", 3, "H2", "W2"])
def espcn(g, x):
    return g("DepthToSpace", g("Conv", x, g.weight(12, 3, 3, 3), pads=[1] * 4), blocksize=2, mode="CRD")


@simple("Layer normalisation", series(8, 6, more=4), ["N", "T", 6], ["N", "T", 6])
def layer_norm(g, x):
    return g("LayerNormalization", x, g.weight(6), g.weight(6), axis=-1)


@simple("Instance and group normalisation", image(12, 12, 4), ["N", 4, 12, 12], ["N", 4, 12, 12], opset=18)
def instance_norm(g, x):
    x = g("InstanceNormalization", x, g.weight(4), g.weight(4))
    return g(
        "GroupNormalization", x, g.constant([1.2, 0.8], "float32"), g.constant([0.1, -0.1], "float32"), num_groups=2
    )


@simple("Attention, einsum", series(8, 6, more=4), ["N", "T", 6], ["N", "T", 6])
def attention(g, x):
    q, k, v = (g("MatMul", x, g.weight(6, 6)) for _ in range(3))
    weights = g("Softmax", g("Einsum", q, k, equation="bsf,btf->bst"), axis=-1)
    return g("Einsum", weights, v, equation="bst,btf->bsf")


def recurrence(kind, gates, directions=1, **more):
    @simple(
        f"{kind}{', both directions' if directions == 2 else ''}", series(10, 5), ["N", 10, 5], [10, directions, "N", 6]
    )
    def build(g, x):
        given = g("Transpose", x, perm=[1, 0, 2])
        weights = (
            g.weight(directions, gates * 6, 5),
            g.weight(directions, gates * 6, 6),
            g.weight(directions, gates * 12),
        )
        where = {"direction": "bidirectional"} if directions == 2 else {}
        return g(kind, given, *weights, outputs=2, hidden_size=6, **where, **more)[0]


recurrence("LSTM", 4)
recurrence("LSTM", 4, 2)
recurrence("GRU", 3, linear_before_reset=1)
recurrence("RNN", 1)


@simple("Embedding", tokens(7, 12, more=4), ["N", "T"], ["N", "T", 5], kind="int64")
def embedding(g, x):
    return g("Gather", g.weight(12, 5), x)


@simple("One-hot classes", tokens(7, 12), ["N", 7], ["N", 7, 12], kind="int64")
def one_hot(g, x):
    return g("OneHot", x, g.constant([12], "int64"), g.constant([0.0, 1.0], "float32"))


@simple("Largest three", table(8), ["N", 8], ["N", 3])
def top(g, x):
    return g("TopK", x, g.constant([3], "int64"), outputs=2)[0]


@simple("Running sum", series(8, 3, more=4), ["N", "T", 3], ["N", "T", 3])
def running(g, x):
    return g("CumSum", x, g.constant(1, "int64"))


@simple("Erf, GELU by hand", table(8), ["N", 8], ["N", 8])
def gelu(g, x):
    return g("Mul", x, g("Add", g("Erf", g("Div", x, g.constant(2**0.5, "float32"))), g.constant(1.0, "float32")))


@simple("Activations of the literature", table(8, low=-3, high=3), ["N", 8], ["N", 8])
def activations(g, x):
    for name in (
        "Elu",
        "Selu",
        "Softplus",
        "Softsign",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Celu",
        "ThresholdedRelu",
    ):
        x = g("Add", g(name, x), g("MatMul", x, g.weight(8, 8)))
    return x


@simple("3D convolution", video(3, 6, 10, 10, first=False), ["N", 3, 6, 10, 10], ["N", 4, 6, 10, 10])
def conv3d(g, x):
    return g("Relu", g("Conv", x, g.weight(4, 3, 3, 3, 3), pads=[1] * 6))


@simple("Spatial transformer", image(10, 10, 2), ["N", 2, 10, 10], ["N", 2, 10, 10])
def grid(g, x):
    place = np.stack(np.meshgrid(np.linspace(-0.8, 0.9, 10), np.linspace(-1, 0.7, 10)), -1).astype(np.float32)
    count = g(
        "Concat",
        g("Slice", g("Shape", x), g.constant([0], "int64"), g.constant([1], "int64")),
        g.constant([1, 1, 1], "int64"),
        axis=0,
    )
    return g("GridSample", x, g("Tile", g.constant(place[None]), count), align_corners=1)


@simple("int8 of a quantised network", image(12, 12, 3), ["N", 3, 12, 12], ["N", 4, 12, 12])
def quantised(g, x):
    zero, scale = g.constant(128, "uint8"), g.constant(1 / 64, "float32")
    x = g("DequantizeLinear", g("QuantizeLinear", x, scale, zero), scale, zero)
    kernel = g.constant(g.rng.integers(-90, 90, (4, 3, 3, 3)), "int8")
    kernel = g("DequantizeLinear", kernel, g.constant(0.01, "float32"), g.constant(0, "int8"))
    return g("Conv", x, kernel, pads=[1] * 4)


@simple("Median of a window, by sorting", series(9, 4), ["N", 9, 4], ["N", 1, 4])
def median(g, x):
    best = g("TopK", x, g.constant([5], "int64"), outputs=2, axis=1)[0]
    return g("Slice", best, g.constant([4], "int64"), g.constant([5], "int64"), g.constant([1], "int64"))


@simple(
    "Reflectances clipped and scaled",
    image(16, 16, 4, more=8, low=0, high=10000, dtype="int16"),
    IMAGE,
    IMAGE,
    kind="int16",
)
def scaled(g, x):
    return g(
        "Clip",
        g("Div", g("Cast", x, to=1), g.constant(10000.0, "float32")),
        g.constant(0.0, "float32"),
        g.constant(1.0, "float32"),
    )


@simple("Double precision", table(6, dtype="float64"), ["N", 6], ["N", 3], kind="float64", out_kind="float64")
def double(g, x):
    return g("Tanh", g("MatMul", x, g.constant(g.rng.normal(0, 1, (6, 3)), "float64")))


@model("Siamese change detection", image(16, 16, 4, name="before", more=8), image(16, 16, 4, name="after", more=8))
def siamese(seed):
    g = Graph(seed)
    kernel = g.weight(6, 4, 3, 3)
    a, b = (g("Conv", name, kernel, pads=[1] * 4) for name in ("before", "after"))
    found = g("Sigmoid", g("Conv", g("Abs", g("Sub", a, b)), g.weight(1, 6, 1, 1)))
    return g.model({"before": (IMAGE,), "after": (IMAGE,)}, {"change": (found, ["N", 1, "H", "W"])})


@model("Classes and their certainty", image(16, 16, 4, more=8))
def certainty(seed):
    g = Graph(seed)
    scores = g("Softmax", g("Conv", "x", g.weight(5, 4, 3, 3), pads=[1] * 4), axis=1)
    outputs = {
        "classes": (g("ArgMax", scores, axis=1, keepdims=0), ["N", "H", "W"], "int64"),
        "certainty": (g("ReduceMax", scores, axes=[1], keepdims=0), ["N", "H", "W"]),
    }
    return g.model({"x": (IMAGE,)}, outputs)


@model("Exponential smoothing, Scan", series(8, 3, more=4))
def smoothing(seed):
    from onnx import TensorProto, helper

    g = Graph(seed)
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["state", "keep"], ["kept"]),
            helper.make_node("Add", ["kept", "step"], ["next"]),
            helper.make_node("Identity", ["next"], ["out"]),
        ],
        "step",
        [value("state", TensorProto.FLOAT, ["N", 3]), value("step", TensorProto.FLOAT, ["N", 3])],
        [value("next", TensorProto.FLOAT, ["N", 3]), value("out", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor("keep", TensorProto.FLOAT, [], [0.5])],
    )
    first = g("ReduceSum", g("Mul", "x", g.constant(0.0, "float32")), g.constant([1], "int64"), keepdims=0)
    found = g("Scan", first, g("Transpose", "x", perm=[1, 0, 2]), outputs=2, body=body, num_scan_inputs=1)[1]
    return g.model({"x": (["N", "T", 3],)}, {"y": (g("Transpose", found, perm=[1, 0, 2]), ["N", "T", 3])})
