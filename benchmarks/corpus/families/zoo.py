"""Networks of torchvision, timm and segmentation-models-pytorch without weights, narrow where they can be."""

from __future__ import annotations

from functools import partial

from benchmarks.corpus.entries import Family, image

model = Family("zoo")
image = partial(image, first=True)


def torchvision():
    """Import torchvision, also where its wheel is of another build of PyTorch: its compiled operators are not used."""
    import torch

    try:
        torch.ops.torchvision.qnms  # noqa: B018 - an attribute that may not be there
    except AttributeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torchvision.library = library  # it lives as long as this
    import torchvision.models as found

    return found


def of_torchvision(name: str, size: int = 64, **options):
    def build():
        return getattr(torchvision(), name)(weights=None, num_classes=6, **options)

    model(f"torchvision {name}", image(size, size, 3))(build)


of_torchvision("mobilenet_v2", width_mult=0.25)
of_torchvision("shufflenet_v2_x0_5")


@model("torchvision DenseNet", image(64, 64, 3))
def densenet():
    return torchvision().DenseNet(8, (2, 2, 2, 2), 8, num_classes=6)


@model("torchvision ResNet", image(64, 64, 3))
def resnet():
    from torch import nn

    made = torchvision().resnet18(weights=None, num_classes=6)
    made.layer3, made.layer4, made.fc = nn.Identity(), nn.Identity(), nn.Linear(128, 6)
    return made


@model("torchvision ConvNeXt", image(64, 64, 3))
def convnext():
    torchvision()
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, 24, 1), CNBlockConfig(24, None, 1)], num_classes=6)


@model("torchvision Vision Transformer", image(32, 32, 3))
def vit():
    return torchvision().VisionTransformer(32, 8, 2, 3, 24, 48, num_classes=6)


@model("torchvision Swin Transformer", image(64, 64, 3))
def swin():
    return torchvision().SwinTransformer([4, 4], 12, [1, 2], [2, 4], [4, 4], num_classes=6)


@model("torchvision LR-ASPP", image(64, 64, 3))
def lraspp():
    from collections import OrderedDict

    from torch import nn

    torchvision()
    from torchvision.models._utils import IntermediateLayerGetter
    from torchvision.models.segmentation.lraspp import LRASPP

    backbone = nn.Sequential(OrderedDict(low=nn.Conv2d(3, 8, 3, 4, 1), high=nn.Conv2d(8, 16, 3, 4, 1)))
    return LRASPP(IntermediateLayerGetter(backbone, {"low": "low", "high": "high"}), 8, 16, 4)


def of_timm(name: str, size: int = 64, **options):
    def build():
        torchvision()
        import timm

        return timm.create_model(name, pretrained=False, num_classes=6, **options)

    model(f"timm {name}", image(size, size, 3))(build)


of_timm("lcnet_050")
of_timm("ghostnet_050")
of_timm("resnet10t")
of_timm("vit_tiny_patch16_224", 64, img_size=64, depth=2, embed_dim=24, num_heads=3)


def of_smp(name: str, encoder: str = "tu-lcnet_050", size: int = 64, **options):
    def build():
        torchvision()
        import segmentation_models_pytorch

        made = getattr(segmentation_models_pytorch, name)
        return made(encoder, encoder_weights=None, in_channels=4, classes=3, **options)

    model(f"segmentation-models-pytorch {name}", image(size, size, 4))(build)


WIDTHS = (32, 16, 16, 8, 8)
of_smp("Unet", decoder_channels=WIDTHS)
of_smp("UnetPlusPlus", decoder_channels=WIDTHS)
of_smp("Linknet")
of_smp("FPN", decoder_pyramid_channels=32, decoder_segmentation_channels=32)
of_smp("DeepLabV3Plus", decoder_channels=16)
of_smp("Segformer", decoder_segmentation_channels=16)
