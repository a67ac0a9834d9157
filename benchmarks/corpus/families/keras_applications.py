"""Networks of :mod:`keras.applications` without weights, narrow where they can be."""

from __future__ import annotations

from benchmarks.corpus.entries import Family, image

model = Family("keras")
HEAD = {"weights": None, "classes": 6}


@model("MobileNet", image(64, 64, 3))
def mobilenet(x):
    from keras import applications

    return applications.MobileNet(input_tensor=x, alpha=0.25, dropout=0, **HEAD).output


@model("MobileNetV2", image(64, 64, 3))
def mobilenet_v2(x):
    from keras import applications

    return applications.MobileNetV2(input_tensor=x, alpha=0.35, **HEAD).output


@model("MobileNetV3Small", image(64, 64, 3, low=0, high=255))
def mobilenet_v3(x):
    from keras import applications

    return applications.MobileNetV3Small(input_tensor=x, alpha=0.75, minimalistic=False, **HEAD).output


@model("EfficientNet", image(64, 64, 3, low=0, high=255))
def efficientnet(x):
    from keras.src.applications import efficientnet as family

    made = family.EfficientNet(0.25, 0.3, 64, name="efficientnet", input_tensor=x, weights_name="", **HEAD)
    return made.output


@model("EfficientNetV2", image(64, 64, 3, low=0, high=255))
def efficientnet_v2(x):
    from keras.src.applications import efficientnet_v2 as family

    made = family.EfficientNetV2(0.25, 0.3, 64, name="efficientnetv2-b0", input_tensor=x, weights_name="", **HEAD)
    return made.output


@model("ResNet", image(64, 64, 3))
def resnet(x):
    from keras.src.applications import resnet as family

    def stacks(y):
        return family.stack_residual_blocks_v1(
            family.stack_residual_blocks_v1(y, 4, 1, stride1=1, name="a"), 8, 2, name="b"
        )

    return family.ResNet(stacks, False, True, input_tensor=x, weights_name="", name="resnet", **HEAD).output


@model("ResNetV2", image(64, 64, 3))
def resnet_v2(x):
    from keras.src.applications import resnet as family

    def stacks(y):
        return family.stack_residual_blocks_v2(
            family.stack_residual_blocks_v2(y, 4, 2, name="a"), 8, 2, stride1=1, name="b"
        )

    return family.ResNet(stacks, True, True, input_tensor=x, weights_name="", name="resnetv2", **HEAD).output


@model("DenseNet", image(64, 64, 3))
def densenet(x):
    from keras.src.applications import densenet as family

    return family.DenseNet([1, 2, 1, 1], input_tensor=x, **HEAD).output


@model("ConvNeXt", image(64, 64, 3, low=0, high=255))
def convnext(x):
    from keras.src.applications import convnext as family

    made = family.ConvNeXt((1, 1, 2, 1), (8, 16, 24, 32), name="convnext", input_tensor=x, weights_name="", **HEAD)
    return made.output
