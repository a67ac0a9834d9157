"""Networks for series, tables and several inputs, of ``torch.nn``."""

from __future__ import annotations

from functools import partial

from benchmarks.corpus.entries import Family, image, series, table, tokens, video

model = Family("torch")
image, video = partial(image, first=True), partial(video, first=True)


@model("TempCNN", series(24, 10, first=True))
def temp_cnn():
    from torch import nn

    parts = [
        nn.Sequential(nn.Conv1d(a, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5)) for a in (10, 8, 8)
    ]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(192, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 6))


def recurrent(kind, **more):
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    layer = getattr(nn, kind)(6, 8, batch_first=True, **more)
    width = 8 * (2 if more.get("bidirectional") else 1)
    return One(lambda self, x: self.head(self.layer(x)[0][:, -1]), layer=layer, head=nn.Linear(width, 3))


@model("LSTM, two layers", series(12, 6))
def lstm():
    return recurrent("LSTM", num_layers=2)


@model("LSTM, any number of steps", series(12, 6, more=5))
def open_lstm():
    return recurrent("LSTM")


@model("GRU", series(12, 6))
def gru():
    return recurrent("GRU")


@model("Bidirectional LSTM", series(12, 6))
def bilstm():
    return recurrent("LSTM", bidirectional=True)


@model("RNN of ReLU", series(8, 6))
def rnn():
    return recurrent("RNN", nonlinearity="relu")


@model("TCN, dilated causal convolutions", series(16, 4, first=True, more=8))
def tcn():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Residual

    blocks = [Residual(nn.ConstantPad1d((2 * n, 0), 0.0), nn.Conv1d(8, 8, 3, dilation=n), nn.ReLU()) for n in (1, 2, 4)]
    return nn.Sequential(nn.Conv1d(4, 8, 1), *blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 2))


@model("InceptionTime", series(24, 4, first=True))
def inception_time():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        y = torch.cat([part(x) for part in self.parts], 1)
        return self.head(torch.relu(self.norm(y)).mean(-1))

    parts = nn.ModuleList(
        [
            *(nn.Conv1d(4, 4, n, padding=n // 2) for n in (3, 5, 9)),
            nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(4, 4, 1)),
        ]
    )
    return One(forward, parts=parts, norm=nn.BatchNorm1d(16), head=nn.Linear(16, 5))


@model("Transformer encoder", series(10, 8, more=4))
def transformer():
    from torch import nn

    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 3))


@model("Causal attention", series(10, 8))
def causal():
    from torch import nn
    from torch.nn.functional import scaled_dot_product_attention as attend

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        q, k, v = (t.view(-1, 10, 2, 4).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        return self.out(attend(q, k, v, is_causal=True).transpose(1, 2).reshape(-1, 10, 8))

    return One(forward, qkv=nn.Linear(8, 24), out=nn.Linear(8, 8))


@model("L-TAE", series(12, 8))
def ltae():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        x = self.norm(self.embed(x))
        weights = torch.softmax(self.scores(x), 1)
        return self.head(torch.einsum("bth,bthf->bhf", weights, x.view(-1, 12, 3, 4)).flatten(1))

    return One(forward, embed=nn.Linear(8, 12), norm=nn.LayerNorm(12), scores=nn.Linear(12, 3), head=nn.Linear(12, 5))


@model("Tokens", tokens(9, 12, more=4))
def embedded():
    from torch import nn

    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(
        nn.Embedding(12, 8, padding_idx=0), nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    )


@model("Transformer that skips padding", series(8, 6))
def padding():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        missing, keys = x[..., 0] < 0.2, x * 1.0  # of one tensor alone it would take a path that no export has
        return self.attention(x, keys, x, key_padding_mask=missing, need_weights=False)[0]

    return One(forward, attention=nn.MultiheadAttention(6, 2, batch_first=True))


@model("ConvLSTM, step by step", video(4, 12, 12, 1))
def convlstm():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        h = c = x.new_zeros(x.shape[0], 4, 12, 12)
        for step in range(4):
            i, f, o, g = self.cell(torch.cat([x[:, step], h], 1)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(h)

    return One(forward, cell=nn.Conv2d(5, 16, 3, padding=1), head=nn.Conv2d(4, 1, 1))


@model("3D CNN", video(3, 6, 12, 12))
def cnn3d():
    from torch import nn

    parts = nn.Conv3d(3, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d((1, 2, 2)), nn.Conv3d(6, 8, 3)
    return nn.Sequential(*parts, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 4))


@model("3D U-Net", video(2, 4, 8, 8))
def unet3d():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One

    def forward(self, x):
        a = torch.relu(self.a(x))
        b = torch.relu(self.b(nn.functional.avg_pool3d(a, 2)))
        return self.head(torch.cat([a, self.up(b), nn.functional.interpolate(b, scale_factor=2, mode="trilinear")], 1))

    return One(
        forward,
        a=nn.Conv3d(2, 4, 3, padding=1),
        b=nn.Conv3d(4, 6, 3, padding=1),
        up=nn.ConvTranspose3d(6, 4, 2, stride=2),
        head=nn.Conv3d(14, 2, 1),
    )


@model("Multilayer perceptron", table(8, low=-5, high=30))
def mlp():
    from torch import nn

    layers = [nn.Sequential(nn.Linear(a, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.2)) for a in (8, 16)]
    return nn.Sequential(nn.BatchNorm1d(8), *layers, nn.Linear(16, 1))


@model("SIREN", table(2, low=-1, high=1))
def siren():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Function

    return nn.Sequential(
        nn.Linear(2, 16),
        Function(lambda x: torch.sin(30 * x)),
        nn.Linear(16, 16),
        Function(torch.sin),
        nn.Linear(16, 3),
    )


@model("Siamese change detection", image(16, 16, 4, name="before"), image(16, 16, 4, name="after"))
def siamese():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Two, conv

    shared = nn.Sequential(conv(4, 6), conv(6, 6))
    return Two(
        lambda self, a, b: torch.sigmoid(self.head(torch.abs(self.shared(a) - self.shared(b)))),
        shared=shared,
        head=nn.Conv2d(6, 1, 1),
    )


@model("Fusion of radar and optics", image(16, 16, 2, name="s1", low=-25, high=0), image(16, 16, 10, name="s2"))
def fusion():
    import torch
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Two, conv

    return Two(
        lambda self, a, b: self.head(torch.cat([self.a(a), self.b(b)], 1)),
        a=conv(2, 4),
        b=conv(10, 4),
        head=nn.Conv2d(8, 5, 1),
    )


@model("Image and table", image(12, 12, 4, name="image"), table(3, name="weather"))
def image_and_table():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import Two, conv

    return Two(
        lambda self, a, b: self.both(self.picture(a).mean((2, 3)), self.rows(b)),
        picture=conv(4, 6),
        rows=nn.Linear(3, 4),
        both=nn.Bilinear(6, 4, 2),
    )


@model("Two tasks, in a dictionary", image(16, 16, 4))
def two_tasks():
    from torch import nn

    from benchmarks.corpus.families.torch_parts import One, conv

    def forward(self, x):
        y = self.stem(x)
        return {"height": self.height(y), "cover": self.cover(y.mean((2, 3))).softmax(1)}

    return One(forward, stem=conv(4, 6), height=nn.Conv2d(6, 1, 1), cover=nn.Linear(6, 4))


@model("NDVI and NDWI", image(16, 16, 4, more=4))
def indices():
    import torch

    from benchmarks.corpus.families.torch_parts import One

    def forward(_, x):
        green, red, nir = x[:, 1], x[:, 2], x[:, 3]
        return torch.where(nir + red > 0, (nir - red) / (nir + red), 0.0), (green - nir) / (green + nir)

    return One(forward)


@model("Reflectances, standardised and clipped", image(16, 16, 4, low=0, high=10000))
def reflectances():
    import torch

    from benchmarks.corpus.families.torch_parts import One, UNet

    def forward(self, x):
        mean, deviation = torch.tensor([1100.0, 1000, 900, 2500]), torch.tensor([600.0, 600, 700, 1000])
        x = (x - mean[:, None, None]) / deviation[:, None, None]
        return self.net(torch.clamp(x, -3, 3))

    return One(forward, net=UNet(4, 3))


@model("Largest values and running sums", series(10, 6))
def top():
    import torch

    from benchmarks.corpus.families.torch_parts import One

    def forward(_, x):
        best, places = torch.topk(x, 3, dim=1)
        return best, places, torch.cumsum(x, 1), torch.sort(x, dim=1, descending=True).values

    return One(forward)
