"""From scenes to jobs: one for each, in any order."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import NotFoundError, SpecError
from modelstac.jobs.job import NAME, Job

if TYPE_CHECKING:
    from modelstac.pipeline.spec import Pipeline, ScenesSpec

OPTIONS = (
    "post",
    "fill",
    "tile",
    "batch",
    "blend",
    "memory",
    "skip_errors",
    "per_tile",
    "vector",
    "preview",
    "reading",
)
"""What may be said of how scenes are run."""


def scene_jobs(pipeline: Pipeline, catalog: str) -> list[Job]:
    """Make a job for every scene.

    Raises
    ------
    SpecError, NotFoundError
        With the line and the field: an unknown option, scenes of one name, a pattern that nothing fits.
    """
    spec = pipeline.spec.scenes
    if spec is None:
        return []
    for key in spec.options:
        with pipeline.at("scenes", "options", key):
            if key not in OPTIONS:
                raise NotFoundError.unknown("option of scenes", key, OPTIONS, where="predict_scene")
    jobs: dict[str, Job] = {}
    for number, source in enumerate(spec.sources):
        with pipeline.at("scenes", "sources", number):
            for one in _found(pipeline, source):
                job = _job(pipeline, spec, one, catalog)
                if job.name in jobs:
                    raise SpecError(
                        f"two scenes are called {job.name.removeprefix('scene-')!r}: rename the file of one"
                    )
                jobs[job.name] = job
    if len({job.parameters["output"] for job in jobs.values()}) < len(jobs):
        with pipeline.at("scenes", "output"):
            raise SpecError("several scenes would become one map: put {name} into output")
    return list(jobs.values())


def _found(pipeline: Pipeline, source: Any) -> list[Any]:
    """Make paths absolute, and a pattern the files that fit it."""
    if isinstance(source, list):
        return [[pipeline.path(path) for path in source]]
    if isinstance(source, dict):
        return [{name: _found(pipeline, path)[0] for name, path in source.items()}]
    if "*" not in source or "://" in source:
        return [pipeline.path(source)]
    found = sorted(glob.glob(source, root_dir=pipeline.folder))  # noqa: PTH207 - a pattern may begin at the root
    if not found:
        raise NotFoundError(f"no file fits {source!r} in {pipeline.folder}: check the pattern")
    return [pipeline.path(path) for path in found]


def _job(pipeline: Pipeline, spec: ScenesSpec, source: Any, catalog: str) -> Job:
    first = source
    while not isinstance(first, str):
        first = next(iter(first.values() if isinstance(first, dict) else first))
    name = "".join(letter if NAME.fullmatch(f"x{letter}") else "-" for letter in Path(first.rstrip("/")).stem)[:150]
    output = pipeline.path(spec.output.replace("{name}", name))
    options = {
        key: value.replace("{name}", name) if key in {"vector", "preview"} and isinstance(value, str) else value
        for key, value in spec.options.items()
    }
    options |= {key: pipeline.path(options[key]) for key in ("vector", "preview") if isinstance(options.get(key), str)}
    parameters = {"item": spec.item, "catalog": catalog, "source": source, "output": output, "options": options}
    cuda = pipeline.spec.device == "cuda"
    return Job(
        f"scene-{name}",
        "scene",
        parameters,
        pipeline.path(pipeline.spec.work),
        resources={"GPU": 1.0} if cuda else {},
        environment={"MODELSTAC_DEVICE": "cuda"} if cuda else {},
        timeout=pipeline.spec.timeout,
    )
