"""The table of conversions: from which format to which, and by what.

A format is a node, a converter an edge. A converter takes a loaded model and writes a file; it neither proves nor
publishes it: that is what :mod:`modelstac.exporters.jobs` does, for every converter alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelstac.catalog.errors import ConversionError, SpecError
from modelstac.catalog.items import Step
from modelstac.catalog.mlm import ModelInput, ModelOutput
from modelstac.registry.model import Model

Edge = tuple[str, str]


@dataclass(frozen=True)
class Conversion:
    """What a converter made.

    Parameters
    ----------
    artifact
        The file, in the folder that the converter was given.
    framework_version
        Semantic version of the framework that wrote it.
    inputs, outputs
        What the converted model takes and gives.
    steps
        What was done, each with tool and version.
    hyperparameters
        Facts about the file that belong in the item, such as the opset.
    """

    artifact: Path
    framework_version: str
    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]
    steps: tuple[Step, ...]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


Converter = Callable[[Model, Path, Mapping[str, Any]], Conversion]
"""Writes the model into the folder, obeying the options of the job.

Raises :class:`ConversionError` when the model is none that it can convert, :class:`SpecError` on an unknown option.
"""


class Converters(Mapping[Edge, Converter]):
    """A frozen table from (source format, target format) to converter."""

    def __init__(self, table: Mapping[Edge, Converter]) -> None:
        self._table = MappingProxyType(dict(table))

    def __getitem__(self, edge: Edge) -> Converter:
        return self._table[edge]

    def __iter__(self) -> Iterator[Edge]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def register(self, source: str, target: str, converter: Converter, *, replace: bool = False) -> Converters:
        """Give a table with one converter more; this one stays as it is.

        Raises
        ------
        SpecError
            When there is one for this edge already and ``replace`` was not asked for.
        """
        if (source, target) in self and not replace:
            raise SpecError(
                f"there is a converter from {source} to {target} already: say replace=True to take its place"
            )
        return Converters({**self, (source, target): converter})

    def find(self, source: str, target: str) -> Converter:
        """Give the converter between two formats.

        Raises
        ------
        ConversionError
            When there is none; says what the source can become.
        """
        if (source, target) in self:
            return self[source, target]
        targets = sorted(end for start, end in self if start == source)
        known = f"it can become {', '.join(targets)}" if targets else "it cannot be converted"
        raise ConversionError(f"there is no conversion from {source} to {target}: {known}")


def _convlstm_to_onnx(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    from modelstac.exporters import convlstm_to_onnx  # imports onnx

    return convlstm_to_onnx.convert(model, folder, options)


CONVERTERS = Converters({("keras", "onnx"): _convlstm_to_onnx, ("torch", "onnx"): _convlstm_to_onnx})
