"""What happened in training, epoch by epoch."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import TrainingError
from modelstac.catalog.messages import Advanced, Measured, Report

if TYPE_CHECKING:
    from modelstac.training.data import Windows
    from modelstac.training.fitting.batches import Batch
    from modelstac.training.fitting.fit import FitSpec

TASK = "train"


@dataclass(frozen=True)
class Epoch:
    """One row of the history: the mean loss of the windows of an epoch, while the weights changed.

    Parameters
    ----------
    validation_loss
        Mean loss of the validation windows after the epoch, None where there are none.
    """

    epoch: int
    steps: int
    loss: float
    learning_rate: float
    validation_loss: float | None = None


@dataclass(frozen=True)
class History:
    """All epochs. It holds no times, so that the same training gives the same file."""

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
    """Gathers the losses of the steps into a history, tells of them, and stops at a loss that is not finite.

    Parameters
    ----------
    windows, fit
        What is fitted, and how.
    report
        Gets the loss of every step.
    rows
        What a recorder before gave as `rows`, to go on from there.
    """

    def __init__(self, windows: Windows, fit: FitSpec, report: Report, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self._windows = windows
        self._fit = fit
        self._report = report
        self._epochs = [Epoch(**row["epoch"]) for row in rows]
        self._counts = [int(row["windows"]) for row in rows]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All that is known so far as JSON types, for a checkpoint."""
        return [
            {"epoch": asdict(epoch), "windows": count} for epoch, count in zip(self._epochs, self._counts, strict=True)
        ]

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
        if batch.epoch > len(self._epochs):
            self._epochs.append(Epoch(batch.epoch, 0, 0.0, 0.0))
            self._counts.append(0)
        epoch, count, added = self._epochs[-1], self._counts[-1], len(batch.windows)
        mean = (epoch.loss * count + loss * added) / (count + added)
        self._epochs[-1] = replace(epoch, steps=epoch.steps + 1, loss=mean, learning_rate=batch.learning_rate)
        self._counts[-1] = count + added
        self._report(Advanced(TASK, note=f"epoch {batch.epoch}/{self._fit.epochs}, loss {mean:.4f}"))
        self._report(Measured(TASK, batch.number, {"loss": loss, "learning_rate": batch.learning_rate}))

    def validated(self, number: int, loss: float) -> None:
        """Take in the loss of the validation windows after step ``number``, the last one of an epoch."""
        self._epochs[-1] = replace(self._epochs[-1], validation_loss=loss)
        self._report(Measured(TASK, number, {"validation_loss": loss}))

    def history(self) -> History:
        """Give the history so far."""
        return History(tuple(self._epochs))
