"""An ONNX graph as the result of a conversion, whichever tool wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.conversion import EXPORTED, Conversion
from modelstac.exporters.converters.interfaces.onnx import name_as
from modelstac.exporters.layouts import measured
from modelstac.registry.facts import read_facts

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model


def write_graph(graph: onnx.ModelProto, folder: Path) -> Path:
    """Write ``model.onnx`` into a folder, the same bytes for the same graph.

    Raises
    ------
    StorageError
        When it cannot be written.
    """
    path = folder / "model.onnx"
    with explained(f"write {path}"):
        path.write_bytes(graph.SerializeToString(deterministic=True))
    return path


def exported(
    model: Model,
    graph: onnx.ModelProto,
    folder: Path,
    *,
    inputs: Mapping[str, str],
    outputs: Sequence[str],
    tool: str,
    version: str,
    warnings: tuple[str, ...] = (),
) -> Conversion:
    """Write what a framework's exporter gave, by the names of the item, and read from the file what it is.

    Parameters
    ----------
    model
        The source.
    graph
        What the exporter gave.
    folder
        Where to write.
    inputs, outputs
        What the exporter called them: inputs by their names in the item, outputs in its order.
    tool, version, warnings
        Of the exporter that really ran.
    """
    name_as(graph.graph, model.signature, inputs, outputs)
    path, description = write_graph(graph, folder), model.description
    facts = read_facts(path)
    step = Step(
        source_format=description.format,
        target_format="onnx",
        tool=tool,
        version=semver(version),
        method=EXPORTED,
        warnings=warnings,
    )
    sides = measured(description, facts.inputs, facts.outputs)
    return Conversion(
        artifact=path,
        framework_version=semver(onnx.__version__),
        inputs=sides[0],
        outputs=sides[1],
        steps=(step,),
        hyperparameters={"onnx": dict(facts.details)},
    )
