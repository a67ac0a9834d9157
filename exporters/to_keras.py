"""To Keras, on the backend that this process runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from modelstac.catalog.items import Step
from modelstac.catalog.storage import explained
from modelstac.exporters.architecture import take_apart
from modelstac.exporters.converters import EXPORTED, REBUILT, Conversion, no_options
from modelstac.exporters.layouts import CHANNELS_LAST, Sides, relaid
from modelstac.training.architectures import convlstm_keras
from modelstac.training.variant_keras import versions

if TYPE_CHECKING:
    from modelstac.registry.model import Model


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Save a Keras model that was made on another backend as one of this backend; of any architecture."""
    no_options(options, "Keras")
    sides = relaid(model.description, None, {})
    return _save(model, model.native, folder, sides, tool="keras.saving", method=EXPORTED)


def rebuild(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Build a ConvLSTM in Keras and give it the weights of the source; the file fixes frames, height and width.

    Raises
    ------
    ConversionError
        When the model is no ConvLSTM, or its weights are not those of the architecture that its item states.
    SpecError
        On an option.
    """
    no_options(options, "Keras")
    spec, weights = take_apart(model)
    network = convlstm_keras.build(spec)
    convlstm_keras.set_weights(network, weights)
    fixed = {"time": spec.frames, "height": spec.height, "width": spec.width}
    sides = relaid(model.description, CHANNELS_LAST, fixed)
    return _save(model, network, folder, sides, tool=convlstm_keras.__name__, method=REBUILT)


def _save(model: Model, network: keras.Model, folder: Path, sides: Sides, *, tool: str, method: str) -> Conversion:
    path = folder / "model.keras"
    with explained(f"write {path}"):
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
