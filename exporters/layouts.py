"""Inputs and outputs of a converted model: those of its source, in another layout or with other sizes left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelstac.catalog.items import ModelDescription
from modelstac.catalog.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure, Structure
from modelstac.exporters.parity import SIZES

CHANNELS_LAST = ("batch", "time", "height", "width", "variables")
CHANNELS_THIRD = ("batch", "time", "variables", "height", "width")

Sides = tuple[tuple[ModelInput, ...], tuple[ModelOutput, ...]]


def relaid(description: ModelDescription, dim_order: Sequence[str] | None, sizes: Mapping[str, int]) -> Sides:
    """Give inputs and outputs in another order of the same dimensions.

    Parameters
    ----------
    description
        The source.
    dim_order
        Names of the dimensions in their new order; None leaves the order.
    sizes
        By name the dimensions that change: -1 where the converted model takes any.
    """
    inputs = tuple(
        entry.model_copy(update={"input": InputStructure(**_structure(entry.input, dim_order, sizes))})
        for entry in description.inputs
    )
    outputs = tuple(
        entry.model_copy(update={"result": ResultStructure(**_structure(entry.result, dim_order, sizes))})
        for entry in description.outputs
    )
    return inputs, outputs


def _structure(layout: Structure, dim_order: Sequence[str] | None, sizes: Mapping[str, int]) -> dict[str, Any]:
    known = dict(zip(layout.dim_order, layout.shape, strict=True)) | dict(sizes)
    order = tuple(layout.dim_order if dim_order is None else dim_order)
    return {"shape": tuple(known[name] for name in order), "dim_order": order, "data_type": layout.data_type}


def example_shape(description: ModelDescription, fixed: Mapping[str, int]) -> tuple[int, ...]:
    """Give a shape to trace a model with: no open dimension has length 1, which tracers take for a constant."""
    layout = description.inputs[0].input
    sizes = {name: max(2, *both) for name, both in SIZES.items()} | dict(fixed)
    return tuple(
        sizes.get(name, 8) if size == -1 else size for name, size in zip(layout.dim_order, layout.shape, strict=True)
    )
