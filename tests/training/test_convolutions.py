"""Convolutions with kernels prepared for many calls: the same numbers as PyTorch's plain ones, gradients included."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody uses

from modelstac.training.architectures.convolutions_torch import Convolution, kernel_gradients, turned

DTYPES = {torch.float32: 1e-5, torch.float64: 1e-12}  # kernels of the first are prepared, on most processors
SHAPES = list(itertools.product((1, 2), (1, 3, 16), (1, 8), ((1, 1), (1, 5), (7, 2)), (1, 3, 5)))
"""Batch, channels in and out, grid, kernel; with ones, where memory layouts are ambiguous."""


def given(dtype, shape):
    batch, channels, filters, (height, width), size = shape
    draw = torch.Generator().manual_seed(3)
    # One step of a series, as the recurrence has it.
    x = torch.randn(3, batch, height, width, channels, generator=draw, dtype=dtype).movedim(-1, 2)[1]
    kernel = torch.randn(filters, channels, size, size, generator=draw, dtype=dtype)
    bias = torch.randn(filters, generator=draw, dtype=dtype)
    return x, kernel.contiguous(memory_format=torch.channels_last), bias


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results_and_gradients_are_those_of_plain_convolutions(dtype, shape):
    x, kernel, bias = (tensor.requires_grad_() for tensor in given(dtype, shape))
    expected = F.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
    grad = torch.linspace(-1, 1, expected.numel(), dtype=dtype).view(expected.shape)
    expected.backward(grad)
    with torch.no_grad():
        convolution = Convolution(kernel, bias, shape=x.shape)
        series = torch.ones(3, expected.shape[0], *expected.shape[2:], expected.shape[1], dtype=dtype).movedim(-1, 2)
        convolution.add(x, series[1])
        of_x = Convolution(turned(kernel), shape=grad.shape)(grad)
        of_kernel, of_bias = kernel_gradients(grad, x, kernel, bias=True)
        only_kernel, _ = kernel_gradients(grad, x, kernel, bias=False)
    pairs = {
        "result": (convolution(x), expected),
        "added": (series[1], 1 + expected),
        "of x": (of_x, x.grad),
        "of kernel": (of_kernel, kernel.grad),
        "of kernel alone": (only_kernel, kernel.grad),
        "of bias": (of_bias, bias.grad),
    }
    for name, (ours, plain) in pairs.items():
        limit = DTYPES[dtype] * max(1, float(plain.detach().abs().max()))
        torch.testing.assert_close(ours, plain, rtol=0, atol=limit, msg=lambda said, name=name: f"{name}: {said}")
    assert torch.equal(series[0], torch.ones_like(series[0]))
    assert torch.equal(series[2], torch.ones_like(series[2]))
