"""Lengths of the axes that a model leaves open: those of its item, else measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.exporters.tracing import example_shapes, unmeasured
from modelstac.registry.probing.sizes import measure_sizes
from modelstac.registry.running.signature import Signature

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable


def open_sizes(model: Runnable) -> dict[str, dict[str, Size]]:
    """Give the lengths that open axes of a model may have, by the name of the input or output and of the axis.

    They are those of its item; where it says nothing, as those of earlier builds and of others, they are measured.

    Raises
    ------
    DataError
        When the model takes none of those tried.
    """
    stated = model.description.sizes
    return stated | measure_sizes(model).sizes if unmeasured(model) else stated


def sized(model: Runnable, *, report: Report = ignore) -> Signature:
    """Give the signature of a model with the lengths of :func:`open_sizes`.

    Where these cannot be measured, as a run takes too long, one length that works stands for each axis, and a note says
    so.

    Raises
    ------
    ConversionError
        When the model takes no shape that was tried.
    """
    try:
        sizes = open_sizes(model)
    except DataError as error:
        shapes = example_shapes(model)
        report(Note(f"{model.item.id} is compared on one shape only, {shapes}: {error}"))
        sizes = {
            tensor.name: dict(zip(tensor.dim_order, map(Size.fixed, shapes[tensor.name]), strict=True))
            for tensor in model.signature.inputs
        }
    return model.signature.with_sizes(sizes)
