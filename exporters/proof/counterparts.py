"""Which tensor of one model is which of another, and how arrays go from the layout of one to that of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.running.signature import Arrays, Signature, TensorSignature

Pair = tuple[TensorSignature, TensorSignature]


@dataclass(frozen=True)
class Counterparts:
    """Inputs and outputs of a source, each with that of the target which is the same, in the order of the source.

    Tensors go together by name. One alone goes with one alone, whatever they are called.
    """

    inputs: tuple[Pair, ...]
    outputs: tuple[Pair, ...]

    @classmethod
    def of(cls, source: Signature, target: Signature) -> Counterparts:
        """Pair the tensors of two models.

        Raises
        ------
        ConversionError
            If their names are not the same, or two of one name have other axes; names both.
        """
        return cls(_paired(source.inputs, target.inputs, "input"), _paired(source.outputs, target.outputs, "output"))

    def to_target(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        """Give inputs of the source as the target takes them: by its names, in its layouts, contiguous."""
        return {
            theirs.name: np.ascontiguousarray(np.transpose(arrays[ours.name], permutation(ours, theirs)))
            for ours, theirs in self.inputs
            if ours.name in arrays
        }

    def to_source(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        """Give outputs of the target as the source would: by its names, in its layouts.

        Raises
        ------
        ConversionError
            If one has another number of axes, or another length of a fixed axis, than the target declares.
        """
        found = {}
        for ours, theirs in self.outputs:
            array = np.asarray(arrays[theirs.name])
            require_declared(theirs, array)
            found[ours.name] = array.transpose(permutation(theirs, ours))
        return found

    def outputs_to_target(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        """Give outputs of the source as the target would."""
        return {
            theirs.name: np.transpose(arrays[ours.name], permutation(ours, theirs)) for ours, theirs in self.outputs
        }

    def shared(self) -> Signature:
        """Give the inputs in the layout of the source, with the lengths that both models take.

        Raises
        ------
        ConversionError
            If there is an axis of which they have no length in common.
        """
        inputs = []
        for ours, theirs in self.inputs:
            sizes = tuple(_common(ours.name, dim, size, theirs.axes[dim]) for dim, size in ours.axes.items())
            inputs.append(replace(ours, sizes=sizes, optional=ours.optional and theirs.optional))
        return Signature(tuple(inputs), tuple(ours for ours, _ in self.outputs))


def _paired(ours: tuple[TensorSignature, ...], theirs: tuple[TensorSignature, ...], kind: str) -> tuple[Pair, ...]:
    by_name = {tensor.name: tensor for tensor in theirs}
    if by_name.keys() == {tensor.name for tensor in ours}:
        pairs = tuple((tensor, by_name[tensor.name]) for tensor in ours)
    elif len(ours) == len(theirs) == 1:  # their names were not compared in items of earlier builds
        pairs = ((ours[0], theirs[0]),)
    else:
        first, second = (", ".join(tensor.name for tensor in side) for side in (ours, theirs))
        raise ConversionError(
            f"the source has the {kind}s {first}, the conversion {second}: which is which cannot be known, so give them"
            " the same names"
        )
    for held, wanted in pairs:
        permutation(held, wanted)
    return pairs


def permutation(held: TensorSignature, wanted: TensorSignature) -> tuple[int, ...]:
    """Give the axes that turn an array held in one layout into the other.

    Raises
    ------
    ConversionError
        If they have other axes.
    """
    if held.dim_order == wanted.dim_order:
        return tuple(range(len(held.dim_order)))
    if sorted(held.dim_order) != sorted(wanted.dim_order):
        raise ConversionError(
            f"{held.name!r} has the dimensions {', '.join(held.dim_order)}, but {wanted.name!r} has "
            f"{', '.join(wanted.dim_order)}: these cannot be compared"
        )
    return tuple(held.dim_order.index(name) for name in wanted.dim_order)


def require_declared(tensor: TensorSignature, array: NDArray[Any]) -> None:
    """Refuse an output that is not what its model declares.

    Raises
    ------
    ConversionError
        If it has another number of axes, or another length where one is fixed.
    """
    fits = array.ndim == len(tensor.sizes) and all(
        size.fits(length) for size, length in zip(tensor.sizes, array.shape, strict=True) if size.is_fixed
    )
    if not fits:
        raise ConversionError(f"the output {tensor.name!r} is declared {tensor}, and what comes is {list(array.shape)}")


def _common(tensor: str, dim: str, ours: Size, theirs: Size) -> Size:
    """Give the lengths that both take: where both grow, by the least common multiple of their steps."""
    if ours == theirs or theirs.is_any:
        return ours
    if ours.is_any:
        return replace(theirs, symbol=theirs.symbol or ours.symbol)
    least = max(ours.at_least, theirs.at_least)
    step = lcm(ours.step, theirs.step)
    tried = range(least, least + max(ours.step, theirs.step, step) + 1)
    first = next((length for length in tried if ours.fits(length) and theirs.fits(length)), None)
    if first is None:
        raise ConversionError(
            f"the source has {ours} as its dimension {dim!r}, the conversion {theirs}: no {tensor!r} fits both"
        )
    most = min((size.at_most for size in (ours, theirs) if size.at_most is not None), default=None)
    return Size(first, step, most, ours.symbol or theirs.symbol)


def lengths(tensors: tuple[TensorSignature, ...], arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Give the length of each dimension by its name; the first tensor that has it counts."""
    found: dict[str, int] = {}
    for tensor in tensors:
        if tensor.name in arrays:
            found = dict(zip(tensor.dim_order, arrays[tensor.name].shape, strict=True)) | found
    return found
