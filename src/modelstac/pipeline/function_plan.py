"""A grid of trainings by a function: the file, and its jobs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from modelstac.catalog.errors import SpecError
from modelstac.catalog.written import Document
from modelstac.jobs.job import Job
from modelstac.pipeline.functions import FunctionJob
from modelstac.pipeline.spec import Exports, Pipeline, Running, refused
from modelstac.registry.publishing.values import check_values

GPU = {"GPU": 1.0}


class FunctionSpec(Running):
    """A grid of trainings by a function.

    Parameters
    ----------
    train
        ``package.module:function``, which :func:`modelstac.training_job` made a job; installed, or beside the file.
    data
        Path of its data.
    config
        What every training is given.
    grid
        Fields of the configuration, each with all its values.
    publish
        What is said of the models; the name holds ``{field}`` for fields of the grid.
    exports
        Formats that every model is converted to.
    """

    train: str
    data: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    publish: dict[str, Any] = Field(default_factory=dict)
    exports: Exports = Field(default_factory=list)


def read(document: Document, folder: Path) -> Pipeline:
    """Read a specification.

    Raises
    ------
    SpecError
        With the line and the field.
    """
    try:
        spec = FunctionSpec.model_validate(document.values)
    except ValidationError as error:
        raise refused(error, document) from error
    return Pipeline(spec, document, folder)


def plan(pipeline: Pipeline, catalog: str) -> list[Job]:
    """Make the jobs of a grid, each after those that it needs.

    Raises
    ------
    SpecError
        With the line and the field.
    """
    spec = pipeline.spec
    assert isinstance(spec, FunctionSpec)
    for name, values in spec.grid.items():
        with pipeline.at("grid", name):
            if not values or any(value in values[:index] for index, value in enumerate(values)):
                raise SpecError("give values, each once")
    trainings: list[Job] = []
    exports: list[Job] = []
    for combination in itertools.product(*spec.grid.values()):
        chosen = dict(zip(spec.grid, combination, strict=True))
        job = _job(pipeline, spec, chosen)
        name = "-".join(["train", str(job.publish.get("name", spec.train.partition(":")[2])), *_words(chosen)])
        fields = {"job": json.loads(json.dumps(job.__dict__, default=str)), "catalog": catalog}
        made = _made(pipeline, name, "function", fields)
        trainings.append(made)
        for export in spec.exports:
            more: dict[str, Any] = {"target": export.to, "via": export.via, "precision": export.precision}
            fields = {"export": more, "catalog": catalog}
            exports.append(_made(pipeline, f"export-{name[6:]}-{export.to}", "function_export", fields, made))
    return [*trainings, *exports]


def _job(pipeline: Pipeline, spec: FunctionSpec, chosen: Mapping[str, Any]) -> FunctionJob:
    publish = dict(spec.publish)
    with pipeline.at("publish"):
        if isinstance(name := publish.get("name"), str):
            try:
                publish["name"] = name.format(**chosen)
            except (KeyError, IndexError, ValueError) as error:
                raise SpecError(f"the name {name!r} holds a field that is none of the grid: {error}") from error
    data = None if spec.data is None else pipeline.path(spec.data)
    job = FunctionJob(spec.train, {**spec.config, **chosen}, data, publish, str(pipeline.folder))
    with pipeline.at("train"):
        job.find()
    with pipeline.at("publish"):
        check_values(publish, pipeline.folder, later=True)
    return job


def _words(chosen: Mapping[str, Any]) -> list[str]:
    return [
        "".join(c if c.isalnum() or c in "._-" else "-" for c in f"{name}-{value}") for name, value in chosen.items()
    ]


def _made(pipeline: Pipeline, name: str, kind: str, fields: dict[str, Any], *needs: Job) -> Job:
    spec = pipeline.spec
    cuda = kind == "function" and spec.device == "cuda"
    return Job(
        name,
        kind,
        fields,
        pipeline.path(spec.work),
        needs={need.name: need.key for need in needs},
        resources=GPU if cuda else {},
        environment={"MODELSTAC_DEVICE": "cuda"} if cuda else {},
        timeout=spec.timeout,
    )
