"""From anybody's model file to the description of an item: what the file says, and what only its publisher knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from modelstac.catalog.errors import SpecError, at
from modelstac.catalog.items.description import ModelDescription, Source
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.mlm import RANGE_FIELD, InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry.describing.ranges import SaidRanges, named, stated_ranges
from modelstac.registry.describing.stating import (
    Dims,
    Said,
    by_tensor,
    check_bands,
    check_dims,
    field_of,
    missing_dims,
    once,
    stated_sizes,
)
from modelstac.registry.facts import Facts, Tensor, read_facts
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

Layout = TypeVar("Layout", InputStructure, ResultStructure)


@dataclass(frozen=True)
class Statement:
    """What a publisher says about a model, as its file does not.

    Parameters
    ----------
    name, version
        Of the model.
    tasks
        What it is for, in MLM's terms: all of it, or by the name of each output.
    architecture
        Kind of network, such as ``ResNet`` or ``U-Net``.
    license
        SPDX identifier, or ``other``.
    geometry, start, end
        Footprint (GeoJSON, degrees) and time of the training data.
    input_dims, output_dims
        What the axes mean, such as ``batch``, ``height``, ``width``, ``bands``: of the only input or output, or by the
        name of each. An input with a default is described where its axes are named, and left out otherwise.
    bands, output_bands
        Names along the axis of the bands (``bands``, ``band``, ``channel``, ``channels`` or ``c``), in the same way.
    ranges
        Lowest and highest value that an input is fed, after scaling: a pair, or one for each band, by the name of the
        input or of the only one. Conversions are judged on it.
    examples
        Arrays that the model is fed, in its layout, of the only input or by name: published with what the model makes
        of them. Conversions are judged on them, too.
    variant
        By default the format, with the backend where one is named.
    title, description, keywords
        For people; title and description default to what the file says.
    backend, backend_version
        What Keras ran on; a ``.keras`` file does not record it.
    pretrained, pretrained_source
        Whether training began from other weights, and whose.
    sources
        What the model is derived from: ids of items in the same catalog, or URLs.
    """

    name: str | None = None
    version: str | None = None
    tasks: Said = ()
    architecture: str | None = None
    license: str | None = None
    geometry: dict[str, Any] | None = None
    start: datetime | None = None
    end: datetime | None = None
    input_dims: Said = ()
    output_dims: Said = ()
    bands: Said = ()
    output_bands: Said = ()
    ranges: SaidRanges = ()
    examples: Any = None
    variant: str | None = None
    title: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] = ()
    backend: str | None = None
    backend_version: str | None = None
    pretrained: bool | None = None
    pretrained_source: str | None = None
    sources: tuple[str, ...] = ()


def describe_file(
    path: Path, said: Statement, *, policy: TrustPolicy = DEFAULT_POLICY, report: Report = ignore
) -> ModelDescription:
    """Describe a model file, ready to be published, once it has run.

    Parameters
    ----------
    path
        The file; see :data:`modelstac.registry.facts.SUFFIXES`.
    said
        What the file does not say.
    policy
        What may be in it.
    report
        Gets notes, such as that nothing here could run the file, so that sizes and halo were not measured.

    Raises
    ------
    SpecError
        If something is missing that only the publisher can know; names all of it.
    InvalidItemError
        If what was said contradicts the file or breaks MLM, or if its own runtime cannot run the file.
    ModelStacError
        As :func:`modelstac.registry.facts.read_facts` does.
    """
    from modelstac.registry.describing.example import with_example
    from modelstac.registry.describing.measuring import measured

    facts = read_facts(path, policy=policy)
    for note in facts.notes:
        report(Note(note))
    description = described(path, said, facts)
    names = [one.name for one in description.inputs]
    example = {} if said.examples is None else named(said.examples, names, "--example")
    description = measured(description, policy=policy, report=report, example=example)
    return with_example(description, said.examples, policy=policy, report=report)


def described(path: Path, said: Statement, facts: Facts) -> ModelDescription:
    """Describe a file by what it says itself and what its publisher said, before it has run.

    Raises
    ------
    SpecError, InvalidItemError
        As :func:`describe_file` does.
    """
    input_dims = by_tensor(said.input_dims, facts.inputs, "--input-dims", kind="input")
    output_dims = by_tensor(said.output_dims, facts.outputs, "--output-dims", kind="output")
    for tensors, dims, flag in (
        (facts.inputs, input_dims, "--input-dims"),
        (facts.outputs, output_dims, "--output-dims"),
    ):
        for tensor in tensors:
            if tensor.name in dims:
                check_dims(tensor, dims[tensor.name], flag)
    if missing := [*_missing(said), *_missing_dims(facts, input_dims, output_dims)]:
        raise SpecError(f"{path.name} does not say everything: give {', '.join(missing)}")
    # What was not said above is None; the types and MLM's own lists are checked when the description is made.
    fields: dict[str, Any] = {name: getattr(said, name) for name in _AS_SAID}
    form = FORMATS[facts.format]
    title = said.title or str(said.name)
    fields["precision"] = facts.precision
    inputs = [tensor for tensor in facts.inputs if tensor.name in input_dims]
    tasks = _tasks(said, facts)
    fields["tasks"] = tuple(dict.fromkeys(task for found in tasks.values() for task in found))
    return ModelDescription(
        **fields,
        variant=said.variant or "-".join(filter(None, (facts.format, said.backend))),
        title=title,
        description=said.description
        or f"{title}: a model in {form.framework}'s format"
        f"{f', of {facts.parameters:,} parameters' if facts.parameters else ''}, published from `{path.name}`.",
        format=facts.format,
        framework_version=facts.framework_version,
        inputs=_inputs(
            inputs,
            input_dims,
            by_tensor(said.bands, facts.inputs, "--bands", kind="input"),
            _ranges(said, inputs, input_dims),
        ),
        outputs=_outputs(
            facts.outputs,
            output_dims,
            by_tensor(said.output_bands, facts.outputs, "--output-bands", kind="output"),
            tasks,
        ),
        sizes=stated_sizes(inputs, facts.outputs, input_dims, output_dims),
        hyperparameters={facts.format: dict(facts.details)} if facts.details else {},
        parameters=facts.parameters,
        sources=tuple(Source(href=s) if "://" in s else Source(item_id=s) for s in said.sources),
        artifact=path,
    )


_AS_SAID = (
    *("name", "version", "license", "keywords", "architecture", "geometry", "start", "end"),
    *("backend", "backend_version", "pretrained", "pretrained_source"),
)


def _missing(said: Statement) -> Iterator[str]:
    """Name, as the command line does, what must be said of the model and was not."""
    needed = {
        "--name": said.name,
        "--version": said.version,
        "--task (such as regression or semantic-segmentation)": said.tasks,
        "--architecture (such as U-Net)": said.architecture,
        "--license (SPDX, such as CC-BY-4.0)": said.license,
        "--bbox or --geometry (of the training data)": said.geometry,
        "--datetime (of the training data)": said.start and said.end,
    }
    yield from (flag for flag, value in needed.items() if not value)


def _missing_dims(facts: Facts, input_dims: Dims, output_dims: Dims) -> Iterator[str]:
    yield from missing_dims(input_dims, facts.inputs, "--input-dims")
    yield from missing_dims(output_dims, facts.outputs, "--output-dims")


def _tasks(said: Statement, facts: Facts) -> Mapping[str, tuple[str, ...]]:
    """Give the tasks of each output: those said of it, or all."""
    names = [tensor.name for tensor in facts.outputs]
    if not isinstance(said.tasks, Mapping):
        return dict.fromkeys(names, tuple(said.tasks))
    found = by_tensor(said.tasks, facts.outputs, "--task", kind="output")
    if without := [name for name in names if name not in found]:
        raise SpecError(f"nothing is said of what the output {without[0]!r} is for: give --task {without[0]}=…")
    return {name: found[name] for name in names}


def _ranges(said: Statement, inputs: Sequence[Tensor], dims: Dims) -> dict[str, list[Any]]:
    with at("range"):
        return stated_ranges(said.ranges, inputs, dims)


def _inputs(
    tensors: Sequence[Tensor], dims: Dims, bands: Dims, ranges: Mapping[str, list[Any]]
) -> tuple[ModelInput, ...]:
    made = []
    for tensor in tensors:
        fields: dict[str, Any] = {"name": tensor.name, "bands": once(bands.get(tensor.name, ()), "--bands")}
        fields |= {"input": _structure(InputStructure, tensor, dims, "--input-dims")}
        check_bands(tensor, dims[tensor.name], fields["bands"], "--bands")
        fields |= {RANGE_FIELD: ranges[tensor.name]} if tensor.name in ranges else {}
        with at("bands" if fields["bands"] else "input_dims", tensor.name):
            made.append(ModelInput(**fields | ({"optional": True} if tensor.optional else {})))
    return tuple(made)


def _outputs(tensors: Sequence[Tensor], dims: Dims, bands: Dims, tasks: Dims) -> tuple[ModelOutput, ...]:
    made = []
    for tensor in tensors:
        fields: dict[str, Any] = {
            "name": tensor.name,
            "bands": once(bands.get(tensor.name, ()), "--output-bands"),
            "tasks": tasks[tensor.name],
        }
        result = _structure(ResultStructure, tensor, dims, "--output-dims")
        check_bands(tensor, dims[tensor.name], fields["bands"], "--output-bands")
        with at("output_bands" if fields["bands"] else "output_dims", tensor.name):
            made.append(ModelOutput(**fields, result=result))
    return tuple(made)


def _structure(kind: type[Layout], tensor: Tensor, dims: Dims, flag: str) -> Layout:
    names = dims[tensor.name]
    with at(*field_of(flag), tensor.name):
        return kind.of(tensor.shape, names, tensor.dtype)
