"""To a TensorFlow SavedModel, by Keras' own archive of exports, in a process that runs Keras on TensorFlow.

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
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import named, take_apart
from modelstac.exporters.conversion import EXPORTED, REBUILT, Conversion, no_options
from modelstac.exporters.converters.interfaces.saved_model import tensors_of, write_keras
from modelstac.exporters.layouts import CHANNELS_LAST, fixed_sizes, measured, relaid
from modelstac.registry.inspecting.folders import pack
from modelstac.registry.running.signature import Signature

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.model import Model


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Export a Keras model of any architecture."""
    no_options(options, "saved-model")
    return _export(model.description, model.signature, model.native, folder, method=EXPORTED)


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
    inputs, outputs = relaid(model.description, CHANNELS_LAST, *fixed_sizes(spec))
    layout = model.description.model_copy(update={"inputs": inputs, "outputs": outputs})
    return _export(layout, Signature.of(layout), network, folder, method=REBUILT)


def _export(
    description: ModelDescription, signature: Signature, network: keras.Model, folder: Path, *, method: str
) -> Conversion:
    path, unpacked = folder / "model.savedmodel.zip", folder / "saved_model"
    write_keras(network, signature, unpacked, item_id=description.id)
    inputs, outputs = measured(description, *tensors_of(unpacked))
    with explained(f"write {path}"):
        pack(unpacked, path)
    step = Step(
        source_format=description.format,
        target_format="saved-model",
        tool="keras.export.ExportArchive",
        version=semver(keras.__version__),
        method=method,
    )
    return Conversion(
        artifact=path, framework_version=semver(tf.__version__), inputs=inputs, outputs=outputs, steps=(step,)
    )
