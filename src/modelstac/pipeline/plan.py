"""From a grid to its jobs."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelstac.catalog import written
from modelstac.catalog.errors import NotFoundError, SpecError
from modelstac.exporters.jobs import ExportJob, variant_of
from modelstac.jobs.job import Job
from modelstac.pipeline import function_plan
from modelstac.pipeline.scenes import scene_jobs
from modelstac.pipeline.spec import ExportSpec, GridSpec, Pipeline, load
from modelstac.training.jobs.job import TrainJob
from modelstac.training.variants.variant import find_variant

GPU = {"GPU": 1.0}


def read(text: str, file: Path) -> Pipeline:
    """Read a specification: of the radar networks, or of a function that trains (``train:``).

    Raises
    ------
    SpecError
        With the line and the field.
    """
    document = written.read(text, file.name)
    if isinstance(document.values, dict) and "train" in document.values:
        return function_plan.read(document, file.absolute().parent)
    return load(text, file)


def plan(pipeline: Pipeline, catalog: str) -> list[Job]:
    """Make the jobs of a grid, each after those that it needs.

    Parameters
    ----------
    pipeline
        The grid.
    catalog
        Where all is published.

    Raises
    ------
    SpecError, NotFoundError
        With the line and the field: an unknown name, settings without sense, something twice.
    """
    if isinstance(pipeline.spec, function_plan.FunctionSpec):
        return function_plan.plan(pipeline, catalog)
    jobs = [] if pipeline.spec.grid is None else _Plan(pipeline, catalog).jobs()
    return jobs + scene_jobs(pipeline, catalog)


class _Plan:
    def __init__(self, pipeline: Pipeline, catalog: str) -> None:
        self.pipeline, self.spec, self.catalog = pipeline, pipeline.spec, catalog
        self.work = pipeline.path(pipeline.spec.work)
        self.data = pipeline.path(pipeline.spec.data)
        self.prepared: dict[str, Job] = {}
        self.published: set[str] = set()
        with pipeline.at("data"):
            if not Path(self.data).exists():
                raise NotFoundError(f"no radar frames at {self.data}: check the path")

    @property
    def grid(self) -> GridSpec:
        assert self.spec.grid is not None
        grid: GridSpec = self.spec.grid
        return grid

    def jobs(self) -> list[Job]:
        grid = self.grid
        for axis in ("variants", "presets", "seeds"):
            values = getattr(grid, axis)
            for index, value in enumerate(values):
                with self.pipeline.at("grid", axis, index):
                    if value in values[:index]:
                        raise SpecError(f"{value!r} is there twice")
        for index, variant in enumerate(grid.variants):
            with self.pipeline.at("grid", "variants", index):
                find_variant(variant)
        trainings: list[Job] = []
        rest: list[Job] = []
        for (number, preset), seed, variant in itertools.product(enumerate(grid.presets), grid.seeds, grid.variants):
            job = self._training(number, preset, seed, variant)
            trained = self._train(job)
            trainings.append(trained)
            rest += self._score(trained, job.item_id, job)
            for index, export in enumerate(grid.exports):
                rest += self._export(index, export, trained, job)
        return [*self.prepared.values(), *trainings, *rest]

    def _training(self, number: int, preset: str, seed: int, variant: str) -> TrainJob:
        """Describe a training: the preset with what the file changes."""
        with self.pipeline.at("grid", "presets", number):
            job = TrainJob.from_preset(preset, variant=variant, data=self.data)
        for name in ("architecture", "fit", "preparation"):
            with self.pipeline.at(name):
                part, changes = getattr(job, name), getattr(self.spec, name)
                if name == "fit" and "seed" in changes:
                    raise SpecError("seed is an axis of the grid: name it in grid.seeds")
                job = replace(job, **{name: _changed(part, changes)})
        fields = {name: getattr(self.spec, name) for name in ("version", "license", "first_test", "data_href")}
        for field, value in fields.items():
            with self.pipeline.at(field):
                job = replace(job, **{field: value})
        with self.pipeline.at("grid", "seeds"):
            job = replace(job, fit=_changed(job.fit, {"seed": seed}))
        with self.pipeline.at("name"):
            job = replace(job, name=self.spec.name.format(preset=preset, seed=seed))
            self._only_once(job.item_id, "{preset} and {seed} tell several of them apart")
        return job

    def _only_once(self, item_id: str, advice: str) -> None:
        if item_id in self.published:
            raise SpecError(f"two jobs would publish {item_id!r}: {advice}")
        self.published.add(item_id)

    def _prepare(self, job: TrainJob) -> Job:
        window = job.architecture.frames_in + job.architecture.frames_out
        frames = job.preparation.frames_json()  # presets may differ in what matters to the model only
        key = f"{frames} {window}"
        if key not in self.prepared:
            fields = {"data": self.data, "preparation": json.loads(frames), "window": window}
            self.prepared[key] = self._job(f"prepare-{job.preset}", "prepare", fields)
        return self.prepared[key]

    def _train(self, job: TrainJob) -> Job:
        prepared = self._prepare(job)
        fields = {
            "job": _without_data(job),
            "catalog": self.catalog,
            "checkpoint_minutes": self.spec.checkpoint_every / 60,
        }
        return self._job(f"train-{job.item_id}", "train", fields, prepared, gpu=True)

    def _score(self, made: Job, item_id: str, job: TrainJob) -> list[Job]:
        if not self.spec.score:
            return []
        fields = {"job": _without_data(job), "catalog": self.catalog, "item": item_id}
        return [self._job(f"score-{item_id}", "score", fields, self._prepare(job), made, gpu=made.kind == "train")]

    def _export(self, index: int, spec: ExportSpec, trained: Job, job: TrainJob) -> list[Job]:
        with self.pipeline.at("grid", "exports", index):
            options = {} if spec.unroll is None else {"unroll": spec.unroll}
            export = ExportJob(job.item_id, spec.to, spec.via, spec.precision, options=options)
            if spec.to == job.variant:
                return []  # the model itself
            item_id = f"{job.name}-{job.version}-{variant_of(export, job.variant)}"
            self._only_once(item_id, "a format is there twice")
        fields: dict[str, Any] = {
            "job": json.loads(export.to_json()),
            "catalog": self.catalog,
            "item": item_id,
            "real_windows": spec.real_windows,
        }
        made = self._job(f"export-{item_id}", "export", fields, trained, self._prepare(job))
        return [made, *self._score(made, item_id, job)]

    def _job(self, name: str, kind: str, parameters: dict[str, Any], *needs: Job, gpu: bool = False) -> Job:
        cuda = gpu and self.spec.device == "cuda"
        return Job(
            name,
            kind,
            parameters,
            self.work,
            needs={need.name: need.key for need in needs},
            resources=GPU if cuda else {},
            environment={"MODELSTAC_DEVICE": "cuda"} if cuda else {},
            timeout=self.spec.timeout,
        )


def _without_data(job: TrainJob) -> dict[str, Any]:
    return {name: value for name, value in job.to_dict().items() if name != "data"}


def _changed(part: Any, changes: dict[str, Any]) -> Any:
    """Change fields of a preset's part."""
    return type(part).from_dict(part.to_dict() | changes) if changes else part
