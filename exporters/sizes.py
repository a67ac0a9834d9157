"""Sizes for the dimensions that a model leaves open: those on which it is traced, compared and timed.

A model that takes any height may still take only multiples of some number: each pooling of a U-Net halves the grid. No
file says so; the model itself does, when it is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.sizes import measure_sizes
from modelstac.registry.running.signature import BATCH, Signature

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

Sizes = Mapping[str, tuple[int, int]]
"""By the name of a dimension its size in a first and in a second shape."""

SIZES: Sizes = MappingProxyType({"batch": (1, 2), "time": (6, 5), "height": (24, 17), "width": (20, 31)})
"""What is tried first; 8 and 5 for other names."""
OTHER = (8, 5)


def find_sizes(*models: Runnable) -> Sizes:
    """Find two sizes of each open dimension that every one of the models takes, by running them on zeros.

    Parameters
    ----------
    *models
        Alike in the names of their inputs and dimensions; a dimension has one size in all inputs. Where nothing but the
        batch is open, none is run.

    Raises
    ------
    ConversionError
        When they take none of those tried.
    """
    layouts = [tensor for model in models for tensor in model.signature.inputs]
    fixed = {
        n: size for layout in layouts for n, size in zip(layout.dim_order, layout.shape, strict=True) if size != -1
    }
    open_ = list(dict.fromkeys(name for layout in layouts for name in layout.dim_order if name not in fixed))
    reason = ""
    for sizes in _candidates(open_):
        if open_ in ([], ["batch"]):
            return sizes
        try:
            for number in (0, 1):
                known = fixed | {name: sizes[name][number] for name in open_}
                for model in models:
                    model.run({tensor.name: _zeros(tensor, known) for tensor in model.signature.inputs})
        except Exception as error:  # noqa: BLE001 - what a framework raises on a shape that does not fit is its own affair
            reason = reason or " ".join(str(error).split())[:200]
            continue
        return sizes
    raise ConversionError(f"{layouts[0].name!r} takes any {', '.join(open_)}, and none that was tried works: {reason}")


def _zeros(tensor: TensorSignature, known: Mapping[str, int]) -> NDArray[Any]:
    shape = [known[n] if size == -1 else size for n, size in zip(tensor.dim_order, tensor.shape, strict=True)]
    return np.zeros(shape, tensor.dtype)


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
    if not unknown:
        return stated
    return stated | measure_sizes(model).sizes


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


def _candidates(names: list[str]) -> Iterator[Sizes]:
    yield {**SIZES, **{name: OTHER for name in names if name not in SIZES}}
    for number in (4, 16, 64):
        pairs = ((2 * number, number), (number, 3 * number))
        yield {"batch": SIZES["batch"]} | {
            name: pairs[place % 2] for place, name in enumerate(names) if name != "batch"
        }
