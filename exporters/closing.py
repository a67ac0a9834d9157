"""Axes that a conversion closes: its source takes any length there, and what it made takes one.

The rule, which ``docs/conversions.md`` tells users. A tool that traces a model may fix what was open without a word (a
recurrence of any number of steps becomes one of six). That is refused unless the option ``fixed`` says that it may be:
``True`` for any axis, or a mapping of axes to lengths, which are also the lengths that a converter takes where it can
choose. An axis is named as in the item, or with its input before it (``s1.time``). A network that is rebuilt in a
format whose files have fixed sizes (LiteRT without loops; our own Keras models) has the sizes of its architecture,
which is what was asked for: it is not refused, and said. In either case the axes stand in :attr:`Conversion.closed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import ConversionError, SpecError
from modelstac.catalog.items.sizes import OPEN, Size
from modelstac.exporters.conversion import FIXED, REBUILT
from modelstac.registry.running.signature import Signature

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.catalog.items.mlm import ModelInput, ModelOutput
    from modelstac.exporters.conversion import Conversion

Closed = dict[str, dict[str, int]]
"""Lengths by input and axis."""


def closed_axes(source: ModelDescription, inputs: Sequence[ModelInput]) -> Closed:
    """Say which axes that a model leaves open are fixed in what was made of it, and at which length.

    Parameters
    ----------
    source
        The model.
    inputs
        Of the other; they may have their axes in another order.
    """
    made = {entry.name: dict(zip(entry.input.dim_order, entry.input.shape, strict=True)) for entry in inputs}
    found = {
        tensor.name: {
            axis: length
            for axis, size in tensor.axes.items()
            if not size.is_fixed and (length := made.get(tensor.name, {}).get(axis, OPEN)) != OPEN
        }
        for tensor in Signature.of(source).inputs
    }
    return {name: axes for name, axes in found.items() if axes}


def asked(description: ModelDescription, options: Mapping[str, Any]) -> Closed:
    """Give the lengths at which a job wants open axes fixed; those that are fixed anyway are left out.

    Raises
    ------
    SpecError
        When the option makes no sense: no such axis, or a length that the model does not take.
    """
    fixed = options.get(FIXED)
    if not isinstance(fixed, Mapping):
        if fixed is not None and not isinstance(fixed, bool):
            raise SpecError(f"fixed is true, or maps axes to lengths, not {fixed!r}")
        return {}
    signature = Signature.of(description)
    axes = [(tensor.name, axis, size) for tensor in signature.inputs for axis, size in tensor.axes.items()]
    found: Closed = {}
    for key, length in fixed.items():
        meant = [(name, axis, size) for name, axis, size in axes if key in {axis, f"{name}.{axis}"}]
        if not meant:
            known = ", ".join(dict.fromkeys(axis for _, axis, _ in axes))
            raise SpecError(f"{description.id!r} has no axis {key!r} to fix: its inputs have {known}")
        for name, axis, size in meant:
            _check_length(name, axis, size, length)
            if not size.is_fixed:
                found.setdefault(name, {})[axis] = length
    return found


def _check_length(name: str, axis: str, size: Size, length: object) -> None:
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise SpecError(f"an axis is fixed at a positive number, not {axis} at {length!r}")
    if not size.fits(length):
        nearest = " or ".join(map(str, size.nearest(length)))
        raise SpecError(f"{axis} of {name!r} is {size}: it cannot be fixed at {length}, but at {nearest}")


def settle(conversion: Conversion, source: ModelDescription, options: Mapping[str, Any]) -> Conversion:
    """Hold a conversion against its source: which axes it closed, and which lengths those that are open may have.

    Raises
    ------
    ConversionError
        When it closed an axis and nobody said that it may; names the axes and their lengths.
    SpecError
        When the option ``fixed`` makes no sense.
    """
    wanted = asked(source, options)
    closed = closed_axes(source, conversion.inputs)
    allowed = options.get(FIXED) is True or conversion.steps[-1].method == REBUILT
    refused = {
        name: {axis: n for axis, n in axes.items() if axis not in wanted.get(name, {})} for name, axes in closed.items()
    }
    if not allowed and any(refused.values()):
        raise ConversionError(_refusal(source, conversion, {name: axes for name, axes in refused.items() if axes}))
    sizes = conversion.sizes or kept_sizes(source, conversion.inputs, conversion.outputs)
    return replace(conversion, closed=closed, sizes=sizes)


def kept_sizes(
    source: ModelDescription, inputs: Sequence[ModelInput], outputs: Sequence[ModelOutput]
) -> dict[str, dict[str, Size]]:
    """Give the lengths that are known of a source's axes, for those that are open in what was made of it."""
    layouts = {entry.name: entry.input for entry in inputs} | {entry.name: entry.result for entry in outputs}
    found = {
        name: {
            axis: source.sizes[name][axis]
            for axis, length in zip(layout.dim_order, layout.shape, strict=True)
            if length == OPEN and axis in source.sizes.get(name, {})
        }
        for name, layout in layouts.items()
    }
    return {name: axes for name, axes in found.items() if axes}


def said(closed: Mapping[str, Mapping[str, int]]) -> str:
    """Say lengths for people: ``batch 2 and time 6 of 'series'``."""
    return ", ".join(
        f"{' and '.join(f'{axis} {length}' for axis, length in axes.items())} of {name!r}"
        for name, axes in closed.items()
    )


def _refusal(source: ModelDescription, conversion: Conversion, closed: Closed) -> str:
    sizes = {tensor.name: tensor.axes for tensor in Signature.of(source).inputs}
    open_ = dict.fromkeys(f"{axis} {sizes[name][axis]}" for name, axes in closed.items() for axis in axes)
    return (
        f"the conversion of {source.id!r} to {conversion.steps[-1].target_format} would take {said(closed)} only, "
        f"where its source takes {', '.join(open_)}: say --fixed if that will do, or choose another format"
    )
