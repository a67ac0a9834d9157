"""Sizes for the dimensions that a model leaves open: those on which it is traced, compared and timed.

A model that takes any height may still take only multiples of some number: each pooling of a U-Net halves the grid. No
file says so; the model itself does, when it is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from modelstac.catalog.errors import ConversionError

Sizes = Mapping[str, tuple[int, int]]
"""By the name of a dimension its size in a first and in a second shape."""

SIZES: Sizes = MappingProxyType({"batch": (1, 2), "time": (6, 5), "height": (24, 17), "width": (20, 31)})
"""What is tried first; 8 and 5 for other names."""
OTHER = (8, 5)


def find_sizes(*models: Any) -> Sizes:
    """Find two sizes of each open dimension that every one of the models takes, by running them on zeros.

    Parameters
    ----------
    *models
        Anything with ``signature`` and ``predict``, alike in the names of their dimensions. Where nothing but the batch
        is open, none is run.

    Raises
    ------
    ConversionError
        When they take none of those tried.
    """
    layouts = [model.signature.inputs[0] for model in models]
    fixed = {
        n: size for layout in layouts for n, size in zip(layout.dim_order, layout.shape, strict=True) if size != -1
    }
    open_ = [name for name in layouts[0].dim_order if name not in fixed]
    reason = ""
    for sizes in _candidates(open_):
        if open_ in ([], ["batch"]):
            return sizes
        try:
            for number in (0, 1):
                known = fixed | {name: sizes[name][number] for name in open_}
                for model, layout in zip(models, layouts, strict=True):
                    model.predict(np.zeros([known[name] for name in layout.dim_order], layout.dtype))
        except Exception as error:  # noqa: BLE001 - what a framework raises on a shape that does not fit is its own affair
            reason = reason or " ".join(str(error).split())[:200]
            continue
        return sizes
    raise ConversionError(f"{layouts[0].name!r} takes any {', '.join(open_)}, and none that was tried works: {reason}")


def _candidates(names: list[str]) -> Iterator[Sizes]:
    yield {**SIZES, **{name: OTHER for name in names if name not in SIZES}}
    for number in (4, 16, 64):
        pairs = ((2 * number, number), (number, 3 * number))
        yield {"batch": SIZES["batch"]} | {
            name: pairs[place % 2] for place, name in enumerate(names) if name != "batch"
        }
