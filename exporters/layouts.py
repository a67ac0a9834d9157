"""Inputs and outputs of a converted model: those of its source, in another layout or with other sizes left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import ModelInput, ModelOutput, Structure
from modelstac.catalog.items.sizes import OPEN
from modelstac.registry.running.signature import Signature
from modelstac.registry.runtimes.names import paired
from modelstac.training.architecture import Spec

CHANNELS_LAST = ("batch", "time", "height", "width", "variables")
CHANNELS_THIRD = ("batch", "time", "variables", "height", "width")

_Layout = TypeVar("_Layout", bound=Structure)
Sides = tuple[tuple[ModelInput, ...], tuple[ModelOutput, ...]]


def relaid(
    description: ModelDescription,
    dim_order: Sequence[str] | None,
    sizes: Mapping[str, int],
    output_sizes: Mapping[str, int] | None = None,
) -> Sides:
    """Give inputs and outputs in another order of the same dimensions.

    Parameters
    ----------
    description
        The source.
    dim_order
        Names of the dimensions in their new order; None leaves the order.
    sizes
        By name the dimensions that change: -1 where the converted model takes any.
    output_sizes
        Those of the outputs, where they are others.
    """
    inputs = tuple(
        entry.model_copy(update={"input": _relaid(entry.input, dim_order, sizes)}) for entry in description.inputs
    )
    others = sizes if output_sizes is None else output_sizes
    outputs = tuple(
        entry.model_copy(update={"result": _relaid(entry.result, dim_order, others)}) for entry in description.outputs
    )
    return inputs, outputs


def _relaid(layout: _Layout, dim_order: Sequence[str] | None, sizes: Mapping[str, int]) -> _Layout:
    known = dict(zip(layout.dim_order, layout.shape, strict=True)) | dict(sizes)
    order = tuple(layout.dim_order if dim_order is None else dim_order)
    return layout.model_copy(update={"shape": tuple(known[name] for name in order), "dim_order": order})


def fixed_sizes(spec: Spec) -> tuple[dict[str, int], dict[str, int]]:
    """Give the sizes of input and output that a Keras model of an architecture fixes."""
    grid = {"height": spec.height, "width": spec.width}
    return {"time": spec.frames_in, **grid}, {"time": spec.frames_out, **grid}


class Tensor(Protocol):
    """An input or output as a file has it: its name, the length of each axis (-1 where any will do), its NumPy type."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Found:
    """The same, where a converter reads it off what it wrote."""

    name: str
    shape: tuple[int, ...]
    dtype: str


def measured(description: ModelDescription, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Sides:
    """Give inputs and outputs with the sizes and types that the converted file itself states, ordered as in the source.

    A size that the source fixes stays fixed even where the file would take any: only what was compared is claimed. An
    input that may be left out is left out of the item when the format has no such thing, and the file no such input.

    Parameters
    ----------
    description
        Of the source.
    inputs, outputs
        What the file has, in any order if its names are those of the item.

    Raises
    ------
    ConversionError
        When the file has a tensor of another number of axes than its source.
    InvalidItemError
        When it has other inputs or outputs than its source.
    """
    where = f"what {description.id!r} became"
    needed = [
        entry
        for entry, tensor in zip(description.inputs, Signature.of(description).inputs, strict=True)
        if not (tensor.optional and len(inputs) < len(description.inputs))
    ]
    into = _by_name([entry.name for entry in needed], inputs, "input", where)
    given = Signature.of(description).without_made(description, [tensor.name for tensor in outputs]).outputs
    back = _by_name([tensor.name for tensor in given], outputs, "output", where)
    return (
        tuple(entry.model_copy(update={"input": _sized(entry.input, into[entry.name], where)}) for entry in needed),
        tuple(
            # What a function after the model makes is in no file.
            entry.model_copy(update={"result": _sized(entry.result, back[entry.name], where)})
            if entry.name in back
            else entry
            for entry in description.outputs
        ),
    )


def _by_name(names: Sequence[str], found: Sequence[Tensor], kind: str, where: str) -> dict[str, Tensor]:
    known = {tensor.name: tensor for tensor in found}
    return {
        name: known[other]
        for name, other in paired(names, [tensor.name for tensor in found], kind, named=False, where=where).items()
    }


def _sized(layout: _Layout, tensor: Tensor, where: str) -> _Layout:
    if len(tensor.shape) != len(layout.shape):
        raise ConversionError(f"{where} has {len(tensor.shape)} axes where its source has {len(layout.shape)}")
    shape = tuple(new if old == OPEN else old for new, old in zip(tensor.shape, layout.shape, strict=True))
    if tensor.dtype == layout.dtype:
        return layout.model_copy(update={"shape": shape})
    return type(layout).of(shape, layout.dim_order, tensor.dtype)
