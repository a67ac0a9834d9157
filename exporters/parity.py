"""The proof that two models compute the same function: run both on the same cases and measure how far they are apart.

Nothing here knows a framework: two objects with ``signature`` and ``predict`` are compared, as
:func:`modelstac.registry.load.load` gives them, each in the layout that it declares.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError, DataError
from modelstac.catalog.items import Parity
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.exporters.sizes import OTHER, SIZES, Sizes

Array = NDArray[np.floating[Any]]


class Tensor(Protocol):
    """Layout of one input or output."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dim_order(self) -> tuple[str, ...]: ...  # noqa: D102


class Layouts(Protocol):
    """Inputs and outputs of a model."""

    @property
    def inputs(self) -> Sequence[Tensor]: ...  # noqa: D102
    @property
    def outputs(self) -> Sequence[Tensor]: ...  # noqa: D102


class Runnable(Protocol):
    """What can be compared; :class:`modelstac.registry.model.Model` is one."""

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
        Of every output value. Where outputs are larger than 1 it grows with the largest of them: numbers in the
        thousands are not rounded to 1e-5 by anybody.
    relative
        Of every output value, as a share of the largest output of the source in the same case. (A share of the value
        itself would say nothing where outputs are near zero.)
    """

    absolute: float
    relative: float

    def __post_init__(self) -> None:
        if not (0 <= self.absolute < math.inf and 0 <= self.relative < math.inf):
            raise DataError(f"tolerances must be finite and not negative, not {self.absolute} and {self.relative}")


TOLERANCES = MappingProxyType({"fp32": Tolerance(absolute=1e-5, relative=1e-4)})
"""Tolerance of a conversion by the precision of its result."""


@dataclass(frozen=True)
class Case:
    """An input on which two models are compared, in the layout of the first one's."""

    name: str
    inputs: NDArray[np.float32]


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
    """

    case: str
    shape: tuple[int, ...]
    max_absolute: float
    max_relative: float
    rmse: float
    p99: float
    cosine: float
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types; what is not finite becomes None."""
        fields = dataclasses.asdict(self)
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}
        return finite | {"shape": list(self.shape)}


@dataclass(frozen=True)
class ParityReport:
    """What a comparison found, case by case and over all."""

    cases: tuple[Difference, ...]
    total: Difference
    tolerance: Tolerance

    @property
    def passed(self) -> bool:
        """Whether the tolerance held in every case."""
        return all(case.passed for case in self.cases)

    @property
    def worst(self) -> Difference:
        """The case with the largest absolute difference."""
        return max(self.cases, key=lambda case: (not case.passed, case.max_absolute))

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON types: the content of ``parity.json``."""
        return {
            "passed": self.passed,
            "tolerance": dataclasses.asdict(self.tolerance),
            "total": self.total.to_dict(),
            "cases": [case.to_dict() for case in self.cases],
        }

    def summary(self, source: str) -> Parity:
        """Give what the item says: ``interop:parity``.

        Parameters
        ----------
        source
            Item id of the model that was converted.
        """
        return Parity(
            source=source,
            max_absolute_difference=self.total.max_absolute,
            max_relative_difference=self.total.max_relative,
            root_mean_square_difference=self.total.rmse,
            cases=len(self.cases),
            absolute_tolerance=self.tolerance.absolute,
            relative_tolerance=self.tolerance.relative,
            passed=self.passed,
        )


def make_cases(
    source: Layouts,
    target: Layouts,
    *,
    seed: int = 0,
    windows: NDArray[np.float32] | None = None,
    sizes: Sizes = SIZES,
) -> tuple[Case, ...]:
    """Make the cases for two models: zeros, random numbers in two shapes, large numbers, and real data when given.

    Parameters
    ----------
    source, target
        Signatures of the two models. A dimension that either of them fixes has that size in every case.
    seed
        Of the random numbers.
    windows
        Real inputs in the layout of the source.
    sizes
        Of the dimensions that both leave open.

    Raises
    ------
    ConversionError
        When the two have other dimensions, or fix one at different sizes.
    """
    first, second = (_shape(source, target, number, sizes) for number in (0, 1))
    rng = np.random.default_rng(seed)
    cases = [
        Case("zeros", np.zeros(first, np.float32)),
        Case("random", rng.random(first, np.float32)),
        Case("random, second shape", rng.random(second, np.float32)),
        Case("large values", 10 * rng.standard_normal(first, np.float32)),
    ]
    if windows is not None:
        cases.append(Case("real windows", np.ascontiguousarray(windows, np.float32)))
    return tuple(cases)


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
    if not cases:
        raise DataError("a comparison of two models needs at least one case")
    report(Started("parity", len(cases)))
    found, pairs = [], []
    for case in cases:
        expected = np.asarray(source.predict(case.inputs))
        actual = np.asarray(target.predict(np.ascontiguousarray(case.inputs.transpose(inwards)))).transpose(outwards)
        if expected.shape != actual.shape:
            shapes = f"{list(expected.shape)} and {list(actual.shape)}"
            raise ConversionError(f"in the case {case.name!r} source and conversion give different shapes: {shapes}")
        found.append(measure(case.name, case.inputs.shape, expected, actual, tolerance))
        pairs.append((expected.ravel(), actual.ravel()))
        report(Advanced("parity", note=f"{case.name}: {found[-1].max_absolute:.1e}"))
    report(Finished("parity"))
    expected, actual = (np.concatenate(side) for side in zip(*pairs, strict=True))
    total = dataclasses.replace(
        measure("total", (), expected, actual, tolerance),
        max_relative=max(case.max_relative for case in found),
        passed=all(case.passed for case in found),
    )
    return ParityReport(tuple(found), total, tolerance)


def measure(name: str, shape: tuple[int, ...], expected: Array, actual: Array, tolerance: Tolerance) -> Difference:
    """Measure how far two arrays of one shape are apart, in double precision."""
    e, a = (np.asarray(side, np.float64).ravel() for side in (expected, actual))
    if e.size == 0:
        raise DataError(f"in the case {name!r} the models give no values: nothing can be compared")
    with np.errstate(invalid="ignore"):
        differences = np.abs(a - e)
    # Infinite or missing in both is no difference; in one alone it is an infinite one.
    alike = (a == e) | (np.isnan(a) & np.isnan(e))
    differences = np.where(alike, 0.0, np.where(np.isfinite(differences), differences, np.inf))
    largest = float(differences.max())
    finite = np.abs(e[np.isfinite(e)])
    # Below the absolute tolerance nothing is told apart, not even from nothing.
    scale = max(float(finite.max(initial=0.0)), tolerance.absolute)
    relative = largest / scale if largest else 0.0
    return Difference(
        case=name,
        shape=tuple(shape),
        max_absolute=largest,
        max_relative=relative,
        rmse=math.sqrt(float(np.mean(differences**2))),
        p99=float(np.quantile(differences, 0.99, method="higher")),
        cosine=_cosine(e, a),
        passed=largest <= tolerance.absolute * max(1.0, scale) and relative <= tolerance.relative,
    )


def _cosine(e: NDArray[np.float64], a: NDArray[np.float64]) -> float:
    if not (np.isfinite(e).all() and np.isfinite(a).all()):
        return math.nan
    lengths = float(np.linalg.norm(e) * np.linalg.norm(a))
    if lengths:
        return float(e @ a) / lengths
    return 1.0 if not e.any() and not a.any() else 0.0


def _shape(source: Layouts, target: Layouts, number: int, open_: Sizes) -> tuple[int, ...]:
    """Give a shape in the layout of the source that both models take."""
    ours, theirs = source.inputs[0], target.inputs[0]
    permutation(ours, theirs)
    sizes = dict(zip(theirs.dim_order, theirs.shape, strict=True))
    return tuple(
        _size(name, size, sizes[name], open_.get(name, OTHER)[number])
        for name, size in zip(ours.dim_order, ours.shape, strict=True)
    )


def _size(name: str, ours: int, theirs: int, otherwise: int) -> int:
    fixed = {size for size in (ours, theirs) if size != -1}
    if len(fixed) > 1:
        raise ConversionError(f"the source has {ours} as its dimension {name!r}, the conversion {theirs}")
    return fixed.pop() if fixed else otherwise


def permutation(held: Tensor, wanted: Tensor) -> tuple[int, ...]:
    """Give the axes that turn an array held in one layout into the other."""
    if sorted(held.dim_order) != sorted(wanted.dim_order):
        raise ConversionError(
            f"{held.name!r} has the dimensions {', '.join(held.dim_order)}, but {wanted.name!r} has "
            f"{', '.join(wanted.dim_order)}: these cannot be compared"
        )
    return tuple(_positions(held.dim_order, wanted.dim_order))


def _positions(held: tuple[str, ...], wanted: tuple[str, ...]) -> Iterator[int]:
    return (held.index(name) for name in wanted)
