"""Inputs on which two models are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError
from modelstac.exporters.proof.counterparts import Counterparts
from modelstac.registry.probing.grids import grids, symbol_of
from modelstac.registry.running.signature import BATCH, Signature, TensorSignature

if TYPE_CHECKING:
    from modelstac.training.scoring.metrics import Scores

Shapes = Mapping[str, tuple[int, ...]]
MOST_VALUES = 1 << 16
"""A batch far above its least length is cut so that all inputs together have no more numbers than these."""
LENGTHS = MappingProxyType({"time": 6, "height": 24, "width": 20})
OTHER_LENGTH = 8
FAR = "far"
"""With what names of grids far away end."""
USUAL = "random"
"""Name of the case that is timed, and published as the example where the source has none."""


@dataclass(frozen=True, eq=False)
class Case:
    """Inputs on which two models are compared.

    Parameters
    ----------
    name
        For people.
    inputs
        Arrays by the name of the source's inputs, in its layouts.
    score
        Where it is known what should come out: scores of the only output of the source's layout, which add up over
        cases.
    beyond
        Whether numbers or sizes are larger than those that models are fed. Reduced precision promises nothing there,
        and some recurrent networks are chaotic: see :func:`modelstac.exporters.proof.parity.compare`.
    """

    name: str
    inputs: Mapping[str, NDArray[Any]]
    score: Callable[[NDArray[Any]], Scores] | None = None
    beyond: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each input."""
        return {name: array.shape for name, array in self.inputs.items()}


def make_cases(
    source: Signature, target: Signature, *, seed: int = 0, windows: Sequence[Case] = ()
) -> tuple[Case, ...]:
    """Make the cases for two models.

    Random numbers from 0 to 1 are given in every shape of :func:`modelstac.registry.probing.grids.grids`: the least,
    one step more and far away, in each open axis alone and in all together. Zeros and large numbers are given in one
    shape, that of the case :data:`USUAL`, which is :func:`usual_shapes`. Whole numbers are 0 and 1 only, as they may be
    indices, and more is not known of them.

    Parameters
    ----------
    source, target
        Signatures of the two models. An axis that either of them fixes has that length in every case.
    seed
        Of the random numbers.
    windows
        Cases of real data.

    Raises
    ------
    ConversionError
        When the two have other tensors or dimensions, or no length in common.
    DataError
        When a model does not take windows of this size.
    """
    shared = Counterparts.of(source, target).shared()
    for case in windows:
        _require_fit(case, source, target)
    return (*_made(shared, np.random.default_rng(seed)), *windows)


def _made(shared: Signature, rng: np.random.Generator) -> Iterator[Case]:
    usual = usual_shapes(shared)
    yield Case("zeros", {t.name: np.zeros(usual[t.name], t.dtype) for t in shared.inputs})
    given = _random(shared, usual, rng)
    yield Case(USUAL, given)
    tried = [usual]
    for grid in grids(shared):
        found = _bounded(shared, grid.shapes)
        if found not in tried:
            tried.append(found)
            yield Case(f"random, {grid.name}", _random(shared, found, rng), beyond=grid.name.endswith(FAR))
    if optional := [tensor.name for tensor in shared.inputs if tensor.optional]:
        needed = {name: array for name, array in given.items() if name not in optional}
        yield Case(f"random, without {', '.join(optional)}", needed)
    if any(np.dtype(tensor.dtype).kind == "f" for tensor in shared.inputs):
        yield Case("large values", _random(shared, usual, rng, large=True), beyond=True)


def usual_inputs(source: Signature, target: Signature, *, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Give the inputs of the case :data:`USUAL`, without making all the others.

    Raises
    ------
    ConversionError
        As :func:`make_cases` does.
    """
    shared = Counterparts.of(source, target).shared()
    return _random(shared, usual_shapes(shared), np.random.default_rng(seed))


def usual_shapes(signature: Signature) -> dict[str, tuple[int, ...]]:
    """Give small shapes of a usual kind: open axes about as long as :data:`LENGTHS`, and the least batch."""
    steps: dict[str, int] = {}
    for tensor in signature.inputs:
        for dim, size in tensor.axes.items():
            if not size.is_fixed and dim != BATCH:
                wanted = -(-(LENGTHS.get(dim, OTHER_LENGTH) - size.at_least) // size.step)
                symbol = symbol_of(size, dim, tensor.name)
                steps[symbol] = max(steps.get(symbol, 0), wanted)
    return {
        tensor.name: tuple(
            size.above(steps.get(symbol_of(size, dim, tensor.name), 0)) for dim, size in tensor.axes.items()
        )
        for tensor in signature.inputs
    }


def random_values(tensor: TensorSignature, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    """Give random numbers of the type of an input: from 0 to 1, or 0 and 1."""
    kind = np.dtype(tensor.dtype)
    return rng.integers(0, 2, shape).astype(kind) if kind.kind in "iub" else rng.random(shape, np.float32).astype(kind)


def _random(
    signature: Signature, wanted: Shapes, rng: np.random.Generator, *, large: bool = False
) -> dict[str, NDArray[Any]]:
    return {
        tensor.name: 10 * rng.standard_normal(wanted[tensor.name], np.float32).astype(tensor.dtype)
        if large and np.dtype(tensor.dtype).kind == "f"
        else random_values(tensor, wanted[tensor.name], rng)
        for tensor in signature.inputs
    }


def _bounded(signature: Signature, wanted: Shapes) -> dict[str, tuple[int, ...]]:
    """Cut a batch that makes a shape too costly, not below one step above its least length."""
    found = dict(wanted)
    total = sum(int(np.prod(shape)) for shape in found.values())
    if total <= MOST_VALUES:
        return found
    for tensor in signature.inputs:
        size = tensor.axes.get(BATCH)
        if size is not None and not size.is_fixed and size.symbol is None:
            axis, shape = tensor.dim_order.index(BATCH), found[tensor.name]
            fitting = (shape[axis] * MOST_VALUES // total - size.at_least) // size.step
            length = min(shape[axis], size.above(max(1, fitting)))
            found[tensor.name] = (*shape[:axis], length, *shape[axis + 1 :])
    return found


def _require_fit(case: Case, source: Signature, target: Signature) -> None:
    for ours, theirs in Counterparts.of(source, target).inputs:
        if ours.name not in case.inputs:
            raise DataError(f"{case.name} has no {ours.name!r}, which the model takes: give an array for each input")
        found = case.inputs[ours.name].shape
        if len(found) != len(ours.dim_order):
            raise DataError(f"{case.name} has shape {list(found)} for {ours.name!r}, and the model takes {ours}")
        sizes = dict(zip(ours.dim_order, found, strict=True))
        for layout in (ours, theirs):
            for name, size in layout.axes.items():
                if name != BATCH and not size.fits(sizes[name]):
                    raise DataError(
                        f"{case.name} has {sizes[name]} as its dimension {name!r} and the model takes {size}: give"
                        " the frames that it was made for"
                    )
