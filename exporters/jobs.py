"""Export jobs: convert a published model, prove that the result equals its source, and only then publish it."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ItemExistsError, ParityError, SpecError
from modelstac.catalog.formats import FORMATS
from modelstac.catalog.items import ExtraAsset, ModelDescription, Source
from modelstac.catalog.messages import Finished, Note, Report, Started, ignore
from modelstac.catalog.storage import explained
from modelstac.exporters.converters import Conversion
from modelstac.exporters.examples import Example, make_example
from modelstac.exporters.parity import TOLERANCES, ParityReport, compare, make_cases
from modelstac.exporters.routes import NODES, ROUTES, Edge, Routes, find_node
from modelstac.exporters.sizes import find_sizes
from modelstac.exporters.workers import Workers
from modelstac.registry.examples import write_example

PARITY_ASSET = "parity"


@dataclass(frozen=True)
class ExportJob:
    """One conversion of one published model; the same job gives the same item.

    Parameters
    ----------
    source
        Item id of the model to convert.
    target
        Format to convert it to: a name of :data:`modelstac.exporters.routes.NODES`.
    via
        Format that the route must pass; by default the cheapest route is taken.
    precision
        Of the numbers in the result; it sets the tolerance.
    seed
        Of the random cases on which source and result are compared.
    options
        For the last converter of the route.
    """

    source: str
    target: str = "onnx"
    via: str | None = None
    precision: str = "fp32"
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not self.source:
            raise SpecError(f"an export job names its source by item id, not {self.source!r}")
        object.__setattr__(self, "target", find_node(self.target))
        if self.via is not None:
            object.__setattr__(self, "via", find_node(self.via))
        if self.precision not in TOLERANCES:
            raise SpecError(f"unknown precision {self.precision!r}: choose one of {', '.join(sorted(TOLERANCES))}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise SpecError(f"the seed of an export job is a whole number from 0, not {self.seed!r}")
        if not isinstance(self.options, Mapping):
            raise SpecError(f"the options of an export job map names to values, not {self.options!r}")
        object.__setattr__(self, "options", dict(self.options))

    def to_json(self) -> str:
        """Write the job as JSON, the same text for the same job."""
        content = {name: value for name, value in asdict(self).items() if name != "via" or value is not None}
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ExportJob:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        SpecError
            When it is no JSON object, has an unknown field or makes no sense.
        """
        try:
            found = json.loads(text)
        except ValueError as error:
            raise SpecError(f"an export job is a JSON object: {error}") from error
        known = [entry.name for entry in fields(cls)]
        if not isinstance(found, dict) or "source" not in found:
            raise SpecError(f"an export job is a JSON object with a source; known fields: {', '.join(known)}")
        if unknown := sorted(set(found) - set(known)):
            raise SpecError(f"an export job has no field {unknown[0]!r}; known: {', '.join(known)}")
        return cls(**found)

    @property
    def digest(self) -> str:
        """SHA-256 of the job as JSON: ``interop:job`` of the item."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def export(
    job: ExportJob,
    catalog: Catalog,
    *,
    routes: Routes = ROUTES,
    windows: NDArray[np.float32] | None = None,
    workers: Workers | None = None,
    report: Report = ignore,
) -> pystac.Item:
    """Run an export job; a job that ran before gives its item and does nothing.

    Parameters
    ----------
    job
        What to convert to what.
    catalog
        Where the source is, and where the result is published.
    routes
        The conversions to choose from.
    windows
        Real inputs, in the layout of the source, on which the two are compared too.
    workers
        Processes to share between jobs; by default the job has its own.
    report
        Gets progress and notes.

    Returns
    -------
    pystac.Item
        As published: id ``<name>-<version>-<variant>``, see :func:`variant_of`.

    Raises
    ------
    NotFoundError
        When the catalog has no such source.
    ItemExistsError
        When the item id is taken by the result of another job.
    ConversionError
        When there is no such conversion, or it fails.
    ParityError
        When the result is farther from its source than the tolerance; nothing is published.
    """
    item = catalog.get(job.source)
    source = ModelDescription.from_item(item)
    variant = variant_of(job, source)
    item_id = f"{source.name}-{source.version}-{variant}"
    if (existing := catalog.find(item_id)) is not None:
        return _existing(existing, job, report)
    path = routes.plan(source, job.target, via=job.via)
    task = f"export {job.source} to {job.target}"
    report(Started(task))
    with ExitStack() as stack:
        start = time.perf_counter()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelstac-")))
        workers = workers if workers is not None else stack.enter_context(Workers())
        converted = _convert(path, item, job, folder, variant=variant, workers=workers, report=report)
        seconds = time.perf_counter() - start
        parity, example = _prove(item, converted.to_item(), job, workers, windows=windows, report=report)
        if not parity.passed:
            raise ParityError(_failure(item_id, job, parity))
        published = catalog.publish(
            _with_evidence(converted, job, parity, folder, example=example, seconds=seconds).to_item(), report=report
        )
    report(Finished(task))
    return published


def variant_of(job: ExportJob, source: ModelDescription) -> str:
    """Name the variant that a job makes: ``<format>-from-<variant>``, or ``<format>-via-<format>-from-<variant>``."""
    passing = "" if job.via is None else f"-via-{job.via}"
    return f"{job.target}{passing}-from-{source.variant}"


def _existing(item: pystac.Item, job: ExportJob, report: Report) -> pystac.Item:
    found = item.properties.get("interop:job")
    if found != job.digest:
        raise ItemExistsError(
            f"item {item.id!r} is there already and was made by another job ({str(found)[:12]}, not "
            f"{job.digest[:12]}): published items are immutable, so export a new version of {job.source!r}"
        )
    report(Note(f"{item.id} was published by this job before: nothing to do"))
    return item


def _convert(
    path: tuple[Edge, ...],
    item: pystac.Item,
    job: ExportJob,
    folder: Path,
    *,
    variant: str,
    workers: Workers,
    report: Report,
) -> ModelDescription:
    """Walk the route; what lies between source and target is described and loaded like any model, never published."""
    source = ModelDescription.from_item(item)
    found = source
    for number, edge in enumerate(path):
        place = folder / str(number)
        with explained(f"write {place}"):
            place.mkdir()
        last = number == len(path) - 1
        conversion = workers.convert(edge, item, place, job.options if last else {}, report=report)
        name = variant if last else f"{edge.target}-between-{number}"
        found = _describe(source, found, conversion, variant=name, target=edge.target, job=job)
        item = found.to_item()
    return found


def _describe(
    source: ModelDescription,
    before: ModelDescription,
    conversion: Conversion,
    *,
    variant: str,
    target: str,
    job: ExportJob,
) -> ModelDescription:
    """Describe the result of a step: what the model is stays, what its file is changes."""
    form = FORMATS[NODES[target].format]
    kept = {name: getattr(source, name) for name in ModelDescription.model_fields}
    # Facts about the file before, such as an opset, are none about this one.
    facts = {key: value for key, value in source.hyperparameters.items() if key not in FORMATS}
    return ModelDescription(
        **kept
        | {
            "variant": variant,
            "title": f"{source.title}, converted to {form.framework}",
            "description": f"{source.description}\n\nConverted from `{source.id}` to {form.framework}.",
            "format": form.name,
            "framework_version": conversion.framework_version,
            "backend": conversion.backend,
            "backend_version": conversion.backend_version,
            "inputs": conversion.inputs,
            "outputs": conversion.outputs,
            "hyperparameters": {**facts, **conversion.hyperparameters},
            "entrypoint": conversion.entrypoint,
            "sources": (Source(item_id=source.id, title=source.title),),
            "route": (*before.route, *conversion.steps),
            "scores": None,
            "job": job.digest,
            "artifact": conversion.artifact,
            "checksum": None,
            "size": None,
            "assets": {},
            "parity": None,
        }
    )


def _prove(
    source: pystac.Item,
    converted: pystac.Item,
    job: ExportJob,
    workers: Workers,
    *,
    windows: NDArray[np.float32] | None,
    report: Report,
) -> tuple[ParityReport, Example]:
    """Compare the source with the file as anybody will load it: by the registry, in the runtime of its format."""
    with workers.open(source, report=report) as model, workers.open(converted, report=report) as result:
        sizes = find_sizes(model, result)
        cases = make_cases(model.signature, result.signature, seed=job.seed, windows=windows, sizes=sizes)
        found = compare(model, result, cases=cases, tolerance=TOLERANCES[job.precision], report=report)
        return found, make_example(source, model, result, cases)


def _failure(item_id: str, job: ExportJob, parity: ParityReport) -> str:
    worst = parity.worst
    return (
        f"{item_id} differs from {job.source} by {worst.max_absolute:.1e} ({worst.max_relative:.1e} of the largest "
        f"value) in the case {worst.case!r}, more than {parity.tolerance.absolute:.0e} "
        f"({parity.tolerance.relative:.0e}): nothing was published"
    )


def _with_evidence(
    converted: ModelDescription,
    job: ExportJob,
    parity: ParityReport,
    folder: Path,
    *,
    example: Example,
    seconds: float,
) -> ModelDescription:
    """Add the parity report and the example."""
    path = folder / "parity.json"
    content: dict[str, Any] = {
        "source": job.source,
        "target": converted.id,
        "precision": job.precision,
        "seed": job.seed,
    }
    content["seconds"] = seconds  # of the conversion alone
    with explained(f"write {path}"):
        path.write_text(json.dumps(content | parity.to_dict(), indent=2) + "\n", encoding="utf-8")
    asset = ExtraAsset(path=path, media_type="application/json", roles=("metadata",), title="Parity with the source")
    assets = {PARITY_ASSET: asset, **write_example(folder, *example)}
    return converted.model_copy(update={"parity": parity.summary(job.source), "assets": assets})
