"""Networks in Keras (height, width, channels), measured in a process of their own: Keras has one backend in each."""

from __future__ import annotations

import json
import sys
from typing import Any

import keras
from keras import layers
from tests.registry.probing.networks import described, model_of

from modelstac.registry.probing.measure import measure
from modelstac.registry.runtimes.backends import without_tensorflow
from modelstac.registry.runtimes.keras import opened

IMAGE = ("batch", "height", "width", "channel")
FILM = ("batch", "time", "height", "width", "channel")


def twice(x: Any, filters: int = 4) -> Any:
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return x


def unet(poolings: int) -> keras.Model:
    image = x = keras.Input((None, None, 1), name="image")
    skipped = []
    for _ in range(poolings):
        skipped.append(x := twice(x))
        x = layers.MaxPooling2D()(x)
    x = twice(x)
    for skip in reversed(skipped):
        x = twice(layers.Concatenate()([skip, layers.UpSampling2D()(x)]))
    return keras.Model(image, layers.Conv2D(1, 1)(x))


def dilated() -> keras.Model:
    image = x = keras.Input((None, None, 1), name="image")
    for rate in (1, 2, 4):
        x = layers.Conv2D(3, 3, padding="same", dilation_rate=rate, activation="elu")(x)
    return keras.Model(image, layers.Conv2D(1, 1)(x))


def strided() -> keras.Model:
    image = keras.Input((None, None, 1), name="image")
    half = layers.Conv2D(3, 3, 2, padding="same", activation="relu")(image)
    return keras.Model(image, layers.Conv2D(1, 3, padding="same")(half))


def valid() -> keras.Model:
    image = keras.Input((None, None, 1), name="image")
    return keras.Model(image, layers.Conv2D(1, 3)(layers.Conv2D(3, 5, activation="relu")(image)))


def convlstm() -> keras.Model:
    frames = x = keras.Input((None, 24, 24, 1), name="frames")  # Keras leaves the time of a ConvLSTM open, not its grid
    for _ in range(2):
        x = layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x)
    return keras.Model(frames, layers.Conv3D(1, 1)(x))


NETWORKS = {
    "unet": lambda: unet(3),
    "dilated": dilated,
    "strided": strided,
    "valid": valid,
    "convlstm": convlstm,
}


def main(names: list[str]) -> None:
    """Print what is measured of some networks."""
    found = {}
    for name in names:
        with without_tensorflow():
            keras.utils.set_random_seed(4)
        network = NETWORKS[name]()
        [tensor] = network.inputs
        shape = tuple(-1 if size is None else size for size in tensor.shape)
        dims = FILM if len(shape) == len(FILM) else IMAGE
        model = model_of(described({tensor.name: (shape, dims)}, {"result": (shape, dims)}), opened(network))
        measured = measure(model)
        sizes = {axis: size.to_json() for axis, size in measured.sizes[tensor.name].items()}
        found[name] = {"sizes": sizes, "halo": (measured.halo or {}).get(tensor.name), "notes": measured.notes}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
