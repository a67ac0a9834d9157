"""A model taken apart: specification and weights, from whichever format holds it.

This is how a target is reached where no public converter leads: the network is built anew from these two, exactly.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import ConversionError, SpecError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.messages import ignore
from modelstac.registry.choosing.candidates import model_asset
from modelstac.registry.choosing.fetching import fetched
from modelstac.registry.choosing.model_assets import ModelAsset
from modelstac.registry.files.fetch import Artifact
from modelstac.registry.running.model import Model
from modelstac.registry.trust.policy import DEFAULT_POLICY
from modelstac.training.architecture import ARCHITECTURES, Architecture, Spec
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import Weights, check_weights

if TYPE_CHECKING:
    import pystac

CONVLSTM = "ConvLSTM"
LARGEST_GRAPH = (1 << 31) - (1 << 20)
"""Bytes of a file of ONNX: protobuf counts them in 31 bits."""


def artifact_of(model: Model) -> Artifact:
    """Give the verified bytes of a loaded model; a graph of ONNX with all its weights in it.

    Raises
    ------
    ConversionError
        When a graph with its weights is larger than a file of ONNX may be.
    """
    return artifact_of_item(model.item)


def artifact_of_item(item: pystac.Item) -> Artifact:
    """Give the verified bytes of an item's model, as :func:`artifact_of` does."""
    key, kind = model_asset(item)
    artifact = fetched(item, ModelAsset(key, kind), DEFAULT_POLICY, rehash=False, report=ignore)
    if not artifact.beside:
        return artifact
    total = len(artifact.data) + sum(map(len, artifact.beside.values()))
    if total > LARGEST_GRAPH:
        raise ConversionError(
            f"{item.id!r} has {total:,} bytes in its graph and beside it, and converters take one file of at most "
            f"{LARGEST_GRAPH:,}: load it as it is"
        )
    return replace(artifact, data=whole_graph(artifact.data, artifact.beside), beside={})


def whole_graph(data: bytes, beside: Mapping[str, bytes]) -> bytes:
    """Put weights that lie beside a graph of ONNX into it."""
    import onnx
    from onnx.external_data_helper import _get_all_tensors, uses_external_data

    graph = onnx.load_model_from_string(data)
    for tensor in _get_all_tensors(graph):
        if uses_external_data(tensor):
            said = {entry.key: entry.value for entry in tensor.external_data}
            content, start = beside[said["location"].removeprefix("./")], int(said.get("offset") or 0)
            end = start + int(said["length"]) if said.get("length") else len(content)
            tensor.raw_data = content[start:end]
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    return bytes(graph.SerializeToString())


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
