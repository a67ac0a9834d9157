"""LeakyReLU and batch normalisation in one step: the same numbers as plain operations, and less kept."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody uses

from modelstac.training.architectures import convlstm_torch
from modelstac.training.architectures.norm_torch import BatchNorm
from modelstac.training.spec import PRESETS, ConvLSTMSpec

SLOPE, MOMENTUM, EPSILON = 0.1, 0.9, 1e-3


def given(dtype=torch.float64):
    draw = torch.Generator().manual_seed(3)
    return torch.randn(4, 2, 5, 6, 3, generator=draw, dtype=dtype).movedim(-1, 2)


def norm_of(dtype=torch.float64) -> BatchNorm:
    norm = BatchNorm(3, MOMENTUM, SLOPE).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.5, -2.0]))
        norm.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    return norm


def as_it_reads(x, norm):
    """Normalise by mean and variance over all but the channels, as the formula has it."""
    x = F.leaky_relu(x, SLOPE)
    dims = (0, 1, 3, 4)
    var, mean = torch.var_mean(x, dims, correction=0)
    weight, bias, mean_, var_ = (v[:, None, None] for v in (norm.weight, norm.bias, mean, var))
    return (x - mean_) / (var_ + EPSILON).sqrt() * weight + bias, mean, var


def test_outputs_gradients_and_moving_statistics_are_those_of_plain_operations():
    found = []
    for plain in (False, True):
        x, norm = given().requires_grad_(), norm_of().train()
        y, mean, var = as_it_reads(x, norm) if plain else (norm(x), None, None)
        moving = (
            ((1 - MOMENTUM) * mean, MOMENTUM + (1 - MOMENTUM) * var) if plain else (norm.running_mean, norm.running_var)
        )
        (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)).sum().backward()
        found.append([y.detach(), x.grad, norm.weight.grad, norm.bias.grad, *(one.detach() for one in moving)])
    for ours, expected in zip(*found, strict=True):
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_inference_is_by_the_moving_statistics():
    norm = norm_of().eval()
    x = given()
    expected = F.leaky_relu(x, SLOPE) / (1 + EPSILON) ** 0.5 * norm.weight[:, None, None] + norm.bias[:, None, None]
    with torch.inference_mode():
        torch.testing.assert_close(norm(x.clone()), expected)
    torch.testing.assert_close(norm(x.requires_grad_()), expected)  # with a gradient nothing is overwritten
    assert torch.equal(x, given())


def test_what_is_between_is_not_kept():
    kept = set()

    def pack(tensor):
        kept.add(tensor.untyped_storage().data_ptr())
        return tensor

    x = given().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = norm_of().train()(x)
    assert x.untyped_storage().data_ptr() in kept
    assert y.untyped_storage().data_ptr() not in kept
    assert len(kept) == 4  # and weight, mean, standard deviation


def test_layers_of_single_pixels_keep_no_gates():
    model = convlstm_torch.build(PRESETS["reference"])
    assert [layer.cell.recompute for layer in model.layers] == [False, False, False, True]
    model.recompute()
    assert all(layer.cell.recompute for layer in model.layers)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_network_gives_the_same_traced_and_not(mode):
    model = convlstm_torch.build(ConvLSTMSpec(filters=(3, 2, 2), kernels=(5, 3, 1), frames=3, height=8, width=8))
    getattr(model, mode)()
    x = torch.rand(1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = model(x)
        program = torch.export.export(model, (x,)).module(check_guards=False)
        torch.testing.assert_close(program(x), ours, rtol=0, atol=1e-6)
