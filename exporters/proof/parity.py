"""The proof that two models compute the same function: run both on the same cases and measure how far they are apart.

Nothing here knows a framework: two objects with ``signature`` and ``predict`` are compared, as
:func:`modelstac.registry.load.load` gives them, each in the layout that it declares.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError, DataError
from modelstac.catalog.items.description import Parity
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.exporters.proof.cases import Case, make_cases, permutation

if TYPE_CHECKING:
    from modelstac.training.scoring.metrics import Scores

Array = NDArray[np.floating[Any]]


class Runnable(Protocol):
    """What can be compared; :class:`modelstac.registry.running.model.Model` is one."""

    signature: Any  # Layouts; an attribute of a protocol is invariant, so that its own type would not fit

    def predict(self, inputs: NDArray[Any], /) -> NDArray[Any]:
        """Run the model on an array in the layout of its only input."""
        ...


@dataclass(frozen=True)
class Tolerance:
    """What two models may differ by; both limits must hold in every case.

    Parameters
    ----------
    absolute
        Of every output value, where outputs are at most 1; where they are larger it grows with the largest of the
        source in the same case, as the spacing of floating point numbers does.
    relative
        Of every output value, as a share of the largest output of the source in the same case. (A share of the value
        itself would say nothing where outputs are near zero.)
    beyond
        Whether it must hold in cases beyond what models are fed, too.
    """

    absolute: float
    relative: float
    beyond: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.absolute < math.inf and 0 <= self.relative < math.inf):
            raise DataError(f"tolerances must be finite and not negative, not {self.absolute} and {self.relative}")


TOLERANCES = MappingProxyType(
    {
        "fp32": Tolerance(absolute=1e-5, relative=1e-4),
        "fp16": Tolerance(absolute=5e-3, relative=1e-2, beyond=False),
        "int8": Tolerance(absolute=5e-2, relative=1e-1, beyond=False),
    }
)
"""Tolerance of a conversion by the precision of its result. Half precision has a spacing of 5e-4 below 1, 8 bits one of
4e-3 of the largest value; both add up over time steps and layers."""


@dataclass(frozen=True)
class Difference:
    """How far apart the outputs of two models are.

    Parameters
    ----------
    case
        Name of the case, ``total`` for all of them.
    shape
        Shape of the input in the layout of the source; empty for the total.
    max_absolute, max_relative, rmse, p99
        Largest difference, the same as a share of the source's largest value, root of the mean square, and 99th
        percentile; infinite when one model gives a number where the other gives none.
    cosine
        Cosine of the angle between the outputs as vectors; 1 when both are zero.
    passed
        Whether the tolerance holds.
    judged
        Whether it must.
    by_lead_time
        Largest difference at each lead time, where the output has a dimension ``time``.
    """

    case: str
    shape: tuple[int, ...]
    max_absolute: float
    max_relative: float
    rmse: float
    p99: float
    cosine: float
    passed: bool
    judged: bool = True
    by_lead_time: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types; what is not finite becomes None."""
        fields = {name: _finite(value) for name, value in dataclasses.asdict(self).items()}
        return fields | {"shape": list(self.shape), "by_lead_time": [_finite(value) for value in self.by_lead_time]}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class ParityReport:
    """What a comparison found.

    Parameters
    ----------
    cases, total
        Case by case, and over all that are judged.
    tolerance
        What was allowed.
    scores
        Of source and conversion on real data, where there were any.
    """

    cases: tuple[Difference, ...]
    total: Difference
    tolerance: Tolerance
    scores: tuple[Scores, Scores] | None = None

    @property
    def passed(self) -> bool:
        """Whether the tolerance held in every case that is judged."""
        return all(case.passed for case in self.cases if case.judged)

    @property
    def worst(self) -> Difference:
        """The judged case with the largest absolute difference."""
        judged = [case for case in self.cases if case.judged]
        return max(judged, key=lambda case: (not case.passed, case.max_absolute))

    @property
    def task(self) -> dict[str, dict[str, float]] | None:
        """Means over lead times of RMSE, MAE (mm/h) and CSI of both, and what the conversion changes."""
        if self.scores is None:
            return None
        source, converted = (
            {name: value for name, value in one.summary().items() if name.split("_")[0] in {"rmse", "mae", "csi"}}
            for one in self.scores
        )
        change = {name: converted[name] - value for name, value in source.items() if name in converted}
        return {"source": source, "converted": converted, "change": change}

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON types: the content of ``parity.json``."""
        return {
            "passed": self.passed,
            "tolerance": dataclasses.asdict(self.tolerance),
            "total": self.total.to_dict(),
            "cases": [case.to_dict() for case in self.cases],
        } | ({} if self.task is None else {"task": self.task})

    def summary(self, source: str) -> Parity:
        """Give what the item says: ``interop:parity``.

        Parameters
        ----------
        source
            Item id of the model that was converted.
        """
        change = {} if self.task is None else self.task["change"]
        skill = [abs(value) for name, value in change.items() if name.startswith("csi")]
        return Parity(
            source=source,
            max_absolute_difference=self.total.max_absolute,
            max_relative_difference=self.total.max_relative,
            root_mean_square_difference=self.total.rmse,
            cases=len(self.cases),
            absolute_tolerance=self.tolerance.absolute,
            relative_tolerance=self.tolerance.relative,
            passed=self.passed,
            percentile_99_difference=self.total.p99,
            cosine=self.total.cosine,
            rmse_change=change.get("rmse"),
            csi_change=max(skill, default=None),
        )


def compare(
    source: Runnable,
    target: Runnable,
    *,
    cases: Sequence[Case] | None = None,
    tolerance: Tolerance = TOLERANCES["fp32"],
    report: Report = ignore,
) -> ParityReport:
    """Compare two models on the same inputs.

    Parameters
    ----------
    source
        The model to be equal to.
    target
        The model in question; it may declare another order of the same dimensions.
    cases
        What to run them on, in the layout of the source; by default those of :func:`make_cases`.
    tolerance
        What they may differ by.

    Raises
    ------
    ConversionError
        When the two cannot take the same inputs, or give outputs of different shapes.
    DataError
        When there is no case.
    """
    inwards = permutation(source.signature.inputs[0], target.signature.inputs[0])
    outwards = permutation(target.signature.outputs[0], source.signature.outputs[0])
    cases = make_cases(source.signature, target.signature) if cases is None else cases
    if all(case.beyond and not tolerance.beyond for case in cases):
        raise DataError("a comparison of two models needs at least one case")
    report(Started("parity", len(cases)))
    found, pairs = [], []
    scores: tuple[Scores, Scores] | None = None
    for case in cases:
        expected = np.asarray(source.predict(case.inputs))
        actual = np.asarray(target.predict(np.ascontiguousarray(case.inputs.transpose(inwards)))).transpose(outwards)
        if expected.shape != actual.shape:
            shapes = f"{list(expected.shape)} and {list(actual.shape)}"
            raise ConversionError(f"in the case {case.name!r} source and conversion give different shapes: {shapes}")
        difference = dataclasses.replace(
            measure(case.name, case.inputs.shape, expected, actual, tolerance),
            judged=tolerance.beyond or not case.beyond,
            by_lead_time=_by_lead_time(expected, actual, source.signature.outputs[0].dim_order),
        )
        found.append(difference)
        if difference.judged:
            pairs.append((expected.ravel(), actual.ravel()))
        if case.score is not None:
            both = case.score(expected), case.score(actual)
            scores = both if scores is None else (scores[0] + both[0], scores[1] + both[1])
        report(Advanced("parity", note=f"{case.name}: {difference.max_absolute:.1e}"))
    report(Finished("parity"))
    expected, actual = (np.concatenate(side) for side in zip(*pairs, strict=True))
    judged = [case for case in found if case.judged]
    total = dataclasses.replace(
        measure("total", (), expected, actual, tolerance),
        max_relative=max(case.max_relative for case in judged),
        passed=all(case.passed for case in judged),
    )
    return ParityReport(tuple(found), total, tolerance, scores)


def measure(name: str, shape: tuple[int, ...], expected: Array, actual: Array, tolerance: Tolerance) -> Difference:
    """Measure how far two arrays of one shape are apart, in double precision."""
    e, a = (np.asarray(side, np.float64).ravel() for side in (expected, actual))
    if e.size == 0:
        raise DataError(f"in the case {name!r} the models give no values: nothing can be compared")
    apart = differences(e, a)
    largest = float(apart.max())
    finite = np.abs(e[np.isfinite(e)])
    # Below the absolute tolerance nothing is told apart, not even from nothing.
    scale = max(float(finite.max(initial=0.0)), tolerance.absolute)
    relative = largest / scale if largest else 0.0
    return Difference(
        case=name,
        shape=tuple(shape),
        max_absolute=largest,
        max_relative=relative,
        rmse=math.sqrt(float(np.mean(apart**2))),
        p99=float(np.quantile(apart, 0.99, method="higher")),
        cosine=_cosine(e, a),
        passed=largest <= tolerance.absolute * max(1.0, scale) and relative <= tolerance.relative,
    )


def differences(e: NDArray[np.float64], a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the size of each difference: infinite or missing in both is none, in one alone it is an infinite one."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - e)
    alike = (a == e) | (np.isnan(a) & np.isnan(e))
    return np.where(alike, 0.0, np.where(np.isfinite(apart), apart, np.inf))


def _by_lead_time(expected: Array, actual: Array, dim_order: Sequence[str]) -> tuple[float, ...]:
    if "time" not in dim_order or expected.size == 0:
        return ()
    apart = differences(expected.astype(np.float64), actual.astype(np.float64))
    steps = np.moveaxis(apart, list(dim_order).index("time"), 0)
    return tuple(float(step.max()) for step in steps)


def _cosine(e: NDArray[np.float64], a: NDArray[np.float64]) -> float:
    if not (np.isfinite(e).all() and np.isfinite(a).all()):
        return math.nan
    lengths = float(np.linalg.norm(e) * np.linalg.norm(a))
    if lengths:
        return float(e @ a) / lengths
    return 1.0 if not e.any() and not a.any() else 0.0
