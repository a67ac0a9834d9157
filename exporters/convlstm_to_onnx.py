"""From a loaded ConvLSTM, whichever framework holds it, to a file with the hand-written ONNX graph."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnx

from modelstac.catalog.errors import ConversionError, SpecError
from modelstac.catalog.items import ModelDescription, Step
from modelstac.catalog.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.storage import explained
from modelstac.catalog.versions import semver
from modelstac.exporters import convlstm_onnx
from modelstac.exporters.converters import Conversion
from modelstac.registry.model import Model
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import Weights

ARCHITECTURE = "ConvLSTM"

# Each has ``get_weights(native)``; imported when needed, as each imports its framework.
_ADAPTERS = MappingProxyType(
    {
        "keras": "modelstac.training.architectures.convlstm_keras",
        "torch": "modelstac.training.architectures.convlstm_torch",
    }
)


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.onnx`` into a folder.

    Parameters
    ----------
    model
        A ConvLSTM in Keras or PyTorch.
    folder
        Where to write.
    options
        None are known.

    Raises
    ------
    ConversionError
        When the model is no ConvLSTM, or its weights are not those of the architecture that its item states.
    SpecError
        On an option.
    """
    if options:
        raise SpecError(f"the conversion to ONNX has no option {sorted(options)[0]!r}")
    description = model.description
    spec = read_spec(description)
    try:
        graph = convlstm_onnx.build(spec, native_weights(model), dim_order=model.description.inputs[0].input.dim_order)
    except SpecError as error:
        raise ConversionError(f"item {description.id!r} does not hold the model that it describes: {error}") from error
    convlstm_onnx.check(graph)
    path = folder / "model.onnx"
    with explained(f"write {path}"):
        path.write_bytes(graph.SerializeToString(deterministic=True))
    step = Step(
        source_format=description.format,
        target_format="onnx",
        tool=convlstm_onnx.__name__,
        version=graph.producer_version,
    )
    facts = {"opset": convlstm_onnx.OPSET, "ir_version": graph.ir_version, "nodes": len(graph.graph.node)}
    return Conversion(
        artifact=path,
        framework_version=semver(onnx.__version__),
        inputs=tuple(_dynamic_input(entry) for entry in description.inputs),
        outputs=tuple(_dynamic_output(entry) for entry in description.outputs),
        steps=(step,),
        hyperparameters={"onnx": facts},
    )


def read_spec(description: ModelDescription) -> ConvLSTMSpec:
    """Read the architecture from the item.

    Raises
    ------
    ConversionError
        When it is another architecture, or not stated.
    """
    if description.architecture != ARCHITECTURE:
        raise ConversionError(
            f"item {description.id!r} is a {description.architecture}: only a {ARCHITECTURE} can be converted to ONNX"
        )
    try:
        return ConvLSTMSpec.from_dict(description.hyperparameters["architecture"])
    except (KeyError, SpecError) as error:
        reason = "states none" if isinstance(error, KeyError) else str(error)
        raise ConversionError(
            f"item {description.id!r} needs its architecture in mlm:hyperparameters: {reason}"
        ) from error


def native_weights(model: Model) -> Weights:
    """Give the weights of a loaded ConvLSTM in the form of :mod:`modelstac.training.weights`."""
    adapter = importlib.import_module(_ADAPTERS[model.description.format])
    weights: Weights = adapter.get_weights(model.native)
    return weights


def _dynamic_input(entry: ModelInput) -> ModelInput:
    layout = entry.input
    shape = _dynamic(layout.dim_order)
    structure = InputStructure(shape=shape, dim_order=layout.dim_order, data_type=layout.data_type)
    return entry.model_copy(update={"input": structure})


def _dynamic_output(entry: ModelOutput) -> ModelOutput:
    layout = entry.result
    shape = _dynamic(layout.dim_order)
    structure = ResultStructure(shape=shape, dim_order=layout.dim_order, data_type=layout.data_type)
    return entry.model_copy(update={"result": structure})


def _dynamic(dim_order: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(1 if name == "variables" else -1 for name in dim_order)
