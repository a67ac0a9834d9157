"""Export jobs: convert a published model, prove that the result equals its source, and only then publish it."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ConversionError, ItemExistsError, ParityError, SpecError
from modelstac.catalog.items.description import ModelDescription, Source
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Finished, Note, Report, Started, ignore
from modelstac.exporters.closing import asked, said
from modelstac.exporters.conversion import FIXED, Conversion
from modelstac.exporters.proof.cases import Case
from modelstac.exporters.proof.counterparts import Counterparts
from modelstac.exporters.proof.evidence import failure, prove, with_evidence
from modelstac.exporters.proof.real_windows import real_windows
from modelstac.exporters.proof.tolerances import TOLERANCES
from modelstac.exporters.routes import NODES, ROUTES, Edge, Routes, find_node, node_of
from modelstac.exporters.workers import Workers
from modelstac.registry.isolated.pins import with_requirements
from modelstac.registry.running.signature import Arrays, Signature


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
        Of the numbers in the result: ``fp32``, and for ONNX ``fp16`` and ``int8``. It sets the tolerance.
    seed
        Of the random cases on which source and result are compared.
    data
        Folder of radar frames: source and result are compared and scored on windows of them, too.
    options
        For the last converter of the route. ``fixed`` is for all of them: it allows axes to be closed that the source
        leaves open, ``True`` for any, or a mapping of axes to lengths; see :mod:`modelstac.exporters.closing`.
    """

    source: str
    target: str = "onnx"
    via: str | None = None
    precision: str = "fp32"
    seed: int = 0
    data: str | None = None
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
        if self.precision != "fp32" and self.target != "onnx":
            raise SpecError(
                f"{self.precision} is made of ONNX graphs only: choose onnx as the format, not {self.target}"
            )
        if self.data is not None and (not isinstance(self.data, str | Path) or not str(self.data)):
            raise SpecError(f"the data of an export job are a folder of radar frames, not {self.data!r}")
        object.__setattr__(self, "data", None if self.data is None else str(self.data))
        if not isinstance(self.options, Mapping):
            raise SpecError(f"the options of an export job map names to values, not {self.options!r}")
        object.__setattr__(self, "options", dict(self.options))

    def to_json(self) -> str:
        """Write the job as JSON, the same text for the same job."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None}, sort_keys=True)

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
        """SHA-256 of the job as JSON: ``interop:job`` of the item, where there are no data."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def digest_with(self, data: str) -> str:
        """Compute ``interop:job`` with the digest of the data in place of their path."""
        return replace(self, data=data).digest


def export(
    job: ExportJob,
    catalog: Catalog,
    *,
    routes: Routes = ROUTES,
    windows: NDArray[Any] | Arrays | None = None,
    workers: Workers | None = None,
    lock: bool = False,
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
        Real inputs, in the layout of the source, on which the two are compared too, beside the data of the job; by
        name where there are several.
    workers
        Processes to share between jobs; by default the job has its own.
    lock
        Ask uv for all packages that run it, and publish them with the hashes of their files.
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
        When there is no such conversion, or it fails, or closes an axis of an input unasked.
    ParityError
        When the result is farther from its source than the tolerance; nothing is published.
    """
    item = catalog.get(job.source)
    source = read_item(item)
    variant = variant_of(job, source.variant)
    item_id = f"{source.name}-{source.version}-{variant}"
    real = None if job.data is None else real_windows(job.data, source, report=report)
    digest = job.digest if real is None else job.digest_with(real.digest)
    if (existing := catalog.find(item_id)) is not None:
        return _existing(existing, digest, job, report)
    path = _plan(routes, source, job)
    cases = [*_given(windows, source), *([] if real is None else real.cases)]
    task = f"export {job.source} to {job.target}"
    report(Started(task))
    with ExitStack() as stack:
        start = time.perf_counter()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelstac-")))
        workers = workers if workers is not None else stack.enter_context(Workers())
        converted = _convert(path, item, job, folder, variant=variant, workers=workers, report=report)
        seconds = time.perf_counter() - start
        proof = prove(
            item,
            write_item(converted),
            workers,
            windows=cases,
            tolerance=TOLERANCES[job.precision],
            seed=job.seed,
            report=report,
        )
        if not proof.parity.passed:
            raise ParityError(failure(item_id, job.source, proof.parity))
        facts = {"precision": job.precision, "seed": job.seed} | ({} if real is None else {"data": real.to_dict()})
        described = with_evidence(
            converted.model_copy(update={"job": digest}), job.source, proof, folder, seconds=seconds, facts=facts
        )
        described = with_requirements(described, folder, lock=lock, report=report)
        published = catalog.publish(write_item(described), report=report)
    report(Finished(task))
    return published


def _given(windows: NDArray[Any] | Arrays | None, source: ModelDescription) -> list[Case]:
    if windows is None:
        return []
    named = windows if isinstance(windows, Mapping) else {source.inputs[0].name: windows}
    dtypes = {tensor.name: tensor.input.dtype for tensor in source.inputs}
    return [Case("real windows", {name: np.ascontiguousarray(a, dtypes.get(name)) for name, a in named.items()})]


def variant_of(job: ExportJob, source: str) -> str:
    """Name the variant that a job makes: ``<format>-from-<source>``, what else sets it apart before ``-from``."""
    precision = "" if job.precision == "fp32" else f"-{job.precision}"
    unrolled = f"-unrolled-{job.options['unroll']}" if "unroll" in job.options else ""
    fixed = "" if not job.options.get(FIXED) else "-fixed"
    if isinstance(lengths := job.options.get(FIXED), Mapping):
        named = (f"-{axis}-{length}" for axis, length in sorted(lengths.items()))
        fixed += re.sub("[^a-z0-9]+", "-", "".join(named).lower())
    passing = "" if job.via is None else f"-via-{job.via}"
    return f"{job.target}{precision}{unrolled}{fixed}{passing}-from-{source}"


def _plan(routes: Routes, source: ModelDescription, job: ExportJob) -> tuple[Edge, ...]:
    if source.precision not in {None, "fp32"}:
        origin = next((one.item_id for one in source.sources if one.item_id), "its source")
        raise ConversionError(f"{source.id!r} is reduced to {source.precision} already: convert {origin!r} instead")
    if job.precision != "fp32" and job.via is None and node_of(source) == job.target:
        return ()  # a step of its own follows
    return routes.plan(source, job.target, via=job.via)


def _existing(item: pystac.Item, digest: str, job: ExportJob, report: Report) -> pystac.Item:
    found = item.properties.get("interop:job")
    if found != digest:
        raise ItemExistsError(
            f"item {item.id!r} is there already and was made by another job ({str(found)[:12]}, not "
            f"{digest[:12]}): published items are immutable, so export a new version of {job.source!r}"
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
    source = read_item(item)
    found, told = source, dict[str, set[str]]()
    everywhere = {name: value for name, value in job.options.items() if name == FIXED}
    for number, edge in enumerate(path):
        place = folder / str(number)
        with explained(f"write {place}"):
            place.mkdir()
        last = number == len(path) - 1
        conversion = workers.convert(edge, item, place, job.options if last else everywhere, report=report)
        for tensor, axes in conversion.closed.items():
            told.setdefault(tensor, set()).update(axes)
        name = variant if last and job.precision == "fp32" else f"{edge.target}-between-{number}"
        found = describe_result(source, found, conversion, variant=name, target=edge.target)
        item = write_item(found)
    if job.precision != "fp32":
        from modelstac.exporters.converters.precision import convert  # needs onnxruntime

        reduced = convert(item, found, job.precision, folder)
        found = describe_result(source, found, reduced, variant=variant, target="onnx", precision=job.precision)
    found = _with_closed(found, source, told, report)
    _require_fixed(found, asked(source, job.options))
    return found


def _require_fixed(found: ModelDescription, wanted: Mapping[str, Mapping[str, int]]) -> None:
    """Refuse what leaves an axis open that was to be fixed: its id would say what it is not."""
    left = {
        name: {d: n for d, n in axes.items() if d not in found.closed.get(name, ())} for name, axes in wanted.items()
    }
    if left := {name: axes for name, axes in left.items() if axes}:
        raise ConversionError(
            f"{found.id!r} was to take {said(left)} only, and its file takes other lengths, too: leave --fixed out"
        )


def _with_closed(
    found: ModelDescription, source: ModelDescription, told: Mapping[str, set[str]], report: Report
) -> ModelDescription:
    """Say which axes are closed; see for oneself that names and axes are those of the source, whatever was told.

    Raises
    ------
    ConversionError
        When an axis is closed of which no step said so, or inputs or outputs stand in another order.
    """
    sides = Counterparts.of(Signature.of(source), Signature.of(found))
    for kind, pairs, tensors in (("inputs", sides.inputs, found.inputs), ("outputs", sides.outputs, found.outputs)):
        wanted, there = [theirs.name for _, theirs in pairs], [tensor.name for tensor in tensors]
        if wanted != there:
            raise ConversionError(
                f"{found.id!r} has the {kind} {', '.join(there)}, its source {', '.join(wanted)}: the order is part of"
                " what a model is"
            )
    closed = {
        theirs.name: {dim: n.at_least for dim, n in theirs.axes.items() if n.is_fixed and not ours.axes[dim].is_fixed}
        for ours, theirs in sides.inputs
    }
    closed = {name: axes for name, axes in closed.items() if axes}
    if unsaid := {n: {d: axes[d] for d in axes if d not in told.get(n, ())} for n, axes in closed.items()}:
        if any(unsaid.values()):
            raise ConversionError(f"{found.id!r} takes {said(unsaid)} only, which its source leaves open: say --fixed")
        report(Note(f"{found.id} takes {said(closed)} only, which its source leaves open"))
    return found.model_copy(update={"closed": closed})


def describe_result(
    source: ModelDescription,
    before: ModelDescription,
    conversion: Conversion,
    *,
    variant: str,
    target: str,
    precision: str = "fp32",
) -> ModelDescription:
    """Describe the result of a step: what the model is stays, what its file is changes.

    Parameters
    ----------
    source
        The model that is converted.
    before
        The result of the step before; the source in the first one.
    conversion
        What the step made.
    variant, target, precision
        Of the result.
    """
    form = FORMATS[NODES[target].format]
    kind = form.framework if precision == "fp32" else f"{form.framework}, {precision}"
    kept = {name: getattr(source, name) for name in ModelDescription.model_fields}
    # Facts about the file before, such as an opset, are none about this one.
    facts = {key: value for key, value in source.hyperparameters.items() if key not in FORMATS}
    return ModelDescription(
        **kept
        | {
            "variant": variant,
            "title": f"{source.title}, converted to {kind}",
            "description": f"{source.description}\n\nConverted from `{source.id}` to {kind}.",
            "format": form.name,
            "framework_version": conversion.framework_version,
            "backend": conversion.backend,
            "backend_version": conversion.backend_version,
            "inputs": conversion.inputs,
            "outputs": conversion.outputs,
            "sizes": {name: dict(axes) for name, axes in conversion.sizes.items()},
            "closed": {},
            "hyperparameters": {**facts, **conversion.hyperparameters},
            "entrypoint": conversion.entrypoint,
            "sources": (Source(item_id=source.id, title=source.title),),
            "route": (*before.route, *conversion.steps),
            "scores": None,
            "job": None,
            "precision": precision,
            "timing": None,
            "artifact": conversion.artifact,
            "checksum": None,
            "size": None,
            "assets": {},
            "parity": None,
        }
    )
