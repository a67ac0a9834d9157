"""A model taken apart: specification and weights, from whichever format holds it.

This is how a target is reached where no public converter leads: the network is built anew from these two, exactly.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from modelstac.catalog.errors import ConversionError, SpecError
from modelstac.catalog.items.description import ModelDescription
from modelstac.registry.choosing.candidates import model_asset
from modelstac.registry.files.fetch import Artifact, fetch
from modelstac.registry.running.model import Model
from modelstac.registry.trust.policy import DEFAULT_POLICY
from modelstac.training.architecture import ARCHITECTURES, Architecture, Spec
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import Weights, check_weights

CONVLSTM = "ConvLSTM"


def artifact_of(model: Model) -> Artifact:
    """Give the verified bytes of a loaded model."""
    key, _ = model_asset(model.item)
    return fetch(model.item, key, max_bytes=DEFAULT_POLICY.max_bytes)


def take_apart(model: Model) -> tuple[Spec, Weights]:
    """Give specification and weights of a loaded model of one of our architectures.

    Raises
    ------
    ConversionError
        When it is another architecture, its format gives no weights, or they are not those of the specification.
    """
    form = model.description.format
    if form not in READERS:
        raise ConversionError(
            f"a {form} file does not give its weights back: convert the source of {model.description.id!r} instead"
        )
    spec, weights = READERS[form](model)
    try:
        check_weights(named(model.description).shapes(spec), weights)
    except SpecError as error:
        raise ConversionError(
            f"item {model.description.id!r} is not the {model.description.architecture} that it claims: {error}"
        ) from error
    return spec, weights


def take_apart_convlstm(model: Model) -> tuple[ConvLSTMSpec, Weights]:
    """Do the same for a target that is written by hand for this one architecture.

    Raises
    ------
    ConversionError
        As `take_apart`, and when it is another one.
    """
    spec, weights = take_apart(model)
    if not isinstance(spec, ConvLSTMSpec):
        raise ConversionError(f"item {model.description.id!r} is a {model.description.architecture}, no {CONVLSTM}")
    return spec, weights


def named(description: ModelDescription) -> Architecture:
    """Give the architecture that an item names.

    Raises
    ------
    ConversionError
        When it is none of ours.
    """
    if description.architecture not in ARCHITECTURES:
        raise ConversionError(
            f"item {description.id!r} is a {description.architecture}: only a {' or a '.join(ARCHITECTURES)} can be"
            " built anew from its architecture and weights"
        )
    return ARCHITECTURES[description.architecture]


def read_spec(description: ModelDescription) -> Spec:
    """Read the architecture from the item.

    Raises
    ------
    ConversionError
        When it is another architecture, or not stated.
    """
    architecture = named(description)
    try:
        return architecture.spec.from_dict(description.hyperparameters["architecture"])
    except (KeyError, SpecError) as error:
        reason = "states none" if isinstance(error, KeyError) else str(error)
        raise ConversionError(
            f"item {description.id!r} needs its architecture in mlm:hyperparameters: {reason}"
        ) from error


def _from_keras(model: Model) -> tuple[Spec, Weights]:
    adapter = named(model.description).module("keras")
    return read_spec(model.description), adapter.get_weights(model.native)


def _from_torch(model: Model) -> tuple[Spec, Weights]:
    adapter = named(model.description).module("torch")
    return read_spec(model.description), adapter.get_weights(model.native)


def _from_torch_export(model: Model) -> tuple[Spec, Weights]:
    """Read the tensors of an exported program, which keep the names of the module that was traced."""
    adapter = named(model.description).module("torch")
    spec = read_spec(model.description)
    module = adapter.build(spec)
    try:
        module.load_state_dict(model.native.state_dict, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ConversionError(
            f"the program of {model.description.id!r} was not traced from our {model.description.architecture}:"
            f" {reason}"
        ) from error
    return spec, adapter.get_weights(module)


def _from_onnx(model: Model) -> tuple[Spec, Weights]:
    onnx = importlib.import_module("onnx")
    convlstm_onnx = importlib.import_module("modelstac.exporters.converters.convlstm_onnx")
    spec, weights = convlstm_onnx.read(onnx.load_from_string(artifact_of(model).data))
    return spec, weights


def _from_saved_model(model: Model) -> tuple[Spec, Weights]:
    """Read the variables of a SavedModel, which Keras names ``layer/conv_lstm_cell/kernel:0``."""
    spec = read_spec(model.description)
    found: dict[str, Any] = {}
    for variable in model.native.variables:
        first, *_, last = variable.name.removesuffix(":0").split("/")
        found[f"{first}/{last}"] = variable
    return spec, {
        name: np.array(found[name], np.float32) for name in named(model.description).shapes(spec) if name in found
    }


READERS: MappingProxyType[str, Callable[[Model], tuple[Spec, Weights]]] = MappingProxyType(
    {
        "keras": _from_keras,
        "torch": _from_torch,
        "torch-export": _from_torch_export,
        "onnx": _from_onnx,
        "saved-model": _from_saved_model,
    }
)
