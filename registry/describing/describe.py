"""From anybody's model file to the description of an item: what the file says, and what only its publisher knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.description import ModelDescription, Source
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.registry.describing.facts import Facts, Tensor, read_facts
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy


@dataclass(frozen=True)
class Statement:
    """What a publisher says about a model, as its file does not.

    Parameters
    ----------
    name, version
        Of the model.
    tasks
        What it is for, in MLM's terms.
    architecture
        Kind of network, such as ``ResNet`` or ``U-Net``.
    license
        SPDX identifier, or ``other``.
    geometry, start, end
        Footprint (GeoJSON, degrees) and time of the training data.
    input_dims, output_dims
        What the axes mean, such as ``batch``, ``height``, ``width``, ``bands``.
    bands, output_bands
        Names along an axis ``bands``.
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
    tasks: tuple[str, ...] = ()
    architecture: str | None = None
    license: str | None = None
    geometry: dict[str, Any] | None = None
    start: datetime | None = None
    end: datetime | None = None
    input_dims: tuple[str, ...] = ()
    output_dims: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    output_bands: tuple[str, ...] = ()
    variant: str | None = None
    title: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] = ()
    backend: str | None = None
    backend_version: str | None = None
    pretrained: bool | None = None
    pretrained_source: str | None = None
    sources: tuple[str, ...] = ()


def describe_file(path: Path, said: Statement, *, policy: TrustPolicy = DEFAULT_POLICY) -> ModelDescription:
    """Describe a model file, ready to be published.

    Parameters
    ----------
    path
        The file; see :data:`modelstac.registry.describing.facts.SUFFIXES`.
    said
        What the file does not say.
    policy
        What may be in it.

    Raises
    ------
    SpecError
        If something is missing that only the publisher can know; names all of it.
    InvalidItemError
        If what was said contradicts the file or breaks MLM.
    ModelStacError
        As :func:`modelstac.registry.describing.facts.read_facts` does.
    """
    facts = read_facts(path, policy=policy)
    if missing := list(_missing(said, facts)):
        raise SpecError(f"{path.name} does not say everything: give {', '.join(missing)}")
    # What was not said above is None; the types and MLM's own lists are checked when the description is made.
    fields: dict[str, Any] = {name: getattr(said, name) for name in _AS_SAID}
    source, target = facts.inputs[0], facts.outputs[0]
    form = FORMATS[facts.format]
    title = said.title or str(said.name)
    return ModelDescription(
        **fields,
        variant=said.variant or "-".join(filter(None, (facts.format, said.backend))),
        title=title,
        description=said.description
        or f"{title}: a {form.framework} model of {facts.parameters:,} parameters, published from `{path.name}`.",
        format=facts.format,
        framework_version=facts.framework_version,
        inputs=(
            ModelInput(
                name=source.name, bands=said.bands, input=InputStructure(**_structure(source, said.input_dims, "input"))
            ),
        ),
        outputs=(
            ModelOutput(
                name=target.name,
                bands=said.output_bands,
                tasks=fields["tasks"],
                result=ResultStructure(**_structure(target, said.output_dims, "output")),
            ),
        ),
        hyperparameters={facts.format: dict(facts.details)} if facts.details else {},
        parameters=facts.parameters,
        sources=tuple(Source(href=s) if "://" in s else Source(item_id=s) for s in said.sources),
        artifact=path,
    )


_AS_SAID = (
    *("name", "version", "license", "keywords", "architecture", "tasks", "geometry", "start", "end"),
    *("backend", "backend_version", "pretrained", "pretrained_source"),
)


def _missing(said: Statement, facts: Facts) -> Iterator[str]:
    """Name, as the command line does, what must be said and was not."""
    needed = {
        "--name": said.name,
        "--version": said.version,
        "--task (such as regression or semantic-segmentation)": said.tasks,
        "--architecture (such as U-Net)": said.architecture,
        "--license (SPDX, such as CC-BY-4.0)": said.license,
        "--bbox or --geometry (of the training data)": said.geometry,
        "--datetime (of the training data)": said.start and said.end,
        f"--input-dims (a name for each axis of {facts.inputs[0]})": said.input_dims,
        f"--output-dims (a name for each axis of {facts.outputs[0]})": said.output_dims,
    }
    yield from (flag for flag, value in needed.items() if not value)


def _structure(tensor: Tensor, names: tuple[str, ...], side: str) -> dict[str, Any]:
    if len(names) != len(tensor.shape):
        raise SpecError(
            f"--{side}-dims names {len(names)} axes ({', '.join(names)}), and {tensor.name!r} is {tensor}: name "
            f"{len(tensor.shape)}"
        )
    return {"shape": tensor.shape, "dim_order": names, "data_type": tensor.dtype}
