"""LeakyReLU and batch normalisation after it, in PyTorch, as Keras computes them.

In training both are one step for autograd, which keeps what went in and nothing between: LeakyReLU is computed again in
the backward pass, where it costs next to nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody uses
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from modelstac.training.architectures.processes_torch import processes, total
from modelstac.training.architectures.recurrence_torch import traced
from modelstac.training.spec import BATCH_NORM_EPSILON

aten = torch.ops.aten


class BatchNorm(nn.Module):
    """LeakyReLU, then batch normalisation over all dimensions but the channels (dimension 2), as Keras computes it.

    PyTorch's own updates the running variance with the unbiased estimate, Keras with the biased one; here it is the
    biased one, so that moving statistics stay equal through training.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float, slope: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.slope = slope
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (time, batch, channels, height, width) by the batch in training, by the moving statistics else.

        Without gradients ``x`` itself is overwritten.
        """
        flat = x.flatten(0, 1)
        if not self.training and not (torch.is_grad_enabled() or traced()):
            scale = self.weight * (self.running_var + BATCH_NORM_EPSILON).rsqrt()
            shift = self.bias - self.running_mean * scale
            y = leaky_relu(flat, self.slope)
            y = torch.addcmul(shift[:, None, None], y, scale[:, None, None], out=y)
        elif not self.training:
            given = (self.running_mean, self.running_var, self.weight, self.bias)
            y = F.batch_norm(leaky_relu(flat, self.slope), *given, training=False, eps=BATCH_NORM_EPSILON)
        elif processes() > 1:
            y = self._over_all_processes(F.leaky_relu(flat, self.slope))
        else:
            # With momentum 1 the two buffers come back as the statistics of this batch.
            mean, var = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
            run = _normalised if traced() else _Normalised.apply
            y = run(flat, self.weight, self.bias, _Rest(mean, var, self.slope))
            count = flat.numel() // flat.shape[1]
            self._move(mean, var * ((count - 1) / count))
        return y.view(x.shape)

    def _over_all_processes(self, x: Tensor) -> Tensor:
        """Normalise by the statistics of the whole batch, of which this process has a share."""
        x = x.float()
        count = total(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
        mean = total(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        var = total(centred.square().sum((0, 2, 3))) / count
        self._move(mean, var)
        return centred * (self.weight * (var + BATCH_NORM_EPSILON).rsqrt())[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def _move(self, mean: Tensor, var: Tensor) -> None:
        self.running_mean.lerp_(mean, 1 - self.momentum)
        self.running_var.lerp_(var, 1 - self.momentum)


class LeakyReLU(nn.Module):
    """What stands in the place of :class:`BatchNorm` where nothing is normalised."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Compute LeakyReLU; without gradients ``x`` itself is overwritten."""
        return leaky_relu(x, self.slope)


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """Compute LeakyReLU, in place where no gradient needs what went in."""
    return F.leaky_relu(x, slope, inplace=not (torch.is_grad_enabled() or traced()))


class _Rest(NamedTuple):
    mean: Tensor
    var: Tensor
    slope: float


def _normalised(x: Tensor, weight: Tensor, bias: Tensor, rest: _Rest) -> Tensor:
    """Compute what `_Normalised` computes, in operations that every tracer and autograd know."""
    x = F.leaky_relu(x, rest.slope)
    return F.batch_norm(x, rest.mean, rest.var, weight, bias, training=True, momentum=1.0, eps=BATCH_NORM_EPSILON)


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, rest: _Rest) -> Tensor:
        active = F.leaky_relu(x, rest.slope)
        result: Tensor
        result, *statistics = torch.native_batch_norm(
            active, weight, bias, rest.mean, rest.var, True, 1.0, BATCH_NORM_EPSILON
        )
        ctx.slope = rest.slope
        ctx.save_for_backward(x, weight, *statistics)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *statistics = ctx.saved_tensors
        active = F.leaky_relu(x, ctx.slope)
        of_active, *others = aten.native_batch_norm_backward(
            grad, active, weight, None, None, *statistics, True, BATCH_NORM_EPSILON, [True] * 3
        )
        of_x = aten.leaky_relu_backward.grad_input(of_active, x, ctx.slope, False, grad_input=of_active)
        return of_x, *others, None
