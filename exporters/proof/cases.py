"""Inputs on which two models are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.mlm import BAND_AXES
from modelstac.exporters.proof.counterparts import Counterparts
from modelstac.exporters.proof.ranges import NOTHING_KNOWN, Range, Ranges
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
STREWN = "special values"
STEPS = "values in steps"
DIM = "random, a tenth of the range"
BESIDE = "a tenth of the range, beside the largest values"
GAPS = "random, with gaps (NaN)"
MASKS = MappingProxyType({"masks of everything": True, "masks of nothing": False})
"""Which random ones of many steps never are: pixels under clouds all the year, of which some attention makes NaN."""
SPECIAL = (0.0, 1e-8, -1e-8, 1e-4, -1e-4, 1.0, -1.0)
"""What is strewn into random numbers: values that a branch, a division or a logarithm is guarded for."""
SPECIAL_VALUES = 2048
"""As many samples as make so many values get special ones, where the batch is open."""
STEPS_OF = (1, 2, 4)
"""By how many powers of ten steps are finer than the range of an input is long."""
MOST_SPECIAL = 0.3
"""Share of the values that are special ones."""
COUNTS = 10_000
"""Greatest value of whole numbers of 16 bits of which nothing is known: reflectances are stored so."""
WHOLE = (("whole numbers up to 10,000", 10_000), ("whole numbers up to a million", 1_000_000))
"""What longer ones of which nothing is known are tried with before they are as large as their type allows."""
LARGE_WHOLE = "large whole numbers"


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
        What makes them larger than what models are fed, in words (``a size far above the usual``); empty where nothing
        does. See :func:`modelstac.exporters.proof.parity.compare` for what that means.
    stated
        Whether somebody said what the model is fed, so that beyond it nothing is promised.
    gaps
        Whether there is NaN among them.
    after
        Name of the case that this one goes beyond, with whole numbers that may be indices, lengths or numbers of
        steps: it is run where the source takes that one, as quickly as others and without larger outputs.
    """

    name: str
    inputs: Mapping[str, NDArray[Any]]
    score: Callable[[NDArray[Any]], Scores] | None = None
    beyond: str = ""
    stated: bool = False
    gaps: bool = False
    after: str = ""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each input."""
        return {name: array.shape for name, array in self.inputs.items()}


def make_cases(
    source: Signature,
    target: Signature,
    *,
    seed: int = 0,
    windows: Sequence[Case] = (),
    ranges: Ranges = NOTHING_KNOWN,
    gaps: bool = False,
) -> tuple[Case, ...]:
    """Make the cases for two models.

    Random numbers are given in every shape of :func:`modelstac.registry.probing.grids.grids`: the least, one step more
    and far away, in each open axis alone and in all together. They are from the range of each input where it is known.
    Of others they are from 0 to 1; whole numbers of 8 bits are any, of 16 bits up to 10,000, and longer ones 0 and 1
    only, as they may be indices. Beside them there are, in the shape of the case :data:`USUAL`: truth values all alike,
    zeros, numbers around 0, special values strewn in (zeros, tiny numbers of both signs, the ends of the range; whole
    pixels, rows and samples of them), numbers in decimal steps, and large ones: of longer whole ones of which nothing
    is known as far as their type goes, where the source takes them. What lies outside a known range is measured and not
    judged.

    Parameters
    ----------
    source, target
        Signatures of the two models. An axis that either of them fixes has that length in every case.
    seed
        Of the random numbers.
    windows
        Cases of real data.
    ranges
        What inputs are fed, by name.
    gaps
        Whether to give NaN in some pixels, too.

    Raises
    ------
    ConversionError
        When the two have other tensors or dimensions, or no length in common.
    DataError
        When a model does not take windows of this size.
    """
    shared = Counterparts.of(source, target).shared()
    for case in windows:
        require_fit(case, source, target)
    return (*_Maker(shared, ranges, np.random.default_rng(seed)).cases(gaps=gaps), *windows)


class _Maker:
    """Makes the cases of one pair of models."""

    def __init__(self, shared: Signature, ranges: Ranges, rng: np.random.Generator) -> None:
        self._shared, self._ranges, self._rng = shared, ranges, rng
        self._usual = usual_shapes(shared)
        self._floats = any(np.dtype(tensor.dtype).kind == "f" for tensor in shared.inputs)

    def cases(self, *, gaps: bool) -> Iterator[Case]:
        given = self._drawn(self._usual)
        yield self._within("zeros", {t.name: np.zeros(self._usual[t.name], t.dtype) for t in self._shared.inputs})
        yield Case(USUAL, given)
        tried = [self._usual]
        for grid in grids(self._shared):
            found = _bounded(self._shared, grid.shapes)
            if found not in tried:
                tried.append(found)
                far = "a size far above the usual" if grid.name.endswith(FAR) else ""
                yield Case(f"random, {grid.name}", self._drawn(found), beyond=far)
        for name, value in MASKS.items():
            if masks := {t.name: np.full(self._usual[t.name], value) for t in self._shared.inputs if t.dtype == "bool"}:
                yield Case(name, given | masks)
        if optional := [tensor.name for tensor in self._shared.inputs if tensor.optional]:
            needed = {name: array for name, array in given.items() if name not in optional}
            yield Case(f"random, without {', '.join(optional)}", needed)
        many = self._drawn(self._many())
        yield Case(STREWN, {t.name: self._special(t, many[t.name]) for t in self._shared.inputs})
        if self._floats:
            yield Case(STEPS, {t.name: self._in_steps(t, many[t.name]) for t in self._shared.inputs})
        dim = {t.name: self._dim(t, given[t.name]) for t in self._shared.inputs}
        if (beside := self._beside(dim)) is not None:
            yield Case(DIM, dim)
            yield Case(BESIDE, beside)
        yield from self._others(given)
        yield from self._whole(many)
        if gaps and self._floats:
            fed = any(known.gaps for known in self._ranges.values())
            inputs = {t.name: self._with_gaps(t, given[t.name]) for t in self._shared.inputs}
            yield Case(GAPS, inputs, beyond="" if fed else "nobody says that it is fed gaps", gaps=True)

    def _many(self) -> dict[str, tuple[int, ...]]:
        """Give the usual shapes with so many samples that special values meet each other, where that is free."""
        found = dict(self._usual)
        for tensor in self._shared.inputs:
            size = tensor.axes.get(BATCH)
            if size is None or size.is_fixed or size.symbol is not None:
                return dict(self._usual)
            shape, axis = found[tensor.name], tensor.dim_order.index(BATCH)
            length = size.above(self._samples)
            found[tensor.name] = (*shape[:axis], length, *shape[axis + 1 :])
        return found

    @property
    def _samples(self) -> int:
        """Steps of the batch above its least, until all inputs together have :data:`SPECIAL_VALUES`."""
        total = sum(int(np.prod(shape)) for shape in self._usual.values())
        return SPECIAL_VALUES // max(1, total)

    def _others(self, given: dict[str, NDArray[Any]]) -> Iterator[Case]:
        """Yield numbers that have nothing to do with a known range."""
        if not self._floats:
            return
        if not self._ranges:
            yield Case("around 0", given | self._normal(1.0))
        else:
            unit = {t.name: self._rng.random(self._usual[t.name], np.float32) for t in self._float_inputs()}
            yield self._within("from 0 to 1", given | {n: a.astype(given[n].dtype) for n, a in unit.items()})
        yield self._within("large values", given | self._normal(10.0), large=True)
        if any(tensor.name not in self._ranges for tensor in self._float_inputs()):
            # Exponentials overflow from 88 on, and a sigmoid that is rounded to 0 has no logarithm.
            yield self._within("very large values", given | self._normal(100.0), large=True)

    def _whole(self, given: dict[str, NDArray[Any]]) -> Iterator[Case]:
        """Yield whole numbers of which nothing is known, larger and larger: runtimes compute them in 32 bits or less.

        The largest have as many of each length in bits, and both signs.
        """
        unknown = [t for t in self._shared.inputs if t.name not in self._ranges and _is_long(t.dtype)]
        if not unknown:
            return
        beyond, before = "whole numbers larger than models are fed", STREWN
        for name, highest in WHOLE:
            inputs: dict[str, NDArray[Any]] = {
                t.name: np.asarray(self._rng.integers(0, _at_most(t, highest), given[t.name].shape, endpoint=True))
                for t in unknown
            }
            yield Case(name, given | _of_types(inputs, unknown), beyond=beyond, after=before)
            before = name
        inputs = {t.name: self._of_any_length(t, given[t.name].shape) for t in unknown}
        yield Case(LARGE_WHOLE, given | _of_types(inputs, unknown), beyond=beyond, after=before)

    def _of_any_length(self, tensor: TensorSignature, shape: Sequence[int]) -> NDArray[Any]:
        limits = np.iinfo(tensor.dtype)
        most = self._rng.integers(0, int(limits.max).bit_length(), shape)
        size = (2.0 ** (most + self._rng.random(shape))).astype(np.int64 if limits.min else np.uint64)
        return size * self._rng.choice([-1, 1], shape) if limits.min else size

    def _float_inputs(self) -> Iterator[TensorSignature]:
        return (tensor for tensor in self._shared.inputs if np.dtype(tensor.dtype).kind == "f")

    def _normal(self, spread: float) -> dict[str, NDArray[Any]]:
        return {
            t.name: (spread * self._rng.standard_normal(self._usual[t.name], np.float32)).astype(t.dtype)
            for t in self._float_inputs()
        }

    def _within(self, name: str, inputs: Mapping[str, NDArray[Any]], *, large: bool = False) -> Case:
        """Say of a case whether its values lie within what is known of its inputs."""
        outside = [n for n, array in inputs.items() if n in self._ranges and not self._ranges[n].holds(array)]
        if outside:
            return Case(name, inputs, beyond="values outside the range of the model", stated=True)
        unknown = large and any(tensor.name not in self._ranges for tensor in self._float_inputs())
        return Case(name, inputs, beyond="numbers larger than models are fed" if unknown else "")

    def _drawn(self, wanted: Shapes) -> dict[str, NDArray[Any]]:
        return {
            t.name: random_values(t, wanted[t.name], self._rng, self._ranges.get(t.name)) for t in self._shared.inputs
        }

    def _special(self, tensor: TensorSignature, given: NDArray[Any]) -> NDArray[Any]:
        """Strew special values into an input: single ones, whole pixels (all their bands), a row, the signs of some."""
        found, known = given.copy(), self._ranges.get(tensor.name)
        if known is not None and known.classes:
            return found
        if given.dtype.kind in "iub" and (known is None or given.dtype.kind == "b"):
            values: NDArray[Any] = np.array([0, 1]).astype(given.dtype)
        elif known is None:
            values = np.array(SPECIAL)
        else:
            ends = np.unique(np.concatenate([np.ravel(known.lowest), np.ravel(known.highest)]))
            values = np.array([*SPECIAL, *ends])
        single = self._rng.random(given.shape) < MOST_SPECIAL / 3
        found = np.where(single, self._rng.choice(values, given.shape), found)
        bands = tuple(i for i, name in enumerate(tensor.dim_order) if name in BAND_AXES)
        pixels = [1 if i in bands else length for i, length in enumerate(given.shape)]
        whole = self._rng.random(pixels) < MOST_SPECIAL / 3
        found = np.where(whole, self._rng.choice(values, pixels), found)
        for axis in (i for i, name in enumerate(tensor.dim_order) if i not in bands and name != BATCH):
            if given.shape[axis] > 2:
                np.moveaxis(found, axis, 0)[given.shape[axis] // 2] = values[1]
        for axis in (i for i, name in enumerate(tensor.dim_order) if i not in bands and name != BATCH):
            if given.shape[axis] > 2:
                np.moveaxis(found, axis, 0)[0] = values[0]
        if known is None and given.dtype.kind == "f":
            found = np.where(self._rng.random(given.shape) < MOST_SPECIAL / 3, -found, found)
        if given.dtype.kind == "f":
            found = found + 0.0  # no negative zeros, which no data have and each runtime treats in its own way
        return found.astype(given.dtype) if known is None else known.clipped(found).astype(given.dtype)

    def _in_steps(self, tensor: TensorSignature, given: NDArray[Any]) -> NDArray[Any]:
        """Round each number to decimal steps, as data are stored: they lie on jumps, which random ones hardly do."""
        known = self._ranges.get(tensor.name)
        if given.dtype.kind != "f" or (known is not None and known.classes):
            return given
        span = 1.0 if known is None else np.subtract(known.highest, known.lowest, dtype=np.float64)
        length = np.floor(np.log10(np.where(span > 0, span, 1.0)))
        step = 10.0 ** (length - self._rng.choice(STEPS_OF, given.shape))
        found = np.round(given / step) * step
        return found.astype(given.dtype) if known is None else known.clipped(found).astype(given.dtype)

    def _beside(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]] | None:
        """Give a sample with another in the same batch, of the largest values; None where it is always alone."""
        found = {}
        for tensor in self._shared.inputs:
            array, size = given[tensor.name], tensor.axes.get(BATCH)
            if size is None or size.symbol is not None or not size.fits(2 * array.shape[tensor.dim_order.index(BATCH)]):
                return None
            found[tensor.name] = np.concatenate([array, self._largest(tensor, array)], tensor.dim_order.index(BATCH))
        return found

    def _dim(self, tensor: TensorSignature, given: NDArray[Any]) -> NDArray[Any]:
        known = self._ranges.get(tensor.name)
        if given.dtype.kind == "b" or (known is not None and known.classes):
            return given
        lowest = 0.0 if known is None else known.lowest
        return np.asarray(lowest + (given - lowest) / 10, np.float64).astype(given.dtype)

    def _largest(self, tensor: TensorSignature, like: NDArray[Any]) -> NDArray[Any]:
        known = self._ranges.get(tensor.name)
        if known is None or known.classes:
            return like if known is not None or like.dtype.kind in "iub" else np.ones_like(like)
        return np.broadcast_to(known.highest, like.shape).astype(like.dtype)

    def _with_gaps(self, tensor: TensorSignature, given: NDArray[Any]) -> NDArray[Any]:
        if given.dtype.kind != "f":
            return given
        found = given.copy()
        found[self._rng.random(given.shape) < MOST_SPECIAL / 3] = np.nan
        bands = tuple(i for i, name in enumerate(tensor.dim_order) if name in BAND_AXES)
        pixels = [1 if i in bands else length for i, length in enumerate(given.shape)]
        return np.where(self._rng.random(pixels) < MOST_SPECIAL / 3, np.nan, found).astype(given.dtype)


def _is_long(dtype: str) -> bool:
    kind = np.dtype(dtype)
    return kind.kind in "iu" and kind.itemsize > 1


def _at_most(tensor: TensorSignature, highest: int) -> int:
    return min(highest, int(np.iinfo(tensor.dtype).max))


def _of_types(inputs: Mapping[str, NDArray[Any]], tensors: Sequence[TensorSignature]) -> dict[str, NDArray[Any]]:
    return {tensor.name: inputs[tensor.name].astype(tensor.dtype) for tensor in tensors}


def usual_inputs(
    source: Signature, target: Signature, *, seed: int = 0, ranges: Ranges = NOTHING_KNOWN
) -> dict[str, NDArray[Any]]:
    """Give the inputs of the case :data:`USUAL`, without making all the others.

    Raises
    ------
    ConversionError
        As :func:`make_cases` does.
    """
    shared = Counterparts.of(source, target).shared()
    return _Maker(shared, ranges, np.random.default_rng(seed))._drawn(usual_shapes(shared))


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


def random_values(
    tensor: TensorSignature, shape: tuple[int, ...], rng: np.random.Generator, known: Range | None = None
) -> NDArray[Any]:
    """Give random numbers of the type of an input: of its range, else from 0 to 1; whole ones as :func:`make_cases`."""
    kind = np.dtype(tensor.dtype)
    if known is not None:
        return known.draw(shape, kind, rng)
    if kind.kind not in "iu":
        return (
            rng.random(shape, np.float32).astype(kind) if kind.kind == "f" else rng.integers(0, 2, shape).astype(kind)
        )
    limits = np.iinfo(kind)
    lowest, highest = (limits.min, limits.max) if kind.itemsize == 1 else (0, min(COUNTS, int(limits.max)))
    return rng.integers(*((lowest, highest) if kind.itemsize <= 2 else (0, 1)), shape, endpoint=True).astype(kind)


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


def require_fit(case: Case, source: Signature, target: Signature) -> None:
    """Refuse a case that source or target cannot take.

    Raises
    ------
    DataError
        When an input is missing, or an array has other axes or lengths than the model takes.
    """
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
