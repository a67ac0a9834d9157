"""Inputs and outputs of a converted model: those of its source, in another layout or with other sizes left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure, Structure
from modelstac.exporters.sizes import OTHER, SIZES, Sizes
from modelstac.registry.describing.facts import Facts, Tensor
from modelstac.training.architecture import Spec

CHANNELS_LAST = ("batch", "time", "height", "width", "variables")
CHANNELS_THIRD = ("batch", "time", "variables", "height", "width")

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
        entry.model_copy(update={"input": InputStructure(**_structure(entry.input, dim_order, sizes))})
        for entry in description.inputs
    )
    outputs = tuple(
        entry.model_copy(
            update={
                "result": ResultStructure(
                    **_structure(entry.result, dim_order, sizes if output_sizes is None else output_sizes)
                )
            }
        )
        for entry in description.outputs
    )
    return inputs, outputs


def fixed_sizes(spec: Spec) -> tuple[dict[str, int], dict[str, int]]:
    """Give the sizes of input and output that a Keras model of an architecture fixes."""
    grid = {"height": spec.height, "width": spec.width}
    return {"time": spec.frames_in, **grid}, {"time": spec.frames_out, **grid}


def measured(description: ModelDescription, facts: Facts) -> Sides:
    """Give inputs and outputs with the sizes that the converted file itself states, in the order of the source.

    A size that the source fixes stays fixed even where the file would take any: only what was compared is claimed.

    Raises
    ------
    ConversionError
        When the file has another number of axes than its source.
    """
    inputs = tuple(
        entry.model_copy(update={"input": InputStructure(**_sized(entry.input, tensor, description))})
        for entry, tensor in zip(description.inputs, facts.inputs, strict=True)
    )
    outputs = tuple(
        entry.model_copy(update={"result": ResultStructure(**_sized(entry.result, tensor, description))})
        for entry, tensor in zip(description.outputs, facts.outputs, strict=True)
    )
    return inputs, outputs


def _sized(layout: Structure, tensor: Tensor, description: ModelDescription) -> dict[str, Any]:
    if len(tensor.shape) != len(layout.shape):
        raise ConversionError(
            f"the converted {description.id!r} has {len(tensor.shape)} axes where its source has {len(layout.shape)}"
        )
    shape = tuple(new if old == -1 else old for new, old in zip(tensor.shape, layout.shape, strict=True))
    return {"shape": shape, "dim_order": layout.dim_order, "data_type": layout.data_type}


def _structure(layout: Structure, dim_order: Sequence[str] | None, sizes: Mapping[str, int]) -> dict[str, Any]:
    known = dict(zip(layout.dim_order, layout.shape, strict=True)) | dict(sizes)
    order = tuple(layout.dim_order if dim_order is None else dim_order)
    return {"shape": tuple(known[name] for name in order), "dim_order": order, "data_type": layout.data_type}


def example_shape(description: ModelDescription, fixed: Mapping[str, int], sizes: Sizes = SIZES) -> tuple[int, ...]:
    """Give a shape to trace a model with: no open dimension has length 1, which tracers take for a constant."""
    layout = description.inputs[0].input
    return tuple(
        fixed.get(name, max(2, *sizes.get(name, OTHER))) if size == -1 else size
        for name, size in zip(layout.dim_order, layout.shape, strict=True)
    )
