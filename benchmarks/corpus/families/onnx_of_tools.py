"""Graphs that exporters wrote: PyTorch's on TorchScript, tf2onnx, and skl2onnx of pipelines."""

from __future__ import annotations

from functools import partial

from benchmarks.corpus.entries import Family, image, series, table

model = Family("onnx")
image = partial(image, first=True)


def by_torchscript(name: str, module: str, builder: str, given):
    """Register what PyTorch's older exporter makes of one of the networks of PyTorch."""

    def build(seed):
        import importlib
        import io

        import onnx
        import torch

        torch.manual_seed(seed % 10000)
        net = getattr(importlib.import_module(f"benchmarks.corpus.families.{module}"), builder)().eval()
        out, opened = io.BytesIO(), {0: "batch"}
        opened |= {axis + 1: f"axis_{axis}" for axis, size in enumerate(given.shape) if size is None}
        x = torch.rand(2, *given.sizes[0])
        torch.onnx.export(
            net,
            (x,),
            out,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": opened, "y": {0: "batch"}},
            opset_version=17,
        )
        return onnx.load_from_string(out.getvalue())

    model(f"TorchScript exporter, {name}", given)(build)


VISION = {
    "ResNet": ("resnet", image(32, 32, 10, more=16)),
    "SE-ResNet": ("se_resnet", image(16, 16, 4, more=4)),
    "ConvNeXt block": ("convnext", image(16, 16, 4, more=8)),
    "U-Net": ("unet", image(32, 32, 4, more=16)),
    "U-Net, bilinear": ("bilinear_unet", image(32, 32, 4, more=16)),
    "DeepLabV3": ("deeplab", image(32, 32, 4)),
    "ESPCN": ("espcn", image(12, 12, 3, more=4)),
    "Vision Transformer": ("vit", image(16, 16, 4)),
}
SEGMENTATION = ("unet", "bilinear_unet", "deeplab", "espcn")
SERIES = {
    "LSTM": ("lstm", series(12, 6)),
    "GRU": ("gru", series(12, 6)),
    "TempCNN": ("temp_cnn", series(24, 10, first=True)),
    "L-TAE": ("ltae", series(12, 8)),
}
for name, (builder, given) in VISION.items():
    by_torchscript(name, "torch_segmentation" if builder in SEGMENTATION else "torch_vision", builder, given)
for name, (builder, given) in SERIES.items():
    by_torchscript(name, "torch_series", builder, given)


def by_tf2onnx(name: str, write, *shape):
    """Register what tf2onnx makes of a function of TensorFlow."""

    def build(seed):
        import tensorflow as tf
        import tf2onnx

        tf.random.set_seed(seed % 10000)
        signature = [tf.TensorSpec([None, *shape], tf.float32, name="x")]
        return tf2onnx.convert.from_function(tf.function(write(tf), signature), signature, opset=17)[0]

    given = (
        image(shape[0], shape[1], shape[2]) if len(shape) == 3 else series(*shape) if len(shape) == 2 else table(*shape)
    )
    if len(shape) == 3:
        from benchmarks.corpus.entries import image as last

        given = last(*shape)
    model(f"tf2onnx, {name}", given)(build)


def classifier(tf):
    kernel, head = tf.random.normal([3, 3, 4, 6]).numpy(), tf.random.normal([6, 5]).numpy()
    return lambda x: tf.nn.softmax(tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME")), [1, 2]) @ head)


def upsampling(tf):
    kernel = tf.random.normal([3, 3, 4, 4]).numpy()
    return lambda x: tf.image.resize(tf.nn.conv2d(x, kernel, 1, "SAME"), [24, 24], "bilinear")


def indices(tf):
    return lambda x: tf.math.divide_no_nan(x[..., 3] - x[..., 2], x[..., 3] + x[..., 2])


def depthwise(tf):
    kernel = tf.random.normal([3, 3, 4, 2]).numpy()
    return lambda x: tf.nn.space_to_depth(tf.nn.relu6(tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")), 2)


def attention(tf):
    w = [tf.random.normal([6, 6]).numpy() for _ in range(3)]
    return lambda x: tf.nn.softmax(tf.matmul(x @ w[0], x @ w[1], transpose_b=True)) @ (x @ w[2])


def perceptron(tf):
    a, b = tf.random.normal([6, 8]).numpy(), tf.random.normal([8, 2]).numpy()
    return lambda x: tf.nn.softplus(tf.nn.leaky_relu(x @ a) @ b)


by_tf2onnx("classifier", classifier, 16, 16, 4)
by_tf2onnx("upsampling", upsampling, 12, 12, 4)
by_tf2onnx("NDVI", indices, 12, 12, 4)
by_tf2onnx("depthwise", depthwise, 12, 12, 4)
by_tf2onnx("attention", attention, 8, 6)
by_tf2onnx("perceptron", perceptron, 6)
