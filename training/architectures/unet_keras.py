"""The U-Net nowcaster in Keras 3, from its own layers only: plain Keras loads the file, with ``safe_mode``."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from modelstac.training.architectures import variables_keras
from modelstac.training.unet import UNetSpec, convolutions
from modelstac.training.weights import Weights


def build(spec: UNetSpec) -> Any:
    """Build the functional Keras model of a specification.

    Parameters
    ----------
    spec
        The architecture.

    Returns
    -------
    keras.Model
        Maps (batch, frames_in, height, width, 1) to (batch, frames_out, height, width, 1), values from 0 to 1 in both.
    """
    inputs = keras.Input((spec.frames_in, spec.height, spec.width, 1), name="frames")
    network = _Network(spec)
    x = network.coarsened(layers.Permute((2, 3, 4, 1))(inputs), spec.frames_in)
    last = layers.Cropping3D(((spec.frames_in - 1, 0), (0, 0), (0, 0)))(inputs)
    features, motion = network.looked_at(x)
    moved = network.moved(network.coarsened(last, 1), *motion)
    change = network.leaky("change_0", layers.Concatenate()([moved, features]))
    y = network.enlarged(layers.Add()([moved, network.convolved("change_1", change)]), spec.coarsen)
    y = layers.Permute((3, 1, 2))(network.damped(layers.ReLU(max_value=1.0)(y)))
    outputs = layers.Reshape((spec.frames_out, spec.height, spec.width, 1), name="forecast")(y)
    model = keras.Model(inputs, outputs, name="unet")
    network.fix()
    return model


class _Network:
    """The layers of a U-Net, while they are put together."""

    def __init__(self, spec: UNetSpec) -> None:
        self.spec = spec
        self.sizes = {name: (kernel, filters) for name, kernel, _, filters in convolutions(spec)}
        # No layer of Keras shifts an image or adds up its channels, but convolutions that are not trained do.
        padding = "same" if spec.inflow == "dry" else "valid"
        self.from_row = _untrained("from_row", spec.taps, (1, spec.taps), padding)
        self.from_column = _untrained("from_column", spec.taps, (spec.taps, 1), padding)
        self.total = _untrained("total", 1, (1, 1), padding)

    def coarsened(self, x: Any, channels: int) -> Any:
        x = layers.Reshape((self.spec.height, self.spec.width, channels))(x)
        return layers.AveragePooling2D(self.spec.coarsen)(x) if self.spec.coarsen > 1 else x

    def enlarged(self, x: Any, times: int) -> Any:
        return layers.UpSampling2D(times, interpolation="bilinear")(x) if times > 1 else x

    def damped(self, y: Any) -> Any:
        if self.spec.damping is None:
            return y
        knee, share = self.spec.damping
        below = layers.LeakyReLU(negative_slope=share)(layers.Rescaling(-1.0, offset=knee)(y))
        return layers.Rescaling(-1.0, offset=knee)(below)

    def looked_at(self, x: Any) -> tuple[Any, tuple[Any, Any]]:
        """Give the features of the finest level, and the shares of its row and column that each block comes from."""
        levels = len(self.spec.filters)
        skipped = []
        for level in range(levels):
            x = self._pair(layers.MaxPooling2D()(x) if level else x, f"down_{level}")
            skipped.append(x)
        motion_from = x
        for level in reversed(range(levels - 1)):
            x = layers.Concatenate()([layers.UpSampling2D()(x), skipped[level]])
            x = self._pair(x, f"up_{level}")
            if level == 1:
                motion_from = x
        shares = (layers.Softmax()(self.convolved(f"motion_{axis}", motion_from)) for axis in "xy")
        along_x, along_y = (self.enlarged(share, 2) for share in shares)
        return x, (along_x, along_y)

    def moved(self, last: Any, along_x: Any, along_y: Any) -> Any:
        """Move one frame by the same motion once for each time step."""
        steps = []
        for _ in range(self.spec.frames_out):
            last = self.total(layers.Multiply()([self.from_row(self._widened(last, 2)), along_x]))
            last = self.total(layers.Multiply()([self.from_column(self._widened(last, 1)), along_y]))
            steps.append(last)
        return layers.Concatenate()(steps) if len(steps) > 1 else last

    def _widened(self, x: Any, axis: int) -> Any:
        """Add the rain at the edges, where it moves in, at both ends of an axis."""
        if self.spec.inflow == "dry":
            return x  # the convolution pads with zeros
        rest = x.shape[axis] - 1
        first, last = (
            layers.Cropping2D((cut, (0, 0)) if axis == 1 else ((0, 0), cut))(x) for cut in ((0, rest), (rest, 0))
        )
        reach = self.spec.reach
        return layers.Concatenate(axis=axis)([first] * reach + [x] + [last] * reach)

    def fix(self) -> None:
        """Fill in the kernels that are not trained, once the layers are built."""
        taps = self.spec.taps
        picked = np.eye(taps, dtype=np.float32)
        self.from_row.set_weights([picked.reshape(1, taps, 1, taps)])
        self.from_column.set_weights([picked.reshape(taps, 1, 1, taps)])
        self.total.set_weights([np.ones((1, 1, taps, 1), np.float32)])

    def convolved(self, name: str, x: Any) -> Any:
        kernel, filters = self.sizes[name]
        return layers.Conv2D(filters, kernel, padding="same", name=name)(x)

    def leaky(self, name: str, x: Any) -> Any:
        return layers.LeakyReLU(negative_slope=self.spec.leaky_slope)(self.convolved(name, x))

    def _pair(self, x: Any, name: str) -> Any:
        return self.leaky(f"{name}_1", self.leaky(f"{name}_0", x))


def _untrained(name: str, filters: int, kernel: tuple[int, int], padding: str) -> Any:
    return layers.Conv2D(filters, kernel, padding=padding, use_bias=False, trainable=False, name=name)


def get_weights(model: Any) -> Weights:
    """Give the weights of ``model`` in the form of :mod:`modelstac.training.unet`."""
    return variables_keras.read(_variables(model))


def set_weights(model: Any, weights: Weights) -> None:
    """Set the weights of ``model``, in place.

    Raises
    ------
    SpecError
        When ``weights`` have other names or shapes than those of ``model``.
    """
    variables_keras.write(_variables(model), weights)


def _variables(model: Any) -> dict[str, Any]:
    trained = [layer for layer in model.layers if isinstance(layer, layers.Conv2D) and layer.use_bias]
    return {f"{layer.name}/{part}": getattr(layer, part) for layer in trained for part in ("kernel", "bias")}
