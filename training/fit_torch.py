"""Fitting in native PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from modelstac.catalog.messages import Finished, Report, Started, ignore
from modelstac.training.fit import (
    ADADELTA_RHO,
    LOSS_EPSILON,
    OPTIMIZER_EPSILON,
    TASK,
    FitSpec,
    History,
    Recorder,
    batches,
)

if TYPE_CHECKING:
    from modelstac.training.data import Preparation, Windows


def fit_model(
    model: nn.Module, windows: Windows, preparation: Preparation, fit: FitSpec, *, report: Report = ignore
) -> History:
    """Fit ``model``, which maps (batch, time, 1, y, x) to the same shape, in place; it is left in inference mode.

    Parameters
    ----------
    model
        Starts from the weights that it has.
    windows, preparation
        The data in mm/h, and how they become values from 0 to 1.
    fit
        Epochs, loss, optimiser, seed.

    Raises
    ------
    TrainingError
        When the loss is not finite.
    """
    optimizer = _optimizer(model, fit)
    loss_of = _LOSSES[fit.loss]
    recorder = Recorder(windows, fit, report)
    model.train()
    report(Started(TASK, fit.epochs * fit.steps(len(windows))))
    for step, batch in enumerate(batches(windows, preparation, fit), start=1):
        _set_rate(optimizer, batch.learning_rate, step)
        inputs, targets, mask = (torch.from_numpy(a) for a in (batch.inputs, batch.targets, batch.mask))
        forecast = model(inputs.unsqueeze(2)).squeeze(2)
        loss = (loss_of(forecast, targets) * mask).sum() / mask.sum().clamp(min=1)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if fit.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), fit.clip_norm)
        recorder.record(batch, loss.item())  # before the step, so that a loss that is not finite spoils no weight
        optimizer.step()
    model.eval()
    report(Finished(TASK))
    return recorder.history()


def _optimizer(model: nn.Module, fit: FitSpec) -> torch.optim.Optimizer:
    if fit.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=fit.learning_rate, eps=OPTIMIZER_EPSILON)
    return torch.optim.Adadelta(model.parameters(), lr=fit.learning_rate, rho=ADADELTA_RHO, eps=OPTIMIZER_EPSILON)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float, step: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
        if isinstance(optimizer, torch.optim.Adam):
            # Keras adds epsilon before the second moment is corrected for its start from zero, PyTorch after (the
            # "epsilon hat" of Kingma and Ba 2015, section 2): in early steps that is up to thirty times as much.
            group["eps"] = OPTIMIZER_EPSILON / math.sqrt(1 - group["betas"][1] ** step)


def _cross_entropy(forecast: Tensor, target: Tensor) -> Tensor:
    # Not torch's own: that one raises on a forecast that is NaN, without saying where.
    forecast = forecast.clamp(LOSS_EPSILON, 1 - LOSS_EPSILON)
    return -(target * forecast.log() + (1 - target) * (-forecast).log1p())


def _squared_error(forecast: Tensor, target: Tensor) -> Tensor:
    return (forecast - target).square()


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"masked_bce": _cross_entropy, "masked_mse": _squared_error}
