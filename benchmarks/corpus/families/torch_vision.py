"""Networks for images, of ``torch.nn``."""

from __future__ import annotations

from functools import partial

from benchmarks.corpus.entries import Family, image

model = Family("torch")
image = partial(image, first=True)


@model("LeNet-5", image(28, 28, 1))
def lenet():
    from torch import nn

    features = (
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
    )
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(400, 84), nn.Tanh(), nn.Linear(84, 10), nn.Softmax(1))


@model("VGG, adaptive pooling", image(32, 32, 3, more=16))
def vgg():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import conv

    features = (conv(3, 8), conv(8, 8), nn.MaxPool2d(2), conv(8, 12), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*features, nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 6))


@model("ResNet-18 of ten bands", image(32, 32, 10, more=16))
def resnet():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Residual, conv

    block = partial(Residual, last=nn.ReLU())
    return nn.Sequential(
        conv(10, 8, 7, stride=2), nn.MaxPool2d(3, 2, 1), block(conv(8, 8), conv(8, 8, act=nn.Identity)),
        conv(8, 16, stride=2), block(conv(16, 16), conv(16, 16, act=nn.Identity)),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip


@model("ResNeXt, grouped convolutions", image(16, 16, 4))
def resnext():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Residual, conv

    return nn.Sequential(
        conv(4, 8), Residual(conv(8, 8, 1), conv(8, 8, groups=4), conv(8, 8, 1, nn.Identity)), nn.LeakyReLU(0.1)
    )


@model("SE-ResNet", image(16, 16, 4, more=4))
def se_resnet():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One, conv

    gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.ReLU(), nn.Conv2d(2, 8, 1), nn.Sigmoid())
    return nn.Sequential(conv(4, 8), One(lambda self, x: x + x * self.gate(x), gate=gate))


@model("CBAM", image(16, 16, 4))
def cbam():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        pooled = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        x = x * torch.sigmoid(pooled)[..., None, None]
        maps = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        return x * torch.sigmoid(self.conv(maps))

    return One(
        forward, mlp=nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 4)), conv=nn.Conv2d(2, 1, 7, padding=3)
    )


@model("MobileNetV2 block, ReLU6", image(16, 16, 4))
def mobilenet_v2():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Residual, conv

    parts = conv(4, 16, 1, nn.ReLU6), conv(16, 16, 3, nn.ReLU6, groups=16), conv(16, 4, 1, nn.Identity)
    return Residual(*parts)


@model("MobileNetV3 block, hard swish", image(16, 16, 4))
def mobilenet_v3():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import conv

    return nn.Sequential(
        conv(4, 8, 3, nn.Hardswish), conv(8, 8, 5, nn.Hardswish, groups=8), conv(8, 4, 1, nn.Hardsigmoid)
    )


@model("ConvNeXt block", image(16, 16, 4, more=8))
def convnext():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.mlp(y)).permute(0, 3, 1, 2)

    import torch

    made = One(forward, depth=nn.Conv2d(4, 4, 7, padding=3, groups=4), norm=nn.LayerNorm(4, eps=1e-6),
               mlp=nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4)))  # fmt: skip
    made.scale = nn.Parameter(torch.full((4,), 0.1))
    return made


@model("Vision Transformer", image(16, 16, 4))
def vit():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.encoder(x)[:, 0])

    layer = nn.TransformerEncoderLayer(12, 2, 24, activation="gelu", batch_first=True, norm_first=True)
    made = One(forward, patches=nn.Conv2d(4, 12, 4, stride=4), head=nn.Linear(12, 5),
               encoder=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))  # fmt: skip
    made.token, made.places = nn.Parameter(torch.randn(1, 1, 12)), nn.Parameter(torch.randn(1, 17, 12))
    return made


@model("MLP-Mixer", image(16, 16, 4))
def mixer():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Function, Residual

    turn = partial(Function, lambda x: x.transpose(1, 2))
    spatial = Residual(nn.LayerNorm(8), turn(), nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 16), turn())
    patches = nn.Sequential(nn.Conv2d(4, 8, 4, stride=4), nn.Flatten(2), turn())
    return nn.Sequential(patches, spatial, Function(lambda x: x.mean(1)), nn.Linear(8, 3))


@model("Normalisations of the literature", image(12, 12, 4, more=4))
def normalisations():
    from torch import nn

    parts = (
        nn.Conv2d(4, 8, 3, padding=1),
        nn.GroupNorm(4, 8),
        nn.Mish(),
        nn.InstanceNorm2d(8, affine=True),
        nn.Softplus(),
    )
    return nn.Sequential(
        *parts, nn.Conv2d(8, 4, 1), nn.LocalResponseNorm(2), nn.Softsign(), nn.Conv2d(4, 4, 1), nn.GLU(1)
    )


@model("Pooling with a remainder", image(15, 17, 4))
def pooling():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    parts = {
        "average": nn.AvgPool2d(3, 2, ceil_mode=True, count_include_pad=False, padding=1),
        "largest": nn.MaxPool2d(3, 2, ceil_mode=True, padding=1),
        "power": nn.Sequential(nn.ZeroPad2d((1, 1, 1, 1)), nn.AvgPool2d(3, 2)),
    }
    return One(lambda self, x: torch.cat([self.average(x), self.largest(x), self.power(x)], 1), **parts)


@model("Swin window attention", image(16, 16, 4))
def swin():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        x = torch.roll(x, (-2, -2), (2, 3)).permute(0, 2, 3, 1)
        windows = x.reshape(-1, 4, 4, 4, 4, 4).transpose(2, 3).reshape(-1, 16, 4)
        y = self.attention(windows, windows, windows, need_weights=False)[0]
        y = y.reshape(-1, 4, 4, 4, 4, 4).transpose(2, 3).reshape(-1, 16, 16, 4)
        return torch.roll(y, (2, 2), (1, 2))

    return One(forward, attention=nn.MultiheadAttention(4, 2, batch_first=True))


@model("Spatial transformer", image(16, 16, 2))
def stn():
    from torch import nn
    from torch.nn.functional import affine_grid, grid_sample

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        grid = affine_grid(self.where(x).view(-1, 2, 3) + 0.3, list(x.shape), align_corners=False)
        return grid_sample(x, grid, align_corners=False)

    return One(forward, where=nn.Sequential(nn.Flatten(), nn.Linear(512, 6)))


@model("Fourier neural operator", image(16, 16, 2))
def fno():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        found = torch.fft.rfft2(x)
        return torch.fft.irfft2(found * self.scale, s=(16, 16)) + self.skip(x)

    made = One(forward, skip=nn.Conv2d(2, 2, 1))
    made.scale = nn.Parameter(torch.rand(2, 16, 9))
    return made


@model("Patches, unfolded and folded", image(16, 16, 3))
def unfolded():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Function

    turn = partial(Function, lambda x: x.transpose(1, 2))
    return nn.Sequential(
        nn.Unfold(4, stride=4), turn(), nn.Linear(48, 48), nn.ReLU(), turn(), nn.Fold((16, 16), 4, stride=4)
    )
