"""From an exported PyTorch program to OpenVINO by its own reader of such programs, without a graph in between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openvino.frontend import FrontEndManager

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.conversion import Conversion, no_options
from modelstac.exporters.converters.programs.program import ready, symbols_alone
from modelstac.exporters.converters.to_openvino import refused, written
from modelstac.registry.runtimes.names import paired
from modelstac.registry.runtimes.opened import numbered
from modelstac.registry.runtimes.torch_export import named_inputs, named_outputs

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.openvino.zip`` into a folder.

    Raises
    ------
    ConversionError
        When OpenVINO has no counterpart of an operator; names it.
    SpecError
        On an option.
    """
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder  # asks for torch

    no_options(options, "OpenVINO")
    where, program = f"the file of {model.description.id!r}", ready(model.native)
    try:
        with symbols_alone(program):
            # Not openvino.convert_model, which does the same and reports to its makers over the network.
            decoder = TorchFXPythonDecoder.from_exported_program(program)
            frontend = FrontEndManager().load_by_framework("pytorch")
            read = frontend.load(decoder)  # it asks the decoder until it is converted, and does not hold it
            converted = frontend.convert(read)
    except Exception as error:  # OpenVINO's frontends raise classes that it does not export
        raise refused(model, error) from error
    given, known = named_inputs(program, where), named_outputs(program) or numbered(len(converted.outputs))
    names = [[tensor.name for tensor in side] for side in (model.signature.inputs, model.signature.outputs)]
    into = {other: name for name, other in paired(names[0], given, "input", named=False, where=where).items()}
    back = {other: name for name, other in paired(names[1], known, "output", named=False, where=where).items()}
    if len(converted.inputs) != len(given):
        raise ConversionError(f"OpenVINO leaves out an input of {model.description.id!r} that changes nothing")
    places = [into[name] for name in given], [back[name] for name in known]
    return written(model, converted, folder, options, places=places, tool="openvino.frontend.pytorch")
