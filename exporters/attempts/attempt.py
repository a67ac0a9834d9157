"""Routes tried one after the other: a public converter refuses what another takes, or writes what is not equal."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pystac

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import (
    ConversionError,
    DataError,
    InvalidItemError,
    ModelStacError,
    NotFoundError,
    ParityError,
    SpecError,
    UntrustedError,
)
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Note, Report
from modelstac.exporters.attempts.deepness import with_metadata
from modelstac.exporters.attempts.describing import describe_result, require_fixed, with_closed
from modelstac.exporters.closing import asked
from modelstac.exporters.conversion import FIXED, REBUILT, Conversion
from modelstac.exporters.proof.cases import Case
from modelstac.exporters.proof.counterparts import Counterparts
from modelstac.exporters.proof.evidence import Proof, prove
from modelstac.exporters.proof.tolerances import Tolerance
from modelstac.exporters.routes import Path, walked
from modelstac.exporters.workers import Workers
from modelstac.registry.running.examples import read_example
from modelstac.registry.running.signature import Signature

ROUTE_FAILED = (ConversionError, InvalidItemError, UntrustedError, DataError, SpecError)
"""What another route may not meet: a tool cannot, or what it wrote is no model, or none that is to be loaded."""
MOST_ROUTES = 5
"""Tried before a conversion is given up; there are at most four for a model of any architecture today."""


@dataclass
class Attempt:
    """Routes tried one after the other, until what one makes is equal to its source.

    What lies between source and target is described and loaded like any model, never published; steps that two routes
    share are done once.

    Parameters
    ----------
    item
        The source.
    target
        Node to reach.
    variant, precision
        Of the result.
    options
        Of the job.
    folder
        Where to write.
    cases, seed
        For the proof: those of the job beside those that are made, from this seed.
    tolerance
        What source and result may differ by.
    """

    item: pystac.Item
    target: str
    variant: str
    precision: str
    options: Mapping[str, Any]
    folder: pathlib.Path
    cases: Sequence[Case]
    seed: int
    tolerance: Tolerance
    workers: Workers
    report: Report
    failed: list[tuple[Path, ModelStacError]] = field(default_factory=list)
    _made: dict[Path, tuple[ModelDescription, Conversion]] = field(default_factory=dict)
    _broken: list[Path] = field(default_factory=list)

    @cached_property
    def _source(self) -> ModelDescription:
        return read_item(self.item)

    def first_of(self, ways: Iterable[Path]) -> tuple[ModelDescription, Proof, float]:
        """Give the first result that is equal to its source, how that was proved, and the seconds of its conversion."""
        for path in ways:
            if any(path[: len(start)] == start for start in self._broken):
                continue
            if self.failed:
                before, error = self.failed[-1]
                self.report(Note(f"{walked(before)} fails: {self._said(error)}; trying {walked(path)}"))
            try:
                start = time.perf_counter()
                found = self._convert(path)
                seconds = time.perf_counter() - start
                return self._with_failed(found), self._prove(found), seconds
            except ROUTE_FAILED as error:
                if not path or self._concerns_all(error, path):
                    raise
                self.failed.append((path, error))
                done = next((n for n in range(1, len(path)) if path[:n] not in self._made), len(path))
                self._broken.append(path[:done])
            if len(self.failed) == MOST_ROUTES:
                break
        raise self._failure()

    def _concerns_all(self, error: ModelStacError, path: Path) -> bool:
        """Tell whether an error is one of the job or its source, whatever the route.

        So is an option that the route lacks, a source that is not read, and a network which, rebuilt as the item states
        it, is not what the file computes: the item is wrong then, and another route would carry that on.
        """
        if isinstance(error, SpecError):
            return not self.failed
        if isinstance(error, ParityError):
            return any(edge.method == REBUILT for edge in path)
        return not isinstance(error, ConversionError) and not self._made

    def tried(self) -> list[dict[str, Any]]:
        """Give the routes that failed, and why, as JSON types."""
        return [
            {"route": [path[0].source, *(edge.target for edge in path)], "reason": self._said(error)}
            for path, error in self.failed
        ]

    def _failure(self) -> ModelStacError:
        [(_, first), *others] = self.failed
        if not others and not isinstance(first, InvalidItemError):  # that one names a file which is gone
            return first
        reasons: dict[str, list[str]] = {}
        for path, error in self.failed:
            reasons.setdefault(self._said(error), []).append(walked(path))
        told = "; ".join(f"{' and '.join(paths)}: {reason}" for reason, paths in reasons.items())
        kind = ParityError if isinstance(first, ParityError) else ConversionError
        return kind(
            f"no route from {self.item.id} to {self.target} gives an equal model: {told}: nothing was published"
        )

    def _said(self, error: ModelStacError) -> str:
        """Give a reason without the folder of this run, and without what is said once for all routes."""
        return str(error).replace(f"{self.folder}/", "").removesuffix(": nothing was published")

    def _with_failed(self, found: ModelDescription) -> ModelDescription:
        """Say in the record of the route which were tried before it."""
        if not self.failed:
            return found
        said = tuple(f"{walked(path)} was tried before and failed" for path, _ in self.failed)
        first, *rest = found.route
        first = first.model_copy(update={"warnings": (*said, *first.warnings)})
        return found.model_copy(update={"route": (first, *rest)})

    def _prove(self, found: ModelDescription) -> Proof:
        return prove(
            self.item,
            write_item(found),
            self.workers,
            windows=self.cases,
            tolerance=self.tolerance,
            seed=self.seed,
            report=self.report,
        )

    def _convert(self, path: Path) -> ModelDescription:
        source = found = self._source
        told = dict[str, set[str]]()
        if path and path[:1] not in self._made:
            self.workers.prepare(self.item, path[0])
        for number in range(len(path)):
            found, conversion = self._step(path[: number + 1], found, last=number == len(path) - 1)
            for tensor, axes in conversion.closed.items():
                told.setdefault(tensor, set()).update(axes)
        if self.precision != "fp32":
            from modelstac.exporters.converters.precision import convert  # needs onnxruntime

            item = write_item(found) if path else self.item
            reduced = convert(item, found, self.precision, self.folder, example=self._example(found))
            changed = {"variant": self.variant, "precision": self.precision}
            found = describe_result(source, found, reduced, target="onnx", **changed)
        found = with_closed(found, source, told, self.report)
        require_fixed(found, asked(source, self.options))
        return with_metadata(found) if path or self.precision != "fp32" else found

    def _example(self, found: ModelDescription) -> dict[str, Any] | None:
        """Give the inputs of the example that the source was published with, if any, as the result takes them."""
        try:
            given, _ = read_example(self.item)
        except NotFoundError:
            return None
        sides = Counterparts.of(Signature.of(self._source), Signature.of(found))
        return sides.to_target(given)

    def _step(self, path: Path, before: ModelDescription, *, last: bool) -> tuple[ModelDescription, Conversion]:
        if path in self._made:
            return self._made[path]
        edge, number = path[-1], len(path) - 1
        place = self.folder / f"{len(self.failed)}-{number}"
        with explained(f"write {place}"):
            place.mkdir()
        everywhere = {name: value for name, value in self.options.items() if name == FIXED}
        item = write_item(before) if number else self.item
        options = self.options if last else everywhere
        conversion = self.workers.convert(edge, item, place, options, report=self.report)
        name = self.variant if last and self.precision == "fp32" else f"{edge.target}-between-{number}"
        found = describe_result(self._source, before, conversion, variant=name, target=edge.target)
        self._made[path] = found, conversion
        return found, conversion
