"""Sizes for the dimensions that a model leaves open: those on which it is traced, compared and timed.

A model that takes any height may still take only multiples of some number: each pooling of a U-Net halves the grid. No
file says so; the model itself does, when it is run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.sizes import measure_sizes
from modelstac.registry.running.signature import BATCH, Signature

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature


def open_sizes(model: Runnable) -> dict[str, dict[str, Size]]:
    """Give the lengths that open axes of a model may have, by the name of the input or output and of the axis.

    They are those of its item; where it says nothing, as those of earlier builds and of others, they are measured.

    Raises
    ------
    DataError
        When the model takes none of those tried.
    """
    stated = model.description.sizes
    unknown = [
        dim
        for tensor in model.signature.inputs
        for dim, size in tensor.axes.items()
        if not size.is_fixed and dim != BATCH and dim not in stated.get(tensor.name, {})
    ]
    return stated | measure_sizes(model).sizes if unknown else stated


def sized(model: Runnable) -> Signature:
    """Give the signature of a model with the lengths of :func:`open_sizes`."""
    sizes = open_sizes(model)

    def with_sizes(tensor: TensorSignature) -> TensorSignature:
        known = sizes.get(tensor.name, {})
        return replace(
            tensor,
            sizes=tuple(size if size.is_fixed else known.get(dim, size) for dim, size in tensor.axes.items()),
        )

    both = (tuple(map(with_sizes, side)) for side in (model.signature.inputs, model.signature.outputs))
    return Signature(*both)
