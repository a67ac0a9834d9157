"""To Keras, on the backend that this process runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.items.description import Step
from modelstac.exporters.architecture import named, take_apart
from modelstac.exporters.conversion import EXPORTED, REBUILT, Conversion, no_options
from modelstac.exporters.layouts import CHANNELS_LAST, Sides, fixed_sizes, relaid
from modelstac.registry.runtimes.backends import without_tensorflow
from modelstac.training.variants.keras import versions

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Save a Keras model that was made on another backend as one of this backend; of any architecture."""
    no_options(options, "Keras")
    sides = relaid(model.description, None, {})
    return _save(model, model.native, folder, sides, tool="keras.saving", method=EXPORTED)


def rebuild(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Build the network in Keras and give it the weights of the source; the file fixes frames, height and width.

    Raises
    ------
    ConversionError
        When the model is none of our architectures, or its weights are not those that its item states.
    SpecError
        On an option.
    """
    no_options(options, "Keras")
    spec, weights = take_apart(model)
    adapter = named(model.description).module("keras")
    network = adapter.build(spec)
    adapter.set_weights(network, weights)
    sides = relaid(model.description, CHANNELS_LAST, *fixed_sizes(spec))
    return _save(model, network, folder, sides, tool=adapter.__name__, method=REBUILT)


def _save(model: Model, network: keras.Model, folder: Path, sides: Sides, *, tool: str, method: str) -> Conversion:
    path = folder / "model.keras"
    with explained(f"write {path}"), without_tensorflow():
        network.save(path)
    known = versions()
    step = Step(
        source_format=model.description.format,
        target_format="keras",
        tool=tool,
        version=known["framework_version"],
        method=method,
    )
    return Conversion(artifact=path, inputs=sides[0], outputs=sides[1], steps=(step,), **known)
