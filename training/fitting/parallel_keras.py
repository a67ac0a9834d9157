"""One fit by several devices in one process, with TensorFlow's MirroredStrategy: each device has a copy of the model.

Keras itself distributes on JAX only; on TensorFlow it leaves that to TensorFlow. Every device computes the loss of the
whole batch from sums over all of them, so that the weights are those of one device, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from modelstac.catalog.errors import CannotRunError
from modelstac.training.fitting.fit_keras import KerasLearner, given, masked_loss

if TYPE_CHECKING:
    from modelstac.training.data import Preparation
    from modelstac.training.fitting.batches import Batch
    from modelstac.training.fitting.checkpoints import State
    from modelstac.training.fitting.execution import Execution
    from modelstac.training.fitting.fit import FitSpec


def strategy_of(execution: Execution) -> Any:
    """Give the strategy that has the devices asked for: GPUs, or the CPU as so many.

    Raises
    ------
    CannotRunError
        When they are not there.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    kind = ("cuda" if gpus else "cpu") if execution.device == "auto" else execution.device
    if kind == "cpu":
        _part_the_cpu(execution.devices)
        return tf.distribute.MirroredStrategy([f"/cpu:{number}" for number in range(execution.devices)])
    execution.must_find(gpus, f"TensorFlow {tf.__version__}")
    return tf.distribute.MirroredStrategy([f"/gpu:{number}" for number in range(execution.devices)])


def _part_the_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = tf.config.get_logical_device_configuration(cpu) or [None]
    if len(parts) >= count:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        raise CannotRunError(
            f"the CPU cannot be shared as {count} devices any more: TensorFlow runs here already and sees {len(parts)};"
            " train in a process of its own, such as modelstac train"
        ) from None


class MirroredLearner(KerasLearner):
    """A Keras model with its optimiser on all devices of a strategy.

    Parameters
    ----------
    build
        Makes the model with the weights to start from.
    """

    def __init__(self, build: Callable[[], Any], fit: FitSpec, preparation: Preparation, strategy: Any) -> None:
        self._strategy, self._count = strategy, strategy.num_replicas_in_sync
        self._loss = masked_loss(fit, preparation, total=_total)
        with strategy.scope():
            model = build()
            for layer in model.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True  # the statistics of the whole batch
            super().__init__(model, fit, preparation, shares=self._count)
        # Compiled once for any size, as on one device.
        self._together = tf.function(lambda *parts: strategy.run(self._learn, args=parts), reduce_retracing=True)
        self._alone = tf.function(self._judge, reduce_retracing=True)

    def step(self, batch: Batch) -> float:
        """Learn from a batch."""
        with self._strategy.scope():
            self.model.optimizer.learning_rate = batch.learning_rate
        each = self._strategy.experimental_local_results(self._together(*map(self._shared, given(batch))))
        return float(each[0])

    def loss(self, batch: Batch) -> float:
        """Give the loss of a batch in inference mode."""
        return float(self._alone(*map(tf.convert_to_tensor, given(batch))))

    def restore(self, state: State) -> None:
        """Go back to what `state` gave, on every device."""
        with self._strategy.scope():
            super().restore(state)

    def _shared(self, values: Any) -> Any:
        # Too few for all: each device computes all of them, whose mean is that of one.
        count = self._count if len(values) >= self._count else 1
        parts = [np.ascontiguousarray(values[number % count :: count]) for number in range(self._count)]
        share = self._strategy.experimental_distribute_values_from_function
        return share(lambda place: tf.convert_to_tensor(parts[place.replica_id_in_sync_group]))

    def _learn(self, inputs: Any, asked: Any) -> Any:
        model = self.model
        with tf.GradientTape() as tape:
            loss = self._loss(asked, model(inputs, training=True))
        # On every device the gradient of a sum over all of them is as many times too large; of that, the mean.
        found = tape.gradient(loss, model.trainable_weights)
        found = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, found)
        # The optimiser adds up what the devices give it.
        model.optimizer.apply([one / self._count for one in found], model.trainable_weights)
        return loss

    def _judge(self, inputs: Any, asked: Any) -> Any:
        return self._loss(asked, self.model(inputs, training=False))


def _total(value: Any) -> Any:
    """Sum a tensor over all devices, with its gradient."""
    place = tf.distribute.get_replica_context()
    return value if place.num_replicas_in_sync == 1 else place.all_reduce(tf.distribute.ReduceOp.SUM, value)
