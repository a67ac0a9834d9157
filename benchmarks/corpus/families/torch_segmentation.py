"""Networks that give an image for an image, of ``torch.nn``."""

from __future__ import annotations

from functools import partial

from benchmarks.corpus.entries import Family, image

model = Family("torch")
image = partial(image, first=True)


@model("U-Net", image(32, 32, 4, more=16))
def unet():
    from benchmarks.corpus.families.torch_parts import UNet

    return UNet(4, 5)


@model("U-Net, bilinear upsampling", image(32, 32, 4, more=16))
def bilinear_unet():
    from benchmarks.corpus.families.torch_parts import UNet

    return UNet(4, 3, up="bilinear")


@model("U-Net, nearest upsampling, softmax", image(32, 32, 4))
def nearest_unet():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import UNet

    return nn.Sequential(UNet(4, 3, up="nearest"), nn.Softmax(1))


@model("Attention U-Net", image(32, 32, 4, more=16))
def attention_unet():
    from benchmarks.corpus.families.torch_parts import UNet

    return UNet(4, 2, attention=True)


@model("U-Net that gives classes", image(32, 32, 4))
def classes():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Function, UNet

    return nn.Sequential(UNet(4, 5), Function(lambda x: x.argmax(1)))


@model("DeepLabV3", image(32, 32, 4, more=16))
def deeplab():
    import torch
    from torch import nn
    from torch.nn.functional import interpolate

    from benchmarks.corpus.families.torch_parts import One, conv

    def forward(self, x):
        y = self.stem(x)
        pooled = interpolate(self.pooled(y.mean((2, 3), keepdim=True)), size=y.shape[-2:], mode="bilinear")
        y = self.head(torch.cat([self.a(y), self.b(y), self.c(y), pooled], 1))
        return interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)

    stem = nn.Sequential(conv(4, 8, stride=2), conv(8, 8, stride=2))
    return One(forward, stem=stem, a=conv(8, 4, 1), b=conv(8, 4, dilation=2), c=conv(8, 4, dilation=4),
               pooled=nn.Conv2d(8, 4, 1), head=nn.Conv2d(16, 4, 1))  # fmt: skip


@model("PSPNet, adaptive pooling", image(24, 24, 4))
def pspnet():
    import torch
    from torch import nn
    from torch.nn.functional import adaptive_avg_pool2d, interpolate

    from benchmarks.corpus.families.torch_parts import One, conv

    def forward(self, x):
        y = self.stem(x)
        levels = [
            interpolate(self.reduce(adaptive_avg_pool2d(y, n)), size=(24, 24), mode="bilinear", align_corners=True)
            for n in (1, 2, 3, 6)
        ]
        return self.head(torch.cat([y, *levels], 1))

    return One(forward, stem=conv(4, 8), reduce=nn.Conv2d(8, 2, 1), head=nn.Conv2d(16, 3, 1))


@model("SegNet, indices of pooling", image(16, 16, 3))
def segnet():
    from torch import nn
    from torch.nn.functional import max_pool2d, max_unpool2d

    from benchmarks.corpus.families.torch_parts import One, conv

    def forward(self, x):
        y, places = max_pool2d(self.down(x), 2, return_indices=True)
        return self.up(max_unpool2d(self.middle(y), places, 2, output_size=(16, 16)))

    return One(forward, down=conv(3, 6), middle=conv(6, 6), up=nn.Conv2d(6, 4, 3, padding=1))


@model("FPN", image(32, 32, 4, more=32))
def fpn():
    import torch
    from torch import nn
    from torch.nn.functional import interpolate

    from benchmarks.corpus.families.torch_parts import One, conv

    def forward(self, x):
        a = self.a(x)
        top = self.top(self.b(a))
        mid = self.side(a) + interpolate(top, scale_factor=2.0, mode="nearest")
        return self.head(torch.cat([interpolate(mid, scale_factor=2.0), interpolate(top, scale_factor=4.0)], 1))

    return One(
        forward,
        a=conv(4, 6, stride=2),
        b=conv(6, 8, stride=2),
        top=nn.Conv2d(8, 6, 1),
        side=nn.Conv2d(6, 6, 1),
        head=nn.Conv2d(12, 3, 1),
    )


@model("HRNet fusion", image(16, 16, 4))
def hrnet():
    import torch
    from torch import nn
    from torch.nn.functional import interpolate

    from benchmarks.corpus.families.torch_parts import One, conv

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        a, b = a + interpolate(self.up(b), scale_factor=2, mode="bilinear"), b + self.down(a)
        return torch.cat([a, interpolate(b, size=(16, 16), mode="bicubic")], 1)

    return One(forward, a=conv(4, 4), b=conv(4, 8, stride=2), up=nn.Conv2d(8, 4, 1), down=conv(4, 8, stride=2))


@model("SRCNN", image(16, 20, 3, more=5))
def srcnn():
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 8, 9, padding=4, padding_mode="reflect"),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1),
        nn.ReLU(),
        nn.Conv2d(4, 3, 5, padding=2, padding_mode="replicate"),
    )


@model("ESPCN, pixel shuffle", image(12, 12, 3, more=4))
def espcn():
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.Tanh(), nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2))


@model("EDSR, bicubic skip", image(12, 12, 3))
def edsr():
    from torch import nn
    from torch.nn.functional import interpolate

    from benchmarks.corpus.families.torch_parts import One, Residual

    body = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        Residual(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.PixelShuffle(2),
    )
    return One(
        lambda self, x: self.body(x) + interpolate(x, scale_factor=2, mode="bicubic", align_corners=False), body=body
    )


@model("Convolutional autoencoder", image(16, 16, 4, more=8))
def autoencoder():
    from torch import nn

    down = nn.Conv2d(4, 8, 3, 2, 1), nn.ELU(), nn.Conv2d(8, 12, 3, 2, 1), nn.SELU()
    up = (
        nn.ConvTranspose2d(12, 8, 3, 2, 1, output_padding=1),
        nn.PReLU(8),
        nn.ConvTranspose2d(8, 4, 4, 2, 1),
        nn.Sigmoid(),
    )
    return nn.Sequential(*down, *up)
