"""Fitting in Keras, on whatever backend runs: what `modelstac.training.fitting.loop` asks of a framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from modelstac.catalog.messages import Report, ignore
from modelstac.training.fitting.batches import Batch
from modelstac.training.fitting.checkpoints import NO_CHECKPOINTS, Checkpoints, State
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


def fit_model(
    model: Any,
    windows: Windows,
    preparation: Preparation,
    fit: FitSpec,
    *,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    report: Report = ignore,
) -> History:
    """Fit ``model``, which maps (batch, time, y, x, 1) to the same shape, in place.

    Parameters
    ----------
    model
        A Keras model; starts from the weights that it has. For ``bfloat16`` it was built under that policy.
    windows, preparation, fit, checkpoints
        See `modelstac.training.fitting.loop.fit_learner`, also for the errors.
    """
    learner = KerasLearner(model, fit, preparation)
    return fit_learner(learner, windows, preparation, fit, checkpoints=checkpoints, report=report)


class KerasLearner:
    """A Keras model, compiled with its optimiser."""

    def __init__(self, model: Any, fit: FitSpec, preparation: Preparation, *, shares: int = 1) -> None:
        self.model = model
        # Compilation by XLA costs more than it saves in a short training.
        model.compile(optimizer=_optimizer(fit, shares), loss=masked_loss(fit, preparation), jit_compile=False)
        model.optimizer.build(model.trainable_variables)
        self._train: Callable[..., Any] = model.train_on_batch
        self._test: Callable[..., Any] = model.test_on_batch
        if keras.config.backend() == "tensorflow":
            self._train, self._test = (_any_batch_size(model, step) for step in (model.train_step, model.test_step))

    def step(self, batch: Batch) -> float:
        """Learn from a batch."""
        self.model.optimizer.learning_rate = batch.learning_rate
        return float(self._train(*given(batch)))

    def loss(self, batch: Batch) -> float:
        """Give the loss of a batch in inference mode."""
        return float(self._test(*given(batch)))

    def state(self) -> State:
        """Give weights, moving statistics and random state of the model, and the variables of the optimiser."""
        return {name: np.array(ops.convert_to_numpy(variable)) for name, variable in self._variables().items()}

    def restore(self, state: State) -> None:
        """Go back to what `state` gave."""
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def _variables(self) -> dict[str, Any]:
        owners = {"model": self.model, "optimizer": self.model.optimizer}
        return {f"{owner}/{index}": one for owner, whole in owners.items() for index, one in enumerate(whole.variables)}


def _any_batch_size(model: Any, step: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a step once for batches of any size.

    What Keras compiles by itself depends on the sizes seen before, and with it the last bit of the results: a run that
    goes on from a checkpoint would end with other weights.
    """
    import tensorflow as tf

    given, asked = model.input_shape[1:], (*model.output_shape[1:-1], 2)
    pair = (tf.TensorSpec((None, *given), tf.float32), tf.TensorSpec((None, *asked), tf.float32))
    compiled = tf.function(lambda *given: step(given), input_signature=pair)

    def loss(*given: Any) -> Any:
        model.reset_metrics()
        return compiled(*given)["loss"]

    return loss


def given(batch: Batch) -> tuple[Any, Any]:
    """Give the input, and target and mask as two channels: Keras' sample weights would serve a mean only."""
    return batch.inputs[..., None], np.stack([batch.targets, batch.mask], axis=-1)


def _optimizer(fit: FitSpec, shares: int) -> Any:
    """Make the optimiser; where it adds up gradients of several shares, each gradient is its part of the whole."""
    common = {
        "learning_rate": fit.learning_rate,
        "epsilon": OPTIMIZER_EPSILON,
        "global_clipnorm": fit.clip_norm and fit.clip_norm / shares,
        "gradient_accumulation_steps": fit.accumulate if fit.accumulate > 1 else None,
    }
    if fit.optimizer == "adam":
        return keras.optimizers.Adam(**common)
    return keras.optimizers.Adadelta(rho=ADADELTA_RHO, **common)


def masked_loss(fit: FitSpec, preparation: Preparation, *, total: Callable[[Any], Any] = lambda value: value) -> Any:
    """Give the loss of (target and mask, forecast); ``total`` sums over all devices that share a batch."""
    each = _squared_error if "mse" in fit.loss else _cross_entropy
    rates = preparation.to_model(CSI_RATES)

    def loss(given: Any, forecast: Any) -> Any:
        target, mask, forecast = given[..., 0], given[..., 1], ops.cast(forecast[..., 0], "float32")
        mean = total(ops.sum(each(forecast, target) * mask)) / ops.maximum(total(ops.sum(mask)), 1.0)
        if weight := CSI_WEIGHTS.get(fit.loss):
            hits, events = map(total, _hits_and_events(forecast, target, mask, rates))
            mean += weight * (1 - ops.mean((hits + LOSS_EPSILON) / (events + LOSS_EPSILON)))
        return mean

    return loss


def _cross_entropy(forecast: Any, target: Any) -> Any:
    forecast = ops.clip(forecast, LOSS_EPSILON, 1 - LOSS_EPSILON)
    return -(target * ops.log(forecast) + (1 - target) * ops.log1p(-forecast))


def _squared_error(forecast: Any, target: Any) -> Any:
    return ops.square(forecast - target)


def _hits_and_events(forecast: Any, target: Any, mask: Any, rates: Any) -> tuple[Any, Any]:
    """Count, softly, hits, and hits, misses and false alarms together, for each rate and lead time."""
    rates = ops.convert_to_tensor(rates)[:, None, None, None, None]
    ours = ops.sigmoid((forecast - rates) / CSI_WIDTH) * mask
    seen = ops.cast(target >= rates, "float32") * mask
    return ops.sum(ours * seen, axis=(1, 3, 4)), ops.sum(ours + seen - ours * seen, axis=(1, 3, 4))
