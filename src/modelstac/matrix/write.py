"""A kind of job: one environment saves a model anew in a format, and that becomes an item which says what wrote it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import DownloadError, ModelStacError, ParityError, StorageError
from modelstac.catalog.formats import FORMATS
from modelstac.catalog.items import ModelDescription, Step
from modelstac.catalog.messages import Report
from modelstac.catalog.versions import semver
from modelstac.exporters.converters import Conversion
from modelstac.exporters.jobs import describe_result
from modelstac.exporters.layouts import example_shape, measured
from modelstac.exporters.parity import TOLERANCES, ParityReport, measure
from modelstac.exporters.routes import NODES
from modelstac.jobs.kinds import Result, Task
from modelstac.matrix.opening import backend_in, lacking, open_in
from modelstac.registry.examples import read_example, write_example
from modelstac.registry.facts import read_facts
from modelstac.registry.isolated.environments import Environments
from modelstac.registry.isolated.model import IsolatedModel
from modelstac.registry.isolated.pins import requiring
from modelstac.registry.isolated.requirements import parse

METHOD = "saved in"


def find(task: Task, recorded: Result | None) -> Result | None:  # noqa: ARG001 - what is published is what counts
    """Give the item if it is published, or why there is no environment to write it."""
    given = task.parameters
    made = task.inputs[given["made"]]
    if "reason" in made:
        return {"reason": made["reason"]}
    item = open_catalog(given["catalog"]).find(given["item"])
    return None if item is None or item.properties.get("interop:job") != digest(given) else {"item": item.id}


def digest(given: Mapping[str, Any]) -> str:
    """Compute ``interop:job``: the file that is saved anew, the format, and what saves it."""
    named = {name: given[name] for name in ("source", "file", "format", "environment")}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def run(task: Task, *, report: Report) -> Result:
    """Load the source in the environment, compare, save, describe and publish; a reason why not is a result, too."""
    given = task.parameters
    catalog = open_catalog(given["catalog"])
    source = catalog.get(given["source"])
    requirements = parse(given["environment"], source=given["name"], trusted=given["trusted"])
    try:
        form = ModelDescription.from_item(source).format
        if missing := lacking(form, requirements):
            return {"reason": f"reading {source.id!r} needs {missing}, which is not in the environment"}
        environment = Environments().provide(requirements, purpose=given["name"], report=report)
        description, model = open_in(source, environment, requirements, trusted=given["trusted"], report=report)
        with model, tempfile.TemporaryDirectory(prefix="modelstac-") as temporary:
            folder = Path(temporary)
            inputs, expected = read_example(source, report=report)
            outputs = np.asarray(model.predict(inputs))
            tolerance = TOLERANCES["fp32"]
            difference = measure("example", inputs.shape, expected, outputs, tolerance)
            if not difference.passed:
                raise ParityError(f"{source.id} gives {difference.max_absolute:.1e} off its example there")
            conversion = _saved(model, description, given, folder, backend_in(requirements))
            variant = given["item"].removeprefix(f"{description.name}-{description.version}-")
            found = describe_result(description, description, conversion, variant=variant, target=given["format"])
            parity = ParityReport((difference,), difference, tolerance).summary(source.id)
            update = {"parity": parity, "job": digest(given), "assets": write_example(folder, inputs, outputs)}
            found = requiring(found.model_copy(update=update), requirements, folder)
            return {"item": catalog.publish(found.to_item(), report=report).id}
    except (DownloadError, StorageError):
        raise
    except ModelStacError as error:
        return {"reason": " ".join(str(error).split())}


def _saved(
    model: IsolatedModel, description: ModelDescription, given: Mapping[str, Any], folder: Path, backend: str | None
) -> Conversion:
    form = NODES[given["format"]].format
    path = folder / f"model{FORMATS[form].suffix}"
    layout = description.inputs[0].input
    open_axes = [axis for axis, size in enumerate(layout.shape) if size == -1]
    said = model.save(form, path, example_shape(description, {}), open_axes)
    kept = form in {"torch", "keras"}  # the others say themselves what they take
    inputs, outputs = (description.inputs, description.outputs) if kept else measured(description, read_facts(path))
    framework = {"keras": "keras", "saved-model": "tensorflow"}.get(form, "torch")
    step = Step(
        source_format=description.format,
        target_format=form,
        tool=said["tool"],
        version=semver(said[framework]),
        method=f"{METHOD} {given['name']}",
    )
    return Conversion(
        artifact=path,
        framework_version=read_facts(path).framework_version if form == "onnx" else semver(said[framework]),
        inputs=inputs,
        outputs=outputs,
        steps=(step,),
        backend=backend if form == "keras" else None,
        backend_version=semver(said[backend]) if form == "keras" and backend is not None else None,
        entrypoint=description.entrypoint if form == "torch" else None,
    )
