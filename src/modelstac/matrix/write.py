"""A kind of job: one environment saves a model anew in a format, and that becomes an item which says what wrote it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import (
    ConversionError,
    DataError,
    DownloadError,
    ModelStacError,
    ParityError,
    StorageError,
)
from modelstac.catalog.items.description import ModelDescription, Step
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.versions import semver
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Report
from modelstac.exporters.architecture import take_apart
from modelstac.exporters.attempts.describing import describe_result
from modelstac.exporters.closing import kept_sizes
from modelstac.exporters.conversion import Conversion
from modelstac.exporters.layouts import CHANNELS_LAST, fixed_sizes, measured, relaid
from modelstac.exporters.proof.measuring import measure
from modelstac.exporters.proof.real_windows import frames_of
from modelstac.exporters.proof.report import OutputReport, ParityReport
from modelstac.exporters.proof.tolerances import TOLERANCES
from modelstac.exporters.routes import NODES
from modelstac.exporters.tracing import shapes_near
from modelstac.jobs.kinds import Result, Task
from modelstac.matrix.opening import backend_in, lacking, open_in, said
from modelstac.registry.facts import read_facts
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.isolated.environments import Environment, Environments
from modelstac.registry.isolated.model import IsolatedModel, Runner
from modelstac.registry.isolated.pins import requiring, with_requirements
from modelstac.registry.isolated.requirements import parse
from modelstac.registry.loading import load
from modelstac.registry.running.examples import read_example, write_example
from modelstac.registry.running.signature import Signature
from modelstac.registry.runtimes.options import Options
from modelstac.registry.trust.policy import DEFAULT_POLICY

METHOD = "saved in"
BUILDER = "modelstac.training.architectures.rebuilt_keras:rebuild"


def find(task: Task, recorded: Result | None) -> Result | None:
    """Give the item if it is published, or why there is none: what a version could not do before, it cannot."""
    given = task.parameters
    made = task.inputs[given["made"]]
    if "reason" in made:
        return {"reason": made["reason"], "left_out": True}
    if recorded is not None and "reason" in recorded and "left_out" not in recorded:
        return recorded
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
        family, source_format = NODES[given["format"]].packages[0], read_item(source).format
        environment = Environments().provide(requirements, purpose=given["name"], report=report)
        if source_format == "torch" and family in {"keras", "tensorflow"}:
            opened = _rebuilt(source, environment, str(backend_in(environment.packages)), report)
        elif missing := lacking(source_format, environment.packages):
            return {"reason": f"reading {source.id!r} needs {missing}, which is not in the environment"}
        else:
            described, model = open_in(source, environment, requirements, trusted=given["trusted"], report=report)
            opened = _Opened(described, model, *read_example(source, report=report))
        with opened.model, tempfile.TemporaryDirectory(prefix="modelstac-") as temporary:
            folder, found = Path(temporary), opened.description
            outputs = {name: np.asarray(array) for name, array in opened.model.run(opened.inputs).items()}
            compared = _compared(opened, outputs)
            if not compared.passed:
                raise ParityError(f"{source.id} gives {compared.worst.max_absolute:.1e} off what it should there")
            conversion = _saved(opened, source_format, given, folder, backend_in(environment.packages))
            variant = given["item"].removeprefix(f"{found.name}-{found.version}-")
            found = describe_result(found, found, conversion, variant=variant, target=given["format"])
            update = {
                "parity": compared.summary(source.id),
                "job": digest(given),
                "assets": write_example(folder, opened.inputs, outputs),
            }
            found = found.model_copy(update=update)
            # What wrote it may not run it, as PyTorch does not run ONNX: then what is here and does.
            runs = lacking(found.format, environment.packages) is None
            found = requiring(found, requirements, folder) if runs else with_requirements(found, folder, report=report)
            return {"item": catalog.publish(write_item(found), report=report).id}
    except (DownloadError, StorageError):
        raise
    except ModelStacError as error:
        return {"reason": said(error)}


@dataclass(frozen=True)
class _Opened:
    """A model in the environment that is to save it, and what it should give for an input."""

    description: ModelDescription
    model: IsolatedModel
    inputs: Mapping[str, NDArray[Any]]
    expected: Mapping[str, NDArray[Any]]


def _compared(opened: _Opened, outputs: Mapping[str, NDArray[Any]]) -> ParityReport:
    """Compare what comes out for an example with what is published, output by output."""
    tolerance, shapes = TOLERANCES["fp32"], {name: array.shape for name, array in opened.inputs.items()}
    if apart := [name for name, array in opened.expected.items() if outputs[name].shape != array.shape]:
        raise ParityError(f"{opened.description.id} gives {apart[0]!r} in another shape there than it should")
    found = []
    for name, expected in opened.expected.items():
        difference = measure("example", expected, outputs[name], tolerance, output=name, shapes=shapes)
        found.append(OutputReport(name, (difference,), difference))
    return ParityReport(tuple(found), tolerance)


def _rebuilt(source: pystac.Item, environment: Environment, backend: str, report: Report) -> _Opened:
    """Build a model of ours in Keras of any version there, with the weights of what is loaded here."""
    with load(source, report=report) as loaded:
        spec, weights = take_apart(loaded)
        inputs, outputs = relaid(loaded.description, CHANNELS_LAST, *fixed_sizes(spec))
        update = {"inputs": inputs, "outputs": outputs, "format": "keras", "backend": backend}
        description = loaded.description.model_copy(update=update)
        shape = [1 if size == -1 else size for size in inputs[0].input.shape]
        values = np.random.default_rng(0).random(shape, np.float32)
        before, after = (side.dim_order for side in (loaded.signature.inputs[0], loaded.signature.outputs[0]))
        given = np.ascontiguousarray(values.transpose([CHANNELS_LAST.index(name) for name in before]))
        expected = loaded.predict(given).transpose([after.index(name) for name in CHANNELS_LAST])
    archive = io.BytesIO()
    np.savez(archive, **weights)
    data = archive.getvalue()
    artifact = Artifact(source.id, Path("weights.npz"), data, hashlib.sha256(data).hexdigest())
    runner = Runner(
        environment,
        lambda: artifact,
        item_id=source.id,
        artifact_type=FORMATS["keras"].artifact_type,
        description=description,
        policy=DEFAULT_POLICY,
        options=Options(),
        rebuilt={"backend": backend, "builder": BUILDER, "fields": description.hyperparameters["architecture"]},
        report=report,
    )
    names = description.inputs[0].name, description.outputs[0].name
    return _Opened(description, runner.open(source), {names[0]: values}, {names[1]: expected})


def _saved(
    opened: _Opened, source_format: str, given: Mapping[str, Any], folder: Path, backend: str | None
) -> Conversion:
    form, description = NODES[given["format"]].format, opened.description
    if len(description.inputs) > 1 and form in {"torch-export", "onnx"}:
        raise ConversionError(f"{description.id} takes several inputs, and only models of one are traced anew")
    path = folder / f"model{FORMATS[form].suffix}"
    layout, fixed = description.inputs[0].input, {}
    with contextlib.suppress(DataError):  # whatever traces a loop over time writes that many steps
        fixed["time"] = frames_of(description)[0]
    sized = zip(layout.dim_order, layout.shape, strict=True)
    open_axes = [axis for axis, (name, size) in enumerate(sized) if size == -1 and name not in fixed]
    name = description.inputs[0].name
    shape = shapes_near(Signature.of(description), {name: fixed})[name]
    tools = opened.model.save(form, path, shape, open_axes)
    inputs, outputs = description.inputs, description.outputs
    if form in {"torch-export", "onnx"}:  # these say themselves what they take
        facts = read_facts(path)
        inputs, outputs = measured(description, facts.inputs, facts.outputs)
    framework = {"keras": "keras", "saved-model": "tensorflow"}.get(form, "torch")
    step = Step(
        source_format=source_format,
        target_format=form,
        tool=tools["tool"],
        version=semver(tools[framework]),
        method=f"{METHOD} {given['name']}",
    )
    keras = form == "keras" and backend is not None
    return Conversion(
        artifact=path,
        framework_version=read_facts(path).framework_version if form == "onnx" else semver(tools[framework]),
        inputs=inputs,
        outputs=outputs,
        steps=(step,),
        backend=backend if keras else None,
        backend_version=semver(tools[str(backend)]) if keras else None,
        entrypoint=description.entrypoint if form == "torch" else None,
        sizes=kept_sizes(description, inputs, outputs),
    )
