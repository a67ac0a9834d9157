"""Which differences of a case count: what is out of tolerance fails, unless there is a reason that is said."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.proof.cases import FAR, Case
from modelstac.exporters.proof.counterparts import Pair
from modelstac.exporters.proof.measuring import Difference, measure
from modelstac.exporters.proof.report import OutputReport
from modelstac.exporters.proof.tolerances import Tolerance
from modelstac.registry.running.differences import differences

if TYPE_CHECKING:
    from modelstac.registry.running.signature import TensorSignature

Array = NDArray[Any]
CHAOTIC = 10.0
"""Measured on networks of four recurrent layers with linear and leaky cells: conversions that are equal are 0.2 to 2
times as far from their source as it is from itself."""
GROSS = 100.0
"""So many times what is allowed is no rounding of large numbers, but another function."""


@dataclass
class Measured:
    """What is gathered of one output, case by case."""

    pair: Pair
    inputs: Sequence[TensorSignature]
    cases: list[Difference] = field(default_factory=list)
    expected: list[Array] = field(default_factory=list)
    actual: list[Array] = field(default_factory=list)

    def add(
        self,
        case: Case,
        expected: Array,
        actual: Array,
        tolerance: Tolerance,
        own: Callable[[], tuple[dict[str, Array], dict[str, Array]]],
        *,
        unmade: bool,
    ) -> Difference:
        """Measure this output of a case, and decide whether it is judged."""
        name = self.pair[0].name
        if expected.shape == actual.shape:
            found = dataclasses.replace(
                measure(case.name, expected, actual, tolerance, output=name, shapes=case.shapes),
                by_lead_time=_by_lead_time(expected, actual, self.pair[0].dim_order),
            )
            found = unjudged(found, case, tolerance, unmade=unmade)
            counted = bool(case.after) and found.differing_ppm is not None  # what they are moved to is another number
            if found.judged and not found.passed and not counted:
                itself = [np.asarray(one[name]) for one in own()]
                found = unless_rounding(found, expected, actual, itself, tolerance)
            if expected.size and not found.values and not found.note:
                found = dataclasses.replace(found, note=f"the case {case.name!r} shows nothing: NaN everywhere in both")
            if found.judged:
                self.expected.append(expected.ravel())
                self.actual.append(actual.ravel())
        elif set(_unequal(self.pair[0], expected, actual)) <= set(self._by_data()):
            found = _of_other_lengths(case, self.pair[0], expected, actual)
            found = unjudged(found, case, tolerance, unmade=unmade)
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
        """Sum the cases up."""
        name, judged = self.pair[0].name, [case for case in self.cases if case.judged]
        expected, actual = (np.concatenate(side) if side else np.zeros(0) for side in (self.expected, self.actual))
        total = dataclasses.replace(
            measure("total", expected, actual, tolerance, output=name),
            max_absolute=max(case.max_absolute for case in judged),
            allowance=max(judged, key=lambda case: case.max_absolute).allowance,
            max_relative=max(case.max_relative for case in judged),
            used=max(case.used for case in judged),
            passed=all(case.passed for case in judged),
        )
        return OutputReport(name, tuple(self.cases), total)


def unjudged(found: Difference, case: Case, tolerance: Tolerance, *, unmade: bool) -> Difference:
    """Say of what lies beyond what a model is fed why it is not judged."""
    if unmade:
        why = "the source was not made for gaps"
    elif case.gaps or not case.beyond:
        return found
    elif case.stated or not tolerance.beyond:
        why = case.beyond
    elif case.name.endswith(FAR) or (not found.passed and not found.used <= GROSS):
        return found
    else:
        why = case.beyond
    apart = "" if found.passed else f": {found.told()}, {found.allowed(tolerance)}"
    return dataclasses.replace(found, judged=False, note=f"the case {found.case!r} is not judged, {why}{apart}")


def unless_rounding(
    found: Difference, expected: Array, actual: Array, itself: Sequence[Array], tolerance: Tolerance
) -> Difference:
    """Leave a difference unjudged that is no larger than the source's from itself.

    Parameters
    ----------
    found
        Out of tolerance.
    expected, actual
        What source and conversion gave.
    itself
        What it gives of the same input, and of one that is moved by rounding.
    """
    again, moved = (
        None if expected.shape != other.shape else measure(found.case, expected, other, tolerance) for other in itself
    )
    if again is not None and not again.passed and (found.amount <= CHAOTIC * again.amount):
        why = f"gives another answer each time, {again.told()}"
    elif moved is None or moved.passed or not _as_far(*_of_known(found, expected, actual, itself[-1], tolerance)):
        return found
    else:
        why = f"is {moved.told()} from itself when its inputs are moved by rounding"
    note = (
        f"the case {found.case!r} is not judged: {found.output!r} of the source {why}, and the conversion "
        f"{found.told()} from it"
    )
    return dataclasses.replace(found, judged=False, note=note)


def _of_known(
    found: Difference, expected: Array, actual: Array, moved: Array, tolerance: Tolerance
) -> tuple[Difference, Difference]:
    """Measure conversion and moved source where neither the source nor its moved self alone is missing or infinite.

    A field that is constant, divided by its standard deviation, is missing, and after a rounding it is not.
    """
    known = np.isfinite(expected) == np.isfinite(moved)
    ours, theirs = (measure(found.case, expected[known], other[known], tolerance) for other in (actual, moved))
    return ours, theirs


def _as_far(found: Difference, moved: Difference) -> bool:
    """Tell whether a difference is no larger than another, at its largest and in the mean: one value may be a tie."""
    pairs = ((found.amount, moved.amount), (found.rmse, moved.rmse))
    return found.passed or all(math.isfinite(other) and one <= CHAOTIC * other for one, other in pairs)


def _unequal(tensor: TensorSignature, expected: Array, actual: Array) -> list[str]:
    return [dim for dim, a, b in zip(tensor.dim_order, expected.shape, actual.shape, strict=True) if a != b]


def _of_other_lengths(case: Case, tensor: TensorSignature, expected: Array, actual: Array) -> Difference:
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
        note=f"in the case {case.name!r} the source gives {tensor.name!r} with {told}",
    )


def _by_lead_time(expected: Array, actual: Array, dim_order: Sequence[str]) -> tuple[float, ...]:
    if "time" not in dim_order or expected.size == 0:
        return ()
    steps = np.moveaxis(differences(expected, actual), list(dim_order).index("time"), 0)
    return tuple(float(step.max()) for step in steps)
