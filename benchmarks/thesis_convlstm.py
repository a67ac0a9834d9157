"""The ConvLSTM as the thesis writes it in PyTorch: input and state concatenated and convolved step by step.

Written for the benchmarks from its description alone: plain layers and autograd, nothing of modelstac's. Batch
normalisation, LeakyReLU and output convolution are PyTorch's own in three dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Cell(nn.Module):
    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.filters = filters
        self.conv = nn.Conv2d(channels + filters, 4 * filters, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = torch.chunk(self.conv(torch.cat([x, h], dim=1)), 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * g  # Keras' model has a linear cell
        return torch.sigmoid(o) * c, c


class ThesisConvLSTM(nn.Module):
    def __init__(self, filters: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        channels = (1, *filters[:-1])
        self.cells = nn.ModuleList(Cell(*sizes) for sizes in zip(channels, filters, kernels, strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm3d(f, eps=1e-3, momentum=0.01) for f in filters[:-1])
        self.output = nn.Conv3d(filters[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, time, 1, height, width) to the same shape."""
        x = x.transpose(1, 2)
        for number, cell in enumerate(self.cells):
            batch, _, time, height, width = x.shape
            h = c = x.new_zeros(batch, cell.filters, height, width)
            states = []
            for t in range(time):
                h, c = cell(x[:, :, t], h, c)
                states.append(h)
            x = nn.functional.leaky_relu(torch.stack(states, dim=2), 0.01)
            if number < len(self.norms):
                x = self.norms[number](x)
        return torch.sigmoid(self.output(x)).transpose(1, 2)

    def take(self, ours: nn.Module) -> None:
        """Take the weights of modelstac's module, so that both can be seen to compute the same function."""
        with torch.no_grad():
            for cell, layer in zip(self.cells, ours.layers, strict=True):
                kernel = torch.cat([layer.input_conv.weight, layer.recurrent_conv.weight], dim=1)
                cell.conv.weight.copy_(kernel)  # gates in the order of Keras: i, f, g, o here too
                cell.conv.bias.copy_(layer.input_conv.bias)
            for norm, other in zip(self.norms, ours.norms, strict=False):
                norm.load_state_dict(other.state_dict(), strict=False)
            self.output.load_state_dict(ours.output.state_dict())
