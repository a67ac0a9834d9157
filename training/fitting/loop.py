"""Runs a fit, the same way in every framework: the data and their order, validation, checkpoints, the history.

What a framework does with a batch is a `Learner`. All of them see the same batches in the same order and follow the
same learning rate, so that differences between variants are the frameworks'.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.training.data.augmentation import Augmented
from modelstac.training.fitting.batches import WHOLE, Batch, Share, batches, one_batch
from modelstac.training.fitting.checkpoints import NO_CHECKPOINTS, Checkpoint, Checkpoints, State
from modelstac.training.fitting.history import TASK, History, Recorder

if TYPE_CHECKING:
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fitting.fit import FitSpec

WAITED = 0.05
"""Share of the time waiting for data from which on something should be done."""

NOTEWORTHY = 30.0
"""Seconds of training from which on a person is told that share."""


class Learner(Protocol):
    """A model with its optimiser, in some framework."""

    def step(self, batch: Batch) -> float:
        """Learn from a batch; give its loss. A loss that is not finite changes no weight where that can be had."""

    def loss(self, batch: Batch) -> float:
        """Give the loss of a batch in inference mode, learning nothing."""

    def state(self) -> State:
        """Give all that learning depends on: weights, optimiser, random state."""

    def restore(self, state: State) -> None:
        """Go back to what `state` gave."""


def fit_learner(
    learner: Learner,
    windows: Windows,
    preparation: Preparation,
    fit: FitSpec,
    *,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    report: Report = ignore,
    share: Share = WHOLE,
) -> History:
    """Fit ``learner`` in place, from its own weights or from where the last checkpoint stands.

    Parameters
    ----------
    learner
        What learns.
    windows, preparation
        The data in mm/h, and how they become values from 0 to 1.
    fit
        Epochs, loss, optimiser, seed.
    checkpoints
        Where the run leaves what it needs to go on after it was killed.
    share
        What this process has of each batch; every process goes through all of them.

    Raises
    ------
    TrainingError
        When the loss is not finite; the last checkpoint stays.
    DataError
        When there are too few windows for validation, or one has no pixel that counts.
    SpecError
        When the checkpoint that is there belongs to another run.
    """
    training, validation = validation_split(windows, fit.validation)
    if fit.augmentation:
        flips, rotations, lighter = (way in fit.augmentation for way in ("flips", "rotations", "lighter"))
        training = cast("Windows", Augmented(training, flips, rotations, lighter))
    run = _Run(learner, training, validation, preparation, fit, checkpoints, report, share)
    return run.to_the_end()


def validation_split(windows: Windows, share: float) -> tuple[Windows, Windows]:
    """Part windows into those to learn from and the last ``share`` of them; the parts have no frame in common.

    Raises
    ------
    DataError
        When nothing is left to learn from.
    """
    count = math.ceil(share * len(windows))
    first, last = windows.starts[: len(windows) - count], windows.starts[len(windows) - count :]
    if count:
        first = first[first + windows.frames_in + windows.frames_out <= last[0]]
    if not len(first):
        raise DataError(
            f"a validation share of {share:g} of {len(windows)} windows leaves none to learn from that shares no frame"
            " with them: lower it, or add frames"
        )
    return dataclasses.replace(windows, starts=first), dataclasses.replace(windows, starts=last)


@dataclass
class _Run:
    """One fit from its beginning, or from a checkpoint, to its end."""

    learner: Learner
    training: Windows
    validation: Windows
    preparation: Preparation
    fit: FitSpec
    checkpoints: Checkpoints
    report: Report
    share: Share = WHOLE
    done: int = 0
    best: tuple[float, int, State] | None = None  # loss, epoch, and the weights of the best epoch

    def __post_init__(self) -> None:
        rows = []
        if (found := self.checkpoints.load()) is not None:
            self.learner.restore(found.state)
            self.done, rows, self.best = found.step, found.history, found.best
            self.report(Note(f"going on after step {found.step}, from {self.checkpoints.path}"))
        self.recorder = Recorder(self.training, self.fit, self.report, rows)

    def to_the_end(self) -> History:
        fit, per_epoch = self.fit, self.fit.steps(len(self.training))
        self.report(Started(TASK, fit.epochs * per_epoch))
        self.report(Advanced(TASK, self.done))
        began, waited = time.perf_counter(), 0.0
        source = _ahead(batches(self.training, self.preparation, fit, done=self.done, share=self.share))
        while not self._is_enough():
            asked = time.perf_counter()
            batch = next(source, None)
            waited += time.perf_counter() - asked
            if batch is None:
                break
            self.recorder.record(batch, self.learner.step(batch))
            self.done = batch.number
            if batch.step == per_epoch:
                self._validate(batch)
            if batch.number % fit.accumulate == 0:
                self.checkpoints.save_when_due(self._checkpoint)
        source.close()
        if fit.patience is not None and self.best is not None:
            self.learner.restore(self.best[2])
        self.report(Finished(TASK))
        if (took := time.perf_counter() - began) > NOTEWORTHY:
            share = waited / took
            advice = ": prepare them into a store once" if share > WAITED else ""
            self.report(Note(f"training took {took:.0f} s and waited for data {share:.1%} of them{advice}"))
        return self.recorder.history()

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self.done, self.learner.state(), self.recorder.rows, self.best)

    def _is_enough(self) -> bool:
        if self.fit.patience is None or self.best is None:
            return False
        epoch, rest = divmod(self.done, self.fit.steps(len(self.training)))
        return rest == 0 and epoch - self.best[1] >= self.fit.patience

    def _validate(self, batch: Batch) -> None:
        if not len(self.validation):
            return
        total = 0.0
        for first in range(0, len(self.validation), self.fit.batch_size):
            index = np.arange(first, min(first + self.fit.batch_size, len(self.validation)))
            part = one_batch(
                self.validation, self.preparation, index, number=0, epoch=0, step=0, rate=0.0, share=self.share
            )
            total += self.learner.loss(part) * len(index)
        loss = total / len(self.validation)
        self.recorder.validated(batch.number, loss)
        if self.fit.patience is not None and (self.best is None or loss < self.best[0]):
            self.best = loss, batch.epoch, self.learner.state()


def _ahead(source: Iterator[Batch]) -> Generator[Batch]:
    """Read the next batch while the framework works on this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as reader:
        coming = reader.submit(next, source, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, source, None)
            yield batch
