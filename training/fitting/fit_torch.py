"""Fitting in native PyTorch: what `modelstac.training.fitting.loop` asks of a framework."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from modelstac.catalog.messages import Report, ignore
from modelstac.training.architectures.convlstm_torch import ConvLSTM
from modelstac.training.architectures.processes_torch import processes, total
from modelstac.training.fitting.batches import WHOLE, Batch, Share
from modelstac.training.fitting.checkpoints import NO_CHECKPOINTS, Checkpoints, State
from modelstac.training.fitting.devices_torch import find_device
from modelstac.training.fitting.execution import Execution
from modelstac.training.fitting.fit import (
    ADADELTA_RHO,
    CSI_RATES,
    CSI_WEIGHTS,
    CSI_WIDTH,
    LOSS_EPSILON,
    OPTIMIZER_EPSILON,
    FitSpec,
)
from modelstac.training.fitting.history import History
from modelstac.training.fitting.loop import fit_learner

if TYPE_CHECKING:
    from modelstac.training.data import Preparation, Windows

_RANDOM = "random"

ON_THE_CPU = Execution(device="cpu")


def fit_model(
    model: nn.Module,
    windows: Windows,
    preparation: Preparation,
    fit: FitSpec,
    *,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    execution: Execution = ON_THE_CPU,
    share: Share = WHOLE,
    report: Report = ignore,
) -> History:
    """Fit ``model``, which maps (batch, time, 1, y, x) to the same shape, in place; it is left in inference mode.

    Parameters
    ----------
    model
        Starts from the weights that it has.
    windows, preparation, fit, checkpoints, share
        See `modelstac.training.fitting.loop.fit_learner`, also for the errors.
    execution
        Where and how.
    """
    learner = TorchLearner(model, fit, preparation, execution)
    history = fit_learner(learner, windows, preparation, fit, checkpoints=checkpoints, report=report, share=share)
    model.eval()
    return history


class TorchLearner:
    """A module and its optimiser, alone or as one of the processes that share each batch."""

    def __init__(
        self, model: nn.Module, fit: FitSpec, preparation: Preparation, execution: Execution = ON_THE_CPU
    ) -> None:
        self._device = find_device(execution, dist.get_rank() if processes() > 1 else 0)
        self._model = model.to(self._device)
        if execution.low_memory and isinstance(model, ConvLSTM):
            model.recompute()
        run: nn.Module = nn.parallel.DistributedDataParallel(model) if processes() > 1 else model
        self._run: Callable[[Tensor], Tensor] = torch.compile(run) if execution.compile else run
        self._fit = fit
        self._rates = torch.from_numpy(preparation.to_model(CSI_RATES)).to(self._device)
        self._optimizer: torch.optim.Optimizer
        if fit.optimizer == "adam":
            self._optimizer = torch.optim.Adam(model.parameters(), lr=fit.learning_rate, eps=OPTIMIZER_EPSILON)
        else:
            self._optimizer = torch.optim.Adadelta(
                model.parameters(), lr=fit.learning_rate, rho=ADADELTA_RHO, eps=OPTIMIZER_EPSILON
            )

    def step(self, batch: Batch) -> float:
        """Learn from a batch; a loss that is not finite changes nothing."""
        self._model.train()
        loss = self._loss(batch)
        value = loss.item()
        if not math.isfinite(value):
            return value
        updates, rest = divmod(batch.number, self._fit.accumulate)
        torch.autograd.backward(loss / self._fit.accumulate)
        if rest == 0:
            if self._fit.clip_norm is not None:
                nn.utils.clip_grad_norm_(self._model.parameters(), self._fit.clip_norm)
            _set_rate(self._optimizer, batch.learning_rate, updates)
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
        return value

    def loss(self, batch: Batch) -> float:
        """Give the loss of a batch in inference mode."""
        self._model.eval()
        with torch.inference_mode():
            return self._loss(batch).item()

    def state(self) -> State:
        """Give weights, the optimiser's moments and the random state."""
        found = {f"model/{name}": value for name, value in self._model.state_dict().items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            found |= {f"optimizer/{number}/{name}": value for name, value in moments.items()}
        found[_RANDOM] = torch.get_rng_state()
        return {name: value.detach().cpu().numpy().copy() for name, value in found.items()}

    def restore(self, state: State) -> None:
        """Go back to what `state` gave."""
        given = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
        self._model.load_state_dict(_below("model/", given))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer/", given).items():
            number, moment = name.split("/")
            moments.setdefault(int(number), {})[moment] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})
        torch.set_rng_state(given[_RANDOM])

    def _loss(self, batch: Batch) -> Tensor:
        arrays = (batch.inputs, batch.targets, batch.mask)
        inputs, targets, mask = (torch.from_numpy(array).to(self._device) for array in arrays)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._fit.precision == "bfloat16"):
            forecast = self._run(inputs.unsqueeze(2)).squeeze(2)
        forecast = forecast.float()
        each = _squared_error if "mse" in self._fit.loss else _cross_entropy
        loss = total((each(forecast, targets) * mask).sum()) / total(mask.sum()).clamp(min=1)
        if weight := CSI_WEIGHTS.get(self._fit.loss):
            loss = loss + weight * _lacking_csi(forecast, targets, mask, self._rates)
        return loss


def _below(prefix: str, values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


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


def _lacking_csi(forecast: Tensor, target: Tensor, mask: Tensor, rates: Tensor) -> Tensor:
    """Give 1 - hits / (hits + misses + false alarms), softly counted, as the mean over lead times and rates."""
    rates = rates[:, None, None, None, None]
    ours = torch.sigmoid((forecast - rates) / CSI_WIDTH) * mask
    seen = (target >= rates) * mask
    hits = total((ours * seen).sum(dim=(1, 3, 4)))
    events = total((ours + seen - ours * seen).sum(dim=(1, 3, 4)))
    return 1 - ((hits + LOSS_EPSILON) / (events + LOSS_EPSILON)).mean()
