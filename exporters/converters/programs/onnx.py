"""From an exported PyTorch program to ONNX by PyTorch's exporter: the one on ``torch.export``, not on TorchScript."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import torch
from onnxscript import optimizer

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.conversion import Conversion, no_options
from modelstac.exporters.converters.onnx_file import exported
from modelstac.exporters.converters.programs.program import readied, symbols_alone
from modelstac.registry.runtimes.names import paired
from modelstac.registry.runtimes.opened import numbered
from modelstac.registry.runtimes.torch_export import named_inputs, named_outputs

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model

# What the exporter on torch.export writes into each node, and the one on TorchScript does not.
_MARK = "pkg.torch.onnx."
_ROUNDS = 2  # what the first leaves of shapes, the second knows
_UNSUPPORTED = re.compile(r"No ONNX function found for[^']*'([^']+)'")


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.onnx`` into a folder.

    Raises
    ------
    ConversionError
        When PyTorch cannot convert an operator of the program; names it.
    SpecError
        On an option.
    """
    no_options(options, "ONNX")
    item_id, program = model.description.id, model.native
    try:
        with _quiet(), torch.no_grad(), symbols_alone(program), readied(program):
            made = torch.onnx.export(program, dynamo=True, external_data=False, verbose=False, optimize=False)
            assert made is not None
            graph = _folded(made)
    except Exception as error:  # the exporter's root class is not public
        raise ConversionError(f"PyTorch cannot convert {item_id!r} to ONNX: {_reason(error)}") from error
    where = f"the file of {item_id!r}"
    names = [[tensor.name for tensor in side] for side in (model.signature.inputs, model.signature.outputs)]
    # In the order of the program; the exporter renames an input that is an output, too.
    made_inputs, made_outputs = ([value.name for value in side] for side in (graph.graph.input, graph.graph.output))
    given, known = named_inputs(program, where), named_outputs(program) or numbered(len(made_outputs))
    into = paired(names[0], given, "input", named=False, where=where)
    back = paired(names[1], known, "output", named=False, where=where)
    return exported(
        model,
        graph,
        folder,
        inputs={name: made_inputs[given.index(other)] for name, other in into.items()},
        outputs=[made_outputs[known.index(other)] for other in back.values()],
        tool=f"torch.onnx.export ({which_exporter(graph)})",
        version=str(torch.__version__),
    )


def _folded(made: torch.onnx.ONNXProgram) -> onnx.ModelProto:
    """Compute what is constant, and rewrite nothing.

    What the exporter does unless told not to takes numbers within 1e-8 of zero and 1e-5 of one for these, and leaves
    them out: of ``(nir - red) / (nir + red + 1e-8)``, what keeps two zeros from giving no number.
    """
    optimizer.inline(made.model)
    for _ in range(_ROUNDS):
        optimizer.fold_constants(made.model)
        optimizer.remove_unused_nodes(made.model)
    optimizer.remove_unused_functions(made.model)
    return made.model_proto


def which_exporter(graph: onnx.ModelProto) -> str:
    """Tell by its marks which of PyTorch's two exporters wrote a graph, whatever was asked for."""
    marked = any(entry.key.startswith(_MARK) for node in graph.graph.node for entry in node.metadata_props)
    return "torch.export" if marked else "TorchScript"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal that torchvision is not installed; errors and warnings proper still come."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """Name the operators that have no counterpart, or give the beginning of what the exporter says."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    if names := list(dict.fromkeys(name for text in texts for name in _UNSUPPORTED.findall(text))):
        return f"it has no counterpart of {', '.join(names[:3])}"
    return " ".join(texts[-1].split())[:300]
