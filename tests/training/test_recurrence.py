"""The recurrence with a backward pass of its own: the same numbers as plain operations and as finite differences."""

from __future__ import annotations

import itertools

import pytest
import torch

from modelstac.training.architectures import recurrence_torch
from modelstac.training.architectures.recurrence_torch import Cell, activation, recurrence, recurrence_as_it_reads

CASES = list(
    itertools.product(("linear", "tanh", "leaky_relu"), ("sigmoid", "hard_sigmoid"), ("kept", "computed again"))
)


def cell_of(case) -> Cell:
    cell, recurrent, gates = case
    return Cell(activation(cell, 0.01), activation(recurrent), recompute=gates == "computed again")


def arguments(dtype=torch.float64, *, time=4, batch=2, channels=3, filters=2, height=4, width=5):
    # Every size differs, so that no two dimensions can be exchanged unseen; nothing sits at a kink of an activation.
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(time, batch, height, width, channels, generator=draw, dtype=dtype).movedim(-1, 2)
    kernel = 0.3 * torch.randn(4 * filters, channels, 3, 3, generator=draw, dtype=dtype)
    bias = 0.3 * torch.randn(4 * filters, generator=draw, dtype=dtype)
    recurrent_kernel = 0.3 * torch.randn(4 * filters, filters, 3, 3, generator=draw, dtype=dtype)
    return tuple(tensor.requires_grad_() for tensor in (x, kernel, bias, recurrent_kernel))


@pytest.fixture(params=[1, 2, 100], ids=lambda steps: f"{steps} steps at once")
def blocks(request, monkeypatch):
    """Let so many steps be computed at once, on grids as small as these."""
    monkeypatch.setattr(recurrence_torch, "CPU_BLOCK", request.param * 2 * 8 * 4 * 5 * 8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_outputs_and_gradients_are_those_of_plain_operations(blocks, case, dtype):
    weights = None
    found = []
    for run in (recurrence, recurrence_as_it_reads):
        given = arguments(dtype)
        result = run(*given, cell_of(case))
        weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view(result.shape)
        (result * weights).sum().backward()
        found.append((result.detach(), *(tensor.grad for tensor in given)))
    for ours, expected in zip(*found, strict=True):
        assert expected.abs().max() > 1e-3
        # PyTorch's own hard sigmoid has a single-precision 1/6 in its derivative.
        tolerance = 1e-5 if dtype == torch.float32 else 1e-6 if case[1] == "hard_sigmoid" else 1e-12
        torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_gradients_are_those_of_finite_differences(case):
    given = arguments(time=3, batch=1, channels=2, height=3, width=2)
    assert torch.autograd.gradcheck(lambda *tensors: recurrence(*tensors, cell_of(case)), given)


def test_only_the_gradients_that_are_wanted_are_computed():
    x, kernel, bias, recurrent_kernel = arguments()
    recurrence(x.detach(), kernel, bias, recurrent_kernel, cell_of(CASES[0])).sum().backward()
    assert x.grad is None
    assert kernel.grad is not None


@pytest.mark.parametrize("gates", ["kept", "computed again"])
def test_half_the_bits_come_close(gates):
    cell = cell_of(("linear", "sigmoid", gates))
    found = []
    for enabled in (True, False):
        given = arguments(torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            result = recurrence(*given, cell)
        assert result.dtype == (torch.bfloat16 if enabled else torch.float32)
        result.float().square().sum().backward()
        assert given[1].grad.dtype == torch.float32
        found.append((result.detach().float(), *(tensor.grad for tensor in given)))
    for half, full in zip(*found, strict=True):
        assert (half - full).abs().max() < 0.02 * full.abs().max()


def test_memory_kept_for_the_backward_pass(monkeypatch):
    """Of every step: the gates, the state c and the output, or without the gates."""
    monkeypatch.setattr(recurrence_torch, "CPU_BLOCK", 1)
    saved = {}
    for gates in ("kept", "computed again"):
        sizes: dict[int, int] = {}

        def pack(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        x, *parameters = arguments()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            result = recurrence(x, *parameters, cell_of(("linear", "sigmoid", gates)))
        parts = sum(size for at, size in sizes.items() if at != x.untyped_storage().data_ptr())
        saved[gates] = (parts - sum(parameter.nbytes for parameter in parameters)) / result.nbytes
    assert saved["kept"] == pytest.approx(6, abs=0.5)
    assert saved["computed again"] == pytest.approx(2, abs=0.5)
