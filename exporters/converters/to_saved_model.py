"""To a TensorFlow SavedModel, by Keras' own exporter, in a process that runs Keras on TensorFlow.

Keras on PyTorch cannot write one (``export(format="tf_saved_model")`` fails on dynamic shapes), and need not: its
``.keras`` file is read by Keras on TensorFlow, and the weights of other formats are put into a Keras model first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import named, take_apart
from modelstac.exporters.conversion import EXPORTED, REBUILT, Conversion, no_options
from modelstac.exporters.layouts import CHANNELS_LAST, Sides, fixed_sizes, relaid
from modelstac.registry.inspecting.folders import pack

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Export a Keras model of any architecture."""
    no_options(options, "saved-model")
    return _export(model, model.native, folder, relaid(model.description, None, {}), method=EXPORTED)


def rebuild(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Build the network in Keras, give it the weights of the source and export it.

    Raises
    ------
    ConversionError
        When the model is none of our architectures, or its weights are not those that its item states.
    SpecError
        On an option.
    """
    no_options(options, "saved-model")
    spec, weights = take_apart(model)
    adapter = named(model.description).module("keras")
    network = adapter.build(spec)
    adapter.set_weights(network, weights)
    sides = relaid(model.description, CHANNELS_LAST, *fixed_sizes(spec))
    return _export(model, network, folder, sides, method=REBUILT)


def _export(model: Model, network: keras.Model, folder: Path, sides: Sides, *, method: str) -> Conversion:
    path, unpacked = folder / "model.savedmodel.zip", folder / "saved_model"
    with explained(f"write {unpacked}"):
        try:
            network.export(unpacked, format="tf_saved_model", verbose=False)
        except OSError:
            raise
        except Exception as error:  # Keras passes on what TensorFlow raises while it traces; it names the layer
            reason = " ".join(str(error).split())[:300]
            raise ConversionError(f"Keras cannot export {model.description.id!r}: {reason}") from error
        pack(unpacked, path)
    step = Step(
        source_format=model.description.format,
        target_format="saved-model",
        tool="keras.Model.export",
        version=semver(keras.__version__),
        method=method,
    )
    return Conversion(
        artifact=path, framework_version=semver(tf.__version__), inputs=sides[0], outputs=sides[1], steps=(step,)
    )
