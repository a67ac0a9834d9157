"""Inputs on which two models are compared, and how an array goes from the layout of one to that of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError, DataError
from modelstac.exporters.sizes import OTHER, SIZES, Sizes

if TYPE_CHECKING:
    from modelstac.training.scoring.metrics import Scores


class Tensor(Protocol):
    """Layout of one input or output."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dim_order(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> str: ...  # noqa: D102


class Layouts(Protocol):
    """Inputs and outputs of a model."""

    @property
    def inputs(self) -> Sequence[Tensor]: ...  # noqa: D102
    @property
    def outputs(self) -> Sequence[Tensor]: ...  # noqa: D102


@dataclass(frozen=True)
class Case:
    """An input on which two models are compared.

    Parameters
    ----------
    name
        For people.
    inputs
        In the layout of the source.
    score
        Where it is known what should come out: scores of an output of the source's layout, which add up over cases.
    beyond
        Whether the numbers are larger than those that models are fed: reduced precision promises nothing there.
    """

    name: str
    inputs: NDArray[Any]
    score: Callable[[NDArray[Any]], Scores] | None = None
    beyond: bool = False


def make_cases(
    source: Layouts, target: Layouts, *, seed: int = 0, windows: Sequence[Case] = (), sizes: Sizes = SIZES
) -> tuple[Case, ...]:
    """Make the cases for two models: zeros, random numbers in two shapes, large numbers, and real data when given.

    Whole numbers are 0 and 1 only: they may be indices, and more is not known of them.

    Parameters
    ----------
    source, target
        Signatures of the two models. A dimension that either of them fixes has that size in every case.
    seed
        Of the random numbers.
    windows
        Cases of real data.
    sizes
        Of the dimensions that both leave open.

    Raises
    ------
    ConversionError
        When the two have other dimensions, or fix one at different sizes.
    DataError
        When a model does not take windows of this size.
    """
    first, second = (_shape(source, target, number, sizes) for number in (0, 1))
    rng = np.random.default_rng(seed)
    kind = np.dtype(source.inputs[0].dtype)
    if kind.kind in "iu":
        cases = [
            Case("zeros", np.zeros(first, kind)),
            Case("random", rng.integers(0, 2, first, kind)),
            Case("random, second shape", rng.integers(0, 2, second, kind)),
        ]
        return (*cases, *windows)
    cases = [
        Case("zeros", np.zeros(first, np.float32)),
        Case("random", rng.random(first, np.float32)),
        Case("random, second shape", rng.random(second, np.float32)),
        Case("large values", 10 * rng.standard_normal(first, np.float32), beyond=True),
    ]
    for case in windows:
        _require_fit(case, source, target)
    return (*cases, *windows)


def _require_fit(case: Case, source: Layouts, target: Layouts) -> None:
    sizes = dict(zip(source.inputs[0].dim_order, case.inputs.shape, strict=True))
    for layout in (source.inputs[0], target.inputs[0]):
        for name, size in zip(layout.dim_order, layout.shape, strict=True):
            if size not in {-1, sizes[name]} and name != "batch":
                raise DataError(
                    f"{case.name} has {sizes[name]} as its dimension {name!r} and the model takes {size}: give"
                    " the frames that it was made for"
                )


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
