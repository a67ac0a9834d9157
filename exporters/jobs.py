"""Export jobs: convert a published model, prove that the result equals its source, and only then publish it."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ConversionError, ItemExistsError, SpecError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.reading import read_own
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Finished, Note, Report, Started, ignore
from modelstac.exporters.attempts.attempt import Attempt
from modelstac.exporters.attempts.inheriting import inherited
from modelstac.exporters.conversion import FIXED
from modelstac.exporters.proof.cases import Case, require_fit
from modelstac.exporters.proof.evidence import import_ahead, with_evidence
from modelstac.exporters.proof.real_windows import real_windows
from modelstac.exporters.proof.tolerances import tolerance_of
from modelstac.exporters.routes import ROUTES, Routes, find_node, node_of
from modelstac.exporters.routes import Path as Route
from modelstac.exporters.workers import Workers
from modelstac.registry.choosing.candidates import model_asset
from modelstac.registry.files.fetch import fetch
from modelstac.registry.inspecting.precision import precision_of
from modelstac.registry.isolated.pins import with_requirements
from modelstac.registry.running.signature import Arrays, Signature
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

PRECISIONS = ("fp32", "fp16", "int8")


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
        Format that the route must pass. Of the routes left, the cheapest whose result is equal is taken.
    precision
        Of the numbers in the result: ``fp32``, and for ONNX ``fp16`` and ``int8``. It sets the tolerance.
    seed
        Of the random cases on which source and result are compared.
    tolerance
        Largest absolute difference that is allowed instead of what the precision allows, and as a share of the largest
        value ten times as much; the item says so.
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
    tolerance: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not self.source:
            raise SpecError(f"an export job names its source by item id, not {self.source!r}")
        object.__setattr__(self, "target", find_node(self.target))
        if self.via is not None:
            object.__setattr__(self, "via", find_node(self.via))
        if self.precision not in PRECISIONS:
            raise SpecError(f"unknown precision {self.precision!r}: choose one of {', '.join(sorted(PRECISIONS))}")
        if self.tolerance is not None:
            if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, int | float):
                raise SpecError(f"the tolerance of an export job is a number, not {self.tolerance!r}")
            tolerance_of(self.precision, asked=self.tolerance)
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
    policy: TrustPolicy = DEFAULT_POLICY,
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
    policy
        What of the source may run code; of workers that are shared, theirs.
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
    DataError
        When real inputs are not what the source takes.
    ParityError
        When the result is farther from its source than the tolerance; nothing is published.
    """
    item = catalog.get(job.source)
    source = read_own(item)
    variant = variant_of(job, source.variant)
    item_id = f"{source.name}-{source.version}-{variant}"
    real = None if job.data is None else real_windows(job.data, source, report=report)
    digest = job.digest if real is None else job.digest_with(real.digest)
    if (existing := catalog.find(item_id)) is not None:
        return _existing(existing, digest, job, report)
    ways = _plan(routes, source, job)
    computes_in = _computes_in(item, source)
    cases = [*_given(windows, source), *([] if real is None else real.cases)]
    takes = Signature.of(source)
    for case in cases:  # what the source cannot take is no fault of a route
        require_fit(case, takes, takes)
    task = f"export {job.source} to {job.target}"
    report(Started(task))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelstac-")))
        workers = workers if workers is not None else stack.enter_context(Workers(policy))
        attempt = Attempt(
            item=item,
            target=job.target,
            variant=variant,
            precision=job.precision,
            options=job.options,
            folder=folder,
            cases=cases,
            seed=job.seed,
            tolerance=tolerance_of(job.precision, computes_in, job.tolerance),
            workers=workers,
            report=report,
        )
        import_ahead()
        converted, proof, seconds = attempt.first_of(ways)
        facts = {"precision": job.precision, "source_precision": computes_in, "seed": job.seed}
        facts |= ({} if real is None else {"data": real.to_dict()}) | (
            {"tried": attempt.tried()} if attempt.failed else {}
        )
        described = with_evidence(
            converted.model_copy(update={"job": digest} | _lower(job.precision, computes_in)),
            job.source,
            proof,
            folder,
            seconds=seconds,
            facts=facts,
        )
        described = inherited(item, source, described, proof.example, folder, report=report)
        described = with_requirements(described, folder, lock=lock, report=report)
        published = catalog.publish(write_item(described), report=report)
    report(Finished(task))
    return published


def _computes_in(item: pystac.Item, source: ModelDescription) -> str:
    """Tell in which precision a source computes, as its file says; one that was made here by its item."""
    if source.precision not in {None, "fp32"}:
        return str(source.precision)
    key, _ = model_asset(item)
    data = fetch(item, key, max_bytes=DEFAULT_POLICY.max_bytes).data
    return precision_of(data, source.file_format.artifact_type)


def _lower(precision: str, source: str) -> dict[str, str]:
    """Say of a file that was not reduced that it computes in the lower precision of its source."""
    return {"precision": source} if precision == "fp32" and source != "fp32" else {}


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


def _plan(routes: Routes, source: ModelDescription, job: ExportJob) -> Iterator[Route]:
    if source.precision not in {None, "fp32"} and source.route:  # a file that its publisher made so is a source
        origin = next((one.item_id for one in source.sources if one.item_id), "its source")
        raise ConversionError(f"{source.id!r} is reduced to {source.precision} already: convert {origin!r} instead")
    if job.precision != "fp32" and job.via is None and node_of(source) == job.target:
        return iter([()])  # a step of its own follows
    ways = routes.ways(source, job.target, via=job.via)
    return itertools.chain([next(ways)], ways)  # what makes no sense is refused here


def _existing(item: pystac.Item, digest: str, job: ExportJob, report: Report) -> pystac.Item:
    found = item.properties.get("interop:job")
    if found != digest:
        raise ItemExistsError(
            f"item {item.id!r} is there already and was made by another job ({str(found)[:12]}, not "
            f"{digest[:12]}): published items are immutable, so export a new version of {job.source!r}"
        )
    report(Note(f"{item.id} was published by this job before: nothing to do"))
    return item
