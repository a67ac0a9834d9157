"""Which pixels of an input an output pixel can depend on at all: found in the graph, not by the probe.

All weights are made positive and large enough, activations are taken away and maxima become means, in float64: then
nothing cancels and nothing is cut, and a derivative is zero where and only where no path leads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

Footprint = Callable[[int], tuple[int, int]]


def plain(module: nn.Module) -> nn.Module:
    """Return a copy in which every path counts."""
    found = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.copy_(parameter.abs() + 0.01)
    _replace(found)
    return found


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size))
        else:
            _replace(child)


def farthest(module: nn.Module, shape: tuple[int, ...], outputs: range, footprint: Footprint) -> int:
    """Give how far beyond its footprint an output's row depends on rows of the input (the last but one axis)."""
    image = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    result = plain(module)(image)
    halo = 0
    for row in outputs:
        [gradient] = torch.autograd.grad(result[..., row, :].sum(), image, retain_graph=True)
        rows = gradient.abs().sum(-1).reshape(-1, shape[-2]).sum(0).nonzero().flatten()
        first, last = footprint(row)
        assert rows[0] > 0, "the grid is too small to tell"
        assert rows[-1] < shape[-2] - 1, "the grid is too small to tell"
        halo = max(halo, first - int(rows[0]), int(rows[-1]) - last)
    return halo
