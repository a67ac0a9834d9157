"""What fitting has in common in every framework: the specification, the order of the data, the history.

The training loops are :mod:`modelstac.training.fit_torch` and :mod:`modelstac.training.fit_keras`. They see the same
batches in the same order and follow the same learning rate, so that differences between variants are the frameworks'.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import SpecError, TrainingError
from modelstac.catalog.messages import Advanced, Report

if TYPE_CHECKING:
    from modelstac.training.data import Preparation, Windows

Optimizer = Literal["adam", "adadelta"]
Loss = Literal["masked_bce", "masked_mse"]
Schedule = Literal["constant", "cosine"]

ADADELTA_RHO = 0.95
OPTIMIZER_EPSILON = 1e-7
"""Keras' default, for both optimisers; PyTorch's own differ."""

LOSS_EPSILON = 1e-7
"""Forecasts are cut to this distance from 0 and 1 before the logarithm, as Keras does."""

TASK = "train"


@dataclass(frozen=True)
class FitSpec:
    """How a model is fitted.

    Parameters
    ----------
    epochs, batch_size
        Passes over all windows, windows in a step.
    learning_rate, schedule
        Rate of the first step; ``cosine`` lowers it to zero over all steps (Loshchilov and Hutter 2017, no restarts).
    optimizer
        ``adam`` (Kingma and Ba 2015) or ``adadelta`` (Zeiler 2012, rho 0.95).
    loss
        Mean over the pixels that count of the cross-entropy or of the squared error, on values from 0 to 1. The minimum
        of both is the expected rain.
    clip_norm
        Largest Euclidean norm of all gradients together; None does not clip.
    seed
        Fixes initial weights and order of the windows.

    Raises
    ------
    SpecError
        When a field makes no sense.
    """

    epochs: int = 10
    batch_size: int = 2
    learning_rate: float = 0.005
    schedule: Schedule = "cosine"
    optimizer: Optimizer = "adam"
    loss: Loss = "masked_bce"
    clip_norm: float | None = 1.0
    seed: int = 42

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SpecError(f"{name} must be a whole number from {least} on, not {value!r}")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if name == "clip_norm" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise SpecError(f"{name} must be a number above 0, not {value!r}")
            object.__setattr__(self, name, float(value))
        for name, known in (("schedule", Schedule), ("optimizer", Optimizer), ("loss", Loss)):
            if getattr(self, name) not in get_args(known):
                raise SpecError(f"{name} must be one of {', '.join(get_args(known))}, not {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FitSpec:
        """Read what :meth:`to_dict` wrote; an unknown field is a SpecError."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SpecError(f"fitting has no field {unknown[0]!r}; known: {', '.join(known)}")
        return cls(**values)

    def steps(self, windows: int) -> int:
        """Count the steps in an epoch over so many windows; the last step may be smaller."""
        return math.ceil(windows / self.batch_size)

    def rate(self, step: int, total: int) -> float:
        """Learning rate of a step, counted from 0 over all epochs."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total))


@dataclass(frozen=True)
class Batch:
    """One step's data: (window, time, y, x) float32, values from 0 to 1, the mask 1 where a pixel counts."""

    epoch: int
    step: int
    learning_rate: float
    windows: NDArray[np.int64]
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    mask: NDArray[np.float32]


def batches(windows: Windows, preparation: Preparation, fit: FitSpec) -> Iterator[Batch]:
    """Give the batches of all epochs, each epoch in a seeded order of its own, the same for every framework."""
    rng = np.random.default_rng(fit.seed)
    steps = fit.steps(len(windows))
    for epoch in range(fit.epochs):
        order = rng.permutation(len(windows))
        for step in range(steps):
            index = order[step * fit.batch_size : (step + 1) * fit.batch_size]
            yield Batch(
                epoch=epoch + 1,
                step=step + 1,
                learning_rate=fit.rate(epoch * steps + step, fit.epochs * steps),
                windows=index,
                inputs=preparation.inputs_to_model(windows.inputs(index)),
                targets=preparation.to_model(windows.targets(index)),
                mask=windows.mask(index).astype(np.float32),
            )


@dataclass(frozen=True)
class Epoch:
    """One row of the history: the mean loss of the windows of an epoch, while the weights changed."""

    epoch: int
    steps: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class History:
    """What happened in training, epoch by epoch. It holds no times, so that the same training gives the same file."""

    epochs: tuple[Epoch, ...]

    @property
    def losses(self) -> tuple[float, ...]:
        """Mean loss of each epoch."""
        return tuple(epoch.loss for epoch in self.epochs)

    def to_csv(self) -> str:
        """Write a table with a header line."""
        text = io.StringIO()
        table = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(epoch) for epoch in self.epochs)
        return text.getvalue()

    def to_json(self) -> str:
        """Write a list of objects, one for each epoch."""
        return json.dumps([asdict(epoch) for epoch in self.epochs], indent=2) + "\n"


class Recorder:
    """Gathers the losses of the steps into a history, tells of them, and stops at a loss that is not finite."""

    def __init__(self, windows: Windows, fit: FitSpec, report: Report) -> None:
        self._windows = windows
        self._fit = fit
        self._report = report
        self._sums: list[tuple[float, int, int, float]] = []  # loss x windows, windows, steps, learning rate

    def record(self, batch: Batch, loss: float) -> None:
        """Take in the loss of a step.

        Raises
        ------
        TrainingError
            When the loss is not finite.
        """
        if not math.isfinite(loss):
            first = sorted(str(self._windows.times(int(i))[0].astype("datetime64[m]")) for i in batch.windows)
            raise TrainingError(
                f"the loss is {loss} in epoch {batch.epoch}, step {batch.step}, windows that begin at"
                f" {', '.join(first)}: lower the learning rate ({self._fit.learning_rate:g}), or clip the gradients"
            )
        if batch.epoch > len(self._sums):
            self._sums.append((0.0, 0, 0, 0.0))
        total, count, steps, _ = self._sums[-1]
        count += len(batch.windows)
        total += loss * len(batch.windows)
        self._sums[-1] = (total, count, steps + 1, batch.learning_rate)
        self._report(Advanced(TASK, note=f"epoch {batch.epoch}/{self._fit.epochs}, loss {total / count:.4f}"))

    def history(self) -> History:
        """Give the history so far."""
        return History(
            tuple(
                Epoch(number, steps, total / count, rate)
                for number, (total, count, steps, rate) in enumerate(self._sums, start=1)
            )
        )
