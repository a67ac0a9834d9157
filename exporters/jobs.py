"""Export jobs: convert a published model, prove that the result equals its source, and only then publish it."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
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
from modelstac.catalog.messages import Finished, Message, Note, Report, Started, ignore
from modelstac.catalog.storage import explained
from modelstac.exporters.converters import CONVERTERS, Conversion, Converter, Converters
from modelstac.exporters.parity import TOLERANCES, ParityReport, compare, make_cases
from modelstac.registry.load import load
from modelstac.registry.model import Model

PARITY_ASSET = "parity"


@dataclass(frozen=True)
class ExportJob:
    """One conversion of one published model; the same job gives the same item.

    Parameters
    ----------
    source
        Item id of the model to convert.
    target
        Format to convert it to.
    precision
        Of the numbers in the result; it sets the tolerance.
    seed
        Of the random cases on which source and result are compared.
    options
        For the converter.
    """

    source: str
    target: str = "onnx"
    precision: str = "fp32"
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not self.source:
            raise SpecError(f"an export job names its source by item id, not {self.source!r}")
        if self.target not in FORMATS:
            raise SpecError(f"unknown format {self.target!r}: choose one of {', '.join(sorted(FORMATS))}")
        if self.precision not in TOLERANCES:
            raise SpecError(f"unknown precision {self.precision!r}: choose one of {', '.join(sorted(TOLERANCES))}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise SpecError(f"the seed of an export job is a whole number from 0, not {self.seed!r}")
        if not isinstance(self.options, Mapping):
            raise SpecError(f"the options of an export job map names to values, not {self.options!r}")
        object.__setattr__(self, "options", dict(self.options))

    def to_json(self) -> str:
        """Write the job as JSON, the same text for the same job."""
        return json.dumps(asdict(self), sort_keys=True)

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
    converters: Converters = CONVERTERS,
    windows: NDArray[np.float32] | None = None,
    report: Report = ignore,
) -> pystac.Item:
    """Run an export job; a job that ran before gives its item and does nothing.

    Parameters
    ----------
    job
        What to convert to what.
    catalog
        Where the source is, and where the result is published.
    converters
        The conversions to choose from.
    windows
        Real inputs, in the layout of the source, on which the two are compared too.
    report
        Gets progress and notes.

    Returns
    -------
    pystac.Item
        As published: id ``<name>-<version>-<format>-from-<variant of the source>``.

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
    source = ModelDescription.from_item(catalog.get(job.source))
    variant = f"{job.target}-from-{source.variant}"
    item_id = f"{source.name}-{source.version}-{variant}"
    if (existing := catalog.find(item_id)) is not None:
        return _existing(existing, job, report)
    convert = converters.find(source.format, job.target)
    task = f"export {job.source} to {job.target}"
    report(Started(task))
    notes: list[str] = []

    def heard(message: Message) -> None:
        if isinstance(message, Note):  # such as a Keras backend that is not the item's: part of the record
            notes.append(message.text)
        report(message)

    with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
        folder = Path(name)
        with load(job.source, catalog=catalog, report=heard) as model:
            conversion, warned = _convert(convert, model, folder, job.options)
            converted = _describe(source, variant, job, conversion)
            parity = _prove(model, converted, job, windows=windows, report=report)
        if not parity.passed:
            raise ParityError(_failure(item_id, job, parity))
        converted = _with_evidence(converted, job, parity, folder, notes=(*notes, *warned))
        item = catalog.publish(converted.to_item(), report=report)
    report(Finished(task))
    return item


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
    convert: Converter, model: Model, folder: Path, options: Mapping[str, Any]
) -> tuple[Conversion, tuple[str, ...]]:
    """Run a converter; give its result and the warnings of the tools that it used."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        conversion = convert(model, folder, options)
    return conversion, tuple(f"{entry.category.__name__}: {entry.message}" for entry in caught)


def _describe(source: ModelDescription, variant: str, job: ExportJob, conversion: Conversion) -> ModelDescription:
    """Describe the result: what the model is stays, what its file is changes."""
    target = FORMATS[job.target]
    kept = {name: getattr(source, name) for name in ModelDescription.model_fields}
    return ModelDescription(
        **kept
        | {
            "variant": variant,
            "title": f"{source.title}, converted to {target.framework}",
            "description": f"{source.description}\n\nConverted from `{source.id}` to {target.framework}.",
            "format": job.target,
            "framework_version": conversion.framework_version,
            "backend": None,
            "backend_version": None,
            "inputs": conversion.inputs,
            "outputs": conversion.outputs,
            "hyperparameters": {**source.hyperparameters, **conversion.hyperparameters},
            "entrypoint": None,
            "sources": (Source(item_id=source.id, title=source.title),),
            "route": (*source.route, *conversion.steps),
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
    model: Model,
    converted: ModelDescription,
    job: ExportJob,
    *,
    windows: NDArray[np.float32] | None,
    report: Report,
) -> ParityReport:
    """Compare the source with the file as anybody will load it: by the registry, in the runtime of its format."""
    with load(converted.to_item(), report=report) as result:
        cases = make_cases(model.signature, result.signature, seed=job.seed, windows=windows)
        return compare(model, result, cases=cases, tolerance=TOLERANCES[job.precision], report=report)


def _failure(item_id: str, job: ExportJob, parity: ParityReport) -> str:
    worst = parity.worst
    return (
        f"{item_id} differs from {job.source} by {worst.max_absolute:.1e} ({worst.max_relative:.1e} of the largest "
        f"value) in the case {worst.case!r}, more than {parity.tolerance.absolute:.0e} "
        f"({parity.tolerance.relative:.0e}): nothing was published"
    )


def _with_evidence(
    converted: ModelDescription, job: ExportJob, parity: ParityReport, folder: Path, *, notes: tuple[str, ...]
) -> ModelDescription:
    """Add the parity report, and to the last step of the route what was said on the way."""
    path = folder / "parity.json"
    content = {"source": job.source, "target": converted.id, "precision": job.precision, "seed": job.seed}
    with explained(f"write {path}"):
        path.write_text(json.dumps(content | parity.to_dict(), indent=2) + "\n", encoding="utf-8")
    asset = ExtraAsset(path=path, media_type="application/json", roles=("metadata",), title="Parity with the source")
    *before, last = converted.route
    last = last.model_copy(update={"warnings": (*last.warnings, *dict.fromkeys(notes))})
    return converted.model_copy(
        update={
            "parity": parity.summary(job.source),
            "assets": {PARITY_ASSET: asset},
            "route": (*before, last),
        }
    )
