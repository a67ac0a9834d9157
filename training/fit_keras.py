"""Fitting in Keras, on whatever backend runs. The loop is ours, so that every framework sees the same batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from modelstac.catalog.messages import Finished, Report, Started, ignore
from modelstac.training.fit import ADADELTA_RHO, OPTIMIZER_EPSILON, TASK, FitSpec, History, Recorder, batches

if TYPE_CHECKING:
    from modelstac.training.data import Preparation, Windows


def fit_model(
    model: Any, windows: Windows, preparation: Preparation, fit: FitSpec, *, report: Report = ignore
) -> History:
    """Fit ``model``, which maps (batch, time, y, x, 1) to the same shape, in place.

    Parameters
    ----------
    model
        A Keras model; starts from the weights that it has.
    windows, preparation
        The data in mm/h, and how they become values from 0 to 1.
    fit
        Epochs, loss, optimiser, seed.

    Raises
    ------
    TrainingError
        When the loss is not finite.
    """
    # Compilation by XLA costs more than it saves in a short training.
    model.compile(optimizer=_optimizer(fit), loss=_loss(fit), jit_compile=False)
    recorder = Recorder(windows, fit, report)
    report(Started(TASK, fit.epochs * fit.steps(len(windows))))
    for batch in batches(windows, preparation, fit):
        model.optimizer.learning_rate = batch.learning_rate
        inputs, targets = batch.inputs[..., None], batch.targets[..., None]
        loss = model.train_on_batch(inputs, targets, sample_weight=batch.mask)
        recorder.record(batch, float(loss))
    report(Finished(TASK))
    return recorder.history()


def _optimizer(fit: FitSpec) -> Any:
    common = {"learning_rate": fit.learning_rate, "epsilon": OPTIMIZER_EPSILON, "global_clipnorm": fit.clip_norm}
    if fit.optimizer == "adam":
        return keras.optimizers.Adam(**common)
    return keras.optimizers.Adadelta(rho=ADADELTA_RHO, **common)


def _loss(fit: FitSpec) -> Any:
    # The sample weights are the mask, and this reduction divides by their sum: the mean over the pixels that count.
    losses = {"masked_bce": keras.losses.BinaryCrossentropy, "masked_mse": keras.losses.MeanSquaredError}
    return losses[fit.loss](reduction="mean_with_sample_weight")
