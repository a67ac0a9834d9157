"""Lengths of open axes from which a search begins: those that ordinary networks take, the likeliest first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from modelstac.registry.probing.axes import is_batch, is_spatial

if TYPE_CHECKING:
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.probing.trial import Axis

GRIDS = (32, 64, 96, 224, 128, 80, 192, 256, 384, 320, 512, 16, 8, 4, 2, 1)
"""Multiples of what networks halve, pool and cut into windows."""
OTHERS = (8, 6, 16, 4, 12, 1, 2, 3, 5, 7, 9, 10, 11, 13, 14, 15, 18, 24, 32, 64)
"""Of axes that are no place in an image: time, tokens, bands."""
RATIOS = (1, 2, 3, 4, 6)
"""Between inputs of different resolution, such as 10, 20 and 60 m."""
RATIO_GRIDS = (192, 384)
SCANNED = range(1, 260)
"""Lengths tried one by one, where convolutions without padding fit an odd one only."""
MOST_INPUTS = 4
"""Up to which ratios between inputs are tried."""


def starts(axes: Sequence[Axis], stated: Mapping[Axis, Size]) -> Iterator[dict[Axis, int]]:
    """Yield lengths of open axes to try, as near to the usual ones as what the file states allows."""
    seen = set()
    for spatial, other, batch in _usual(axes):
        lengths = {a: spatial[a] if is_spatial(a[1]) else batch if is_batch(a[1]) else other for a in axes}
        fitted = _fitted(lengths, stated)
        key = tuple(fitted.values())
        if key not in seen:
            seen.add(key)
            yield fitted


def _usual(axes: Sequence[Axis]) -> Iterator[tuple[dict[Axis, int], int, int]]:
    images = list(dict.fromkeys(name for name, dim in axes if is_spatial(dim)))
    alike = [dict.fromkeys(axes, length) for length in (GRIDS if images else GRIDS[:1])]
    others = OTHERS if any(not is_spatial(dim) and not is_batch(dim) for _, dim in axes) else OTHERS[:1]
    for grid in alike:
        yield grid, others[0], 1
    for other in others[1:]:
        for grid in alike[:3]:
            yield grid, other, 1
    if 1 < len(images) <= MOST_INPUTS:
        for length, other in itertools.product(RATIO_GRIDS, others[:2]):
            for ratios in itertools.product(RATIOS, repeat=len(images)):
                if min(ratios) == 1 < max(ratios):
                    by = dict(zip(images, ratios, strict=True))
                    yield {a: length // by.get(a[0], 1) for a in axes}, other, 1
    for batch in (1, 2, 4, 8):
        yield alike[0], others[0], batch
    for length in SCANNED if images else ():
        yield dict.fromkeys(axes, length), others[0], 1


def _fitted(lengths: dict[Axis, int], stated: Mapping[Axis, Size]) -> dict[Axis, int]:
    """Move lengths to the nearest that the file states; those of one symbol by the same number of steps."""
    steps: dict[str, int] = {}
    fitted = dict(lengths)
    for axis, length in lengths.items():
        if (size := stated.get(axis)) is None:
            continue
        # Below the greatest length there must be room to grow.
        near = size.nearest(length)[-1] if size.at_most is None else min(size.nearest(length)[-1], _middle(size))
        if size.symbol is not None and not size.is_fixed:
            near = size.above(steps.setdefault(size.symbol, size.steps(near)))
        fitted[axis] = near
    return fitted


def _middle(size: Size) -> int:
    return size.above(size.steps(size.above(size.at_most or 0)) // 2)
