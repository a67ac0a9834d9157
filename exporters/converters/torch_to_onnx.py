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

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.conversion import Conversion, no_options
from modelstac.exporters.converters.onnx_file import exported

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model

# What the exporter on torch.export writes into each node, and the one on TorchScript does not.
_MARK = "pkg.torch.onnx."
_UNSUPPORTED = re.compile(r"No (?:ONNX function|decompositions) (?:found|registered) for[^']*'([^']+)'")


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
    description = model.description
    try:
        with _quiet():
            program = torch.onnx.export(model.native, dynamo=True, external_data=False, verbose=False)
            assert program is not None
            graph = program.model_proto
    except Exception as error:  # the exporter's root class is not public
        raise ConversionError(f"PyTorch cannot convert {description.id!r} to ONNX: {_reason(error)}") from error
    tool = f"torch.onnx.export ({which_exporter(graph)})"
    return exported(description, graph, folder, tool=tool, version=str(torch.__version__))


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
