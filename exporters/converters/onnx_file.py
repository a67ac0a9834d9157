"""An ONNX graph as the result of a conversion, whichever tool wrote it."""

from __future__ import annotations

from pathlib import Path

import onnx

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.items.description import ModelDescription, Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.conversion import EXPORTED, Conversion
from modelstac.exporters.layouts import measured
from modelstac.registry.describing.facts import read_facts


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
    description: ModelDescription,
    graph: onnx.ModelProto,
    folder: Path,
    *,
    tool: str,
    version: str,
    warnings: tuple[str, ...] = (),
) -> Conversion:
    """Write what a framework's exporter gave, and read from the file what it is.

    Parameters
    ----------
    description
        Of the source.
    graph
        What the exporter gave.
    folder
        Where to write.
    tool, version, warnings
        Of the exporter that really ran.
    """
    path = write_graph(graph, folder)
    facts = read_facts(path)
    step = Step(
        source_format=description.format,
        target_format="onnx",
        tool=tool,
        version=semver(version),
        method=EXPORTED,
        warnings=warnings,
    )
    inputs, outputs = measured(description, facts)
    return Conversion(
        artifact=path,
        framework_version=semver(onnx.__version__),
        inputs=inputs,
        outputs=outputs,
        steps=(step,),
        hyperparameters={"onnx": dict(facts.details)},
    )
