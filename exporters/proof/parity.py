"""The proof that two models compute the same function: run both on the same cases and measure how far they are apart.

Nothing here knows a framework: two objects with ``signature`` and ``run`` are compared, as
:func:`modelstac.registry.load.load` gives them, each with the layouts that it declares.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError, DataError
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.exporters.proof.cases import Case, make_cases
from modelstac.exporters.proof.counterparts import Counterparts, Pair, require_declared
from modelstac.exporters.proof.measuring import Difference, badness, measure
from modelstac.exporters.proof.report import OutputReport, ParityReport
from modelstac.exporters.proof.tolerances import TOLERANCES, Tolerance
from modelstac.registry.running.differences import differences, largest

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature
    from modelstac.training.scoring.metrics import Scores

Array = NDArray[Any]
CHAOTIC = 10.0
"""Measured on networks of four recurrent layers with linear and leaky cells: conversions that are equal are 0.2 to 2
times as far from their source as it is from itself."""


def compare(
    source: Runnable,
    target: Runnable,
    *,
    cases: Sequence[Case] | None = None,
    tolerance: Tolerance = TOLERANCES["fp32"],
    report: Report = ignore,
) -> ParityReport:
    """Compare two models on the same inputs, each output with the one of its name.

    Some recurrent networks are chaotic: over many frames, what rounding changes grows until it is all there is, so that
    even the same weights give another forecast in another order of sums. In a case of larger numbers or sizes than
    models are fed, a difference beyond the tolerance is therefore held against how far the source is from itself when
    its inputs are moved by rounding. Where it is at most :data:`CHAOTIC` times that, the case is measured and not
    judged, and says so.

    Parameters
    ----------
    source
        The model to be equal to.
    target
        The model in question; it may declare another order of the same dimensions, and of its inputs and outputs.
    cases
        What to run them on, in the layout of the source; by default those of :func:`make_cases`.
    tolerance
        What they may differ by.

    Raises
    ------
    ConversionError
        When the two have other names or cannot take the same inputs, or give outputs of different shapes.
    DataError
        When there is no case, or neither gives a value in any.
    """
    sides = Counterparts.of(source.signature, target.signature)
    cases = make_cases(source.signature, target.signature) if cases is None else cases
    if all(case.beyond and not tolerance.beyond for case in cases):
        raise DataError("a comparison of two models needs at least one case")
    report(Started("parity", len(cases)))
    measured = {ours.name: _Measured(pair, source.signature.inputs) for pair in sides.outputs for ours in pair[:1]}
    scores: tuple[Scores, Scores] | None = None
    for case in cases:
        expected, actual = _run_both(source, target, sides, case)
        own = functools.cache(functools.partial(_moved, source, case))
        found = [
            measured[name].add(case, expected[name], actual[name], tolerance, own)
            for name in (o.name for o, _ in sides.outputs)
        ]
        if case.score is not None:
            name = sides.outputs[0][0].name
            both = case.score(expected[name]), case.score(actual[name])
            scores = both if scores is None else (scores[0] + both[0], scores[1] + both[1])
        worst = max(found, key=badness)
        report(Advanced("parity", note=worst.note or f"{case.name}: {worst.max_absolute:.1e}"))
        for one in found:
            if one.note and not one.judged:
                report(Note(one.note))
    report(Finished("parity"))
    outputs = tuple(one.report(tolerance) for one in measured.values())
    if not any(output.total.values for output in outputs) and all(output.total.passed for output in outputs):
        raise DataError(f"in the case {cases[0].name!r} the models give no values: nothing can be compared")
    for output in outputs:
        if not output.total.values and output.total.passed:
            report(Note(f"the output {output.name!r} was empty in every case, in both: no value of it was compared"))
    return ParityReport(outputs, tolerance, scores)


def _moved(source: Runnable, case: Case) -> dict[str, Array]:
    """Give what the source makes of inputs that are moved by about what rounding moves them."""
    rng, moved = np.random.default_rng(0), dict(case.inputs)
    for name, array in moved.items():
        if array.dtype.kind == "f":
            step = np.finfo(array.dtype).eps * (largest(array) or 1.0)
            moved[name] = (array + step * rng.choice([-1.0, 1.0], array.shape)).astype(array.dtype)
    return source.run(moved)


def _run_both(
    source: Runnable, target: Runnable, sides: Counterparts, case: Case
) -> tuple[dict[str, Array], dict[str, Array]]:
    expected = {name: np.asarray(array) for name, array in source.run(case.inputs).items()}
    for ours, _ in sides.outputs:
        if expected[ours.name].ndim != len(ours.dim_order):
            require_declared(ours, expected[ours.name])
    try:
        return expected, sides.to_source(target.run(sides.to_target(case.inputs)))
    except (DataError, ConversionError) as error:
        raise ConversionError(f"in the case {case.name!r} the conversion fails: {error}") from error


@dataclass
class _Measured:
    """What is gathered of one output, case by case."""

    pair: Pair
    inputs: Sequence[TensorSignature]
    cases: list[Difference] = field(default_factory=list)
    expected: list[Array] = field(default_factory=list)
    actual: list[Array] = field(default_factory=list)

    def add(
        self, case: Case, expected: Array, actual: Array, tolerance: Tolerance, own: Callable[[], dict[str, Array]]
    ) -> Difference:
        name, judged = self.pair[0].name, tolerance.beyond or not case.beyond
        if expected.shape == actual.shape:
            found = dataclasses.replace(
                measure(case.name, expected, actual, tolerance, output=name, shapes=case.shapes),
                judged=judged,
                by_lead_time=_by_lead_time(expected, actual, self.pair[0].dim_order),
            )
            if judged and case.beyond and not found.passed:
                found = _unless_chaotic(found, expected, np.asarray(own()[name]), tolerance)
            if found.judged:
                self.expected.append(expected.ravel())
                self.actual.append(actual.ravel())
        elif set(_unequal(self.pair[0], expected, actual)) <= set(self._by_data()):
            found = _of_other_lengths(case, self.pair[0], expected, actual, judged=judged)
        else:
            shapes = f"{list(expected.shape)} and {list(actual.shape)}"
            raise ConversionError(
                f"in the case {case.name!r} source and conversion give different shapes of {name!r}: {shapes}"
            )
        self.cases.append(found)
        return found

    def _by_data(self) -> Iterator[str]:
        """Name the axes whose length depends on the values: those that say so, and open ones that no input has."""
        given = {dim for tensor in self.inputs for dim in tensor.dim_order}
        for tensor in self.pair:
            for dim, size in tensor.axes.items():
                if not size.is_fixed and (size.at_least == 0 or dim not in given):
                    yield dim

    def report(self, tolerance: Tolerance) -> OutputReport:
        name, judged = self.pair[0].name, [case for case in self.cases if case.judged]
        expected, actual = (np.concatenate(side) if side else np.zeros(0) for side in (self.expected, self.actual))
        total = dataclasses.replace(
            measure("total", expected, actual, tolerance, output=name),
            max_absolute=max(case.max_absolute for case in judged),
            max_relative=max(case.max_relative for case in judged),
            used=max(case.used for case in judged),
            passed=all(case.passed for case in judged),
        )
        return OutputReport(name, tuple(self.cases), total)


def _unless_chaotic(found: Difference, expected: Array, moved: Array, tolerance: Tolerance) -> Difference:
    """Leave a difference unjudged that is no larger than what rounding makes of the source itself."""
    if expected.shape != moved.shape:
        return found
    itself = measure(found.case, expected, moved, tolerance)
    if itself.passed or not math.isfinite(found.amount) or found.amount > CHAOTIC * itself.amount:
        return found
    note = (
        f"the case {found.case!r} is not judged: {found.output!r} of the source is {itself.max_absolute:.1e} from "
        f"itself when its inputs are moved by rounding, and the conversion {found.max_absolute:.1e} from it"
    )
    return dataclasses.replace(found, judged=False, note=note)


def _unequal(tensor: TensorSignature, expected: Array, actual: Array) -> list[str]:
    return [dim for dim, a, b in zip(tensor.dim_order, expected.shape, actual.shape, strict=True) if a != b]


def _of_other_lengths(
    case: Case, tensor: TensorSignature, expected: Array, actual: Array, *, judged: bool
) -> Difference:
    """Say that there is a difference which no number measures: one model finds more boxes than the other."""
    axes = dict(zip(tensor.dim_order, zip(expected.shape, actual.shape, strict=True), strict=True))
    told = ", ".join(f"{a} along {dim!r} and the conversion {b}" for dim, (a, b) in axes.items() if a != b)
    return Difference(
        case=case.name,
        output=tensor.name,
        shapes=case.shapes,
        values=0,
        max_absolute=math.inf,
        max_relative=math.inf,
        rmse=math.inf,
        p99=math.inf,
        used=math.inf,
        cosine=math.nan,
        passed=False,
        judged=judged,
        note=f"in the case {case.name!r} the source gives {tensor.name!r} with {told}",
    )


def _by_lead_time(expected: Array, actual: Array, dim_order: Sequence[str]) -> tuple[float, ...]:
    if "time" not in dim_order or expected.size == 0:
        return ()
    steps = np.moveaxis(differences(expected, actual), list(dim_order).index("time"), 0)
    return tuple(float(step.max()) for step in steps)
