"""Which open axes grow alone and which together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.axes import is_batch, kind_of
from modelstac.registry.probing.growing import EXPORTED, Group, is_claim, steps, together

if TYPE_CHECKING:
    from modelstac.registry.probing.growing import Ground
    from modelstac.registry.probing.trial import Axis

MOST_TOGETHER = 6
"""Axes of which subsets are tried, where none of them grows alone."""


def grow_all(ground: Ground, axes: Sequence[Axis]) -> list[Group]:
    """Find the groups in which open axes grow; an axis that is in none has one length only.

    Raises
    ------
    InvalidItemError
        If axes do not grow together that have one symbol in the file.
    """
    groups = list(_stated(ground, axes))
    left = [axis for axis in axes if all(axis not in group.deltas for group in groups)]
    if batch := [axis for axis in left if is_batch(axis[1])]:
        groups += filter(None, [ground.grow(dict.fromkeys(batch, 1))])
        left = [axis for axis in left if axis not in batch]
    alone = {axis: ground.grow({axis: ground.stated[axis].step}) for axis in left}
    groups += filter(None, alone.values())
    stuck = [axis for axis, group in alone.items() if group is None]
    while stuck:
        group = _growing_with(ground, stuck[0], stuck[1:MOST_TOGETHER]) or _uneven(ground, stuck[0])
        groups += [] if group is None else [group]
        stuck = [axis for axis in stuck[1:] if group is None or axis not in group.deltas]
    return groups


def _stated(ground: Ground, axes: Sequence[Axis]) -> Iterator[Group]:
    symbols: dict[str, list[Axis]] = {}
    for axis in axes:
        symbol = ground.stated[axis].symbol
        if symbol is not None:
            symbols.setdefault(symbol, []).append(axis)
    batch = [axis for axis in axes if is_batch(axis[1])]
    for symbol, members in symbols.items():
        if len(members) == 1:
            continue
        if not set(batch).isdisjoint(members):  # there are as many samples in an input that is not used
            members += [axis for axis in batch if axis not in members]
            batch = []
        group = ground.grow({axis: ground.stated[axis].step for axis in members})
        if group is None:
            shown = " and ".join(f"{dim} of {name!r}" for name, dim in members)
            raise InvalidItemError(f"the file says that {shown} grow together ({symbol}), and it does not run so")
        yield group


def _growing_with(ground: Ground, axis: Axis, others: Sequence[Axis]) -> Group | None:
    """Find the fewest other axes with which one grows; those of the same kind first."""
    others = sorted(others, key=lambda other: kind_of(other[1]) != kind_of(axis[1]))
    for count in range(1, len(others) + 1):
        for chosen in itertools.combinations(others, count):
            for units in together((axis, *chosen), ground.lengths):
                if (group := ground.grow(units)) is not None:
                    return group
    return None


def _uneven(ground: Ground, axis: Axis) -> Group | None:
    """Let an axis grow by itself where only some axes of outputs do not follow it evenly, and leave those out."""
    before = ground.ignored
    for step in steps():
        shapes = [ground.outputs(ground.moved({axis: step}, count)) for count in range(4)]
        if any(lengths is None for lengths in shapes):
            continue
        rows = [lengths for lengths in shapes if lengths is not None]
        uneven = {a for a in rows[0] if len({after.get(a, 0) - row[a] for row, after in itertools.pairwise(rows)}) > 1}
        ground.ignored = before | uneven
        if (group := ground.group({axis: step})) is not None:
            return group
    ground.ignored = before
    return None


def sizes_of(ground: Ground, group: Group) -> dict[Axis, Size]:
    """Find the least lengths of the axes of a group; what bounds them from above is what the file says."""
    lowest = {}
    for axis in group.deltas:
        size = ground.stated[axis]
        lowest[axis] = max(1, size.at_least if is_claim(size) or size.at_least > EXPORTED else 1)
    least = ground.moved(group.deltas, -ground.least(group, lowest))
    symbol = _symbol(ground, group)
    return {
        axis: Size(length, group.deltas[axis], ground.stated[axis].at_most, symbol) for axis, length in least.items()
    }


def _symbol(ground: Ground, group: Group) -> str | None:
    """Name what several axes grow with; the batch needs no name."""
    axes = list(group.deltas)
    if len(axes) == 1 or all(is_batch(dim) for _, dim in axes):
        return None
    stated = [symbol for axis in axes if (symbol := ground.stated[axis].symbol) is not None]
    kinds = dict.fromkeys(kind_of(dim) for _, dim in axes)
    return min(stated) if stated else " and ".join(kinds)
