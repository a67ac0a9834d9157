"""Where blocks of several inputs are cut, and how much of its neighbours each needs for the parts to make the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, lcm
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.registry.running.signature import BATCH

if TYPE_CHECKING:
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.running.aligning import Aligned

GLOBAL = "global"
"""What the item says of an axis of which every pixel of an output depends on all."""
Halo = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cut:
    """How an input is cut along one of its dimensions.

    Parameters
    ----------
    size
        Lengths that the model takes.
    chunks
        Lengths of the blocks, without what they have of their neighbours.
    before, after
        How many values of the neighbour on either side a block is given.
    """

    size: Size
    chunks: tuple[int, ...]
    before: int = 0
    after: int = 0

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the blocks that the model is given."""
        last = len(self.chunks) - 1
        return tuple(
            length + (self.before if i else 0) + (self.after if i < last else 0) for i, length in enumerate(self.chunks)
        )


Cuts = dict[str, dict[str, Cut]]
"""By dimension and input."""


def cuts(
    inputs: Sequence[Aligned],
    *,
    halo: Halo | None,
    overlap: Mapping[str, int],
    spare: Mapping[str, int] = MappingProxyType({}),
) -> Cuts:
    """Say how inputs are cut along every dimension; those that share one are cut alike.

    Parameters
    ----------
    inputs
        The inputs that are given.
    halo
        By input and axis, as the item says it was measured; None if it says nothing.
    overlap
        What the caller says in its place, by name in the data or the model.
    spare
        By axis, what a block needs of its neighbours beside either.

    Raises
    ------
    DataError
        If the blocks are not such as the model can take.
    """
    said = _by_dimension(inputs, overlap)
    dims = dict.fromkeys(dim for one in inputs for dim in one.layout.dim_order)
    found = {}
    for dim in dims:
        having = [one for one in inputs if dim in one.names]
        found[dim] = _cut(dim, having, halo or {}, said.get(dim), spare.get(dim, 0))
    return found


def _by_dimension(inputs: Sequence[Aligned], overlap: Mapping[str, int]) -> dict[str, int]:
    """Read an overlap by names of the data as one by names of the model."""
    names = {name: dim for one in inputs for dim, name in one.names.items()} | {d: d for o in inputs for d in o.names}
    if unknown := overlap.keys() - names.keys():
        known = ", ".join(dict.fromkeys(name for one in inputs for name in one.names.values()))
        raise DataError(f"the inputs have no dimension {min(unknown)!r} to overlap: they have {known}")
    return {names[name]: length for name, length in overlap.items()}


def _cut(dim: str, inputs: list[Aligned], halo: Halo, said: int | None, spare: int) -> dict[str, Cut]:
    chunks = _alike(dim, inputs)
    found = {}
    for one, parts in zip(inputs, chunks, strict=True):
        size = one.layout.axes[dim]
        if size.is_fixed and set(parts) != {size.at_least}:
            wanted = size.at_least
            raise unfit(one, dim, parts, f"make blocks of {wanted}: .chunk({{{one.names[dim]!r}: {wanted}}})")
        if said is not None and (size.is_fixed or said < 0):
            raise unfit(one, dim, parts, "an overlap is for dimensions of any size, in and out")
        found[one.layout.name] = Cut(size, parts)
    if len(chunks[0]) == 1 or any(cut.size.is_fixed for cut in found.values()):
        return found
    if dim == BATCH and not any(halo.get(one.layout.name, {}).get(dim) for one in inputs):
        return found
    needed = [_needed(one, dim, parts, halo, said) + spare for one, parts in zip(inputs, chunks, strict=True)]
    return _with_margins(dim, inputs, list(found.values()), needed)


def _alike(dim: str, inputs: list[Aligned]) -> list[tuple[int, ...]]:
    """Cut all inputs as the first that is cut; one of another resolution in the same proportions."""
    chunks = [_chunks(one, dim) for one in inputs]
    first = next((i for i, parts in enumerate(chunks) if len(parts) > 1), None)
    if first is None:
        return chunks
    whole, pattern = sum(chunks[first]), chunks[first]
    for i, (one, parts) in enumerate(zip(inputs, chunks, strict=True)):
        scaled = [part * sum(parts) for part in pattern]
        alike = tuple(part // whole for part in scaled)
        if any(part % whole for part in scaled) or (len(parts) > 1 and parts != alike):
            other = inputs[first].layout.name
            raise unfit(one, dim, parts, f"those of {other!r} are {_shown(pattern)}: .chunk both alike")
        chunks[i] = alike
    return chunks


def _chunks(one: Aligned, dim: str) -> tuple[int, ...]:
    if one.array.chunks is None:
        return (one.length(dim),)
    return tuple(one.array.chunks[one.layout.dim_order.index(dim)])


def _needed(one: Aligned, dim: str, parts: tuple[int, ...], halo: Halo, said: int | None) -> int:
    """Tell how many values around it an output depends on: as was said, or as was measured."""
    if said is not None:
        return said
    name, found = one.names[dim], halo.get(one.layout.name, {}).get(dim)
    if found == GLOBAL:
        whole = (
            "the result of a sample moves with the others of its batch"
            if dim == BATCH
            else "every pixel depends on all of it (halo global)"
        )
        advice = f"{whole}: load it whole, .chunk({{{name!r}: -1}})"
        raise unfit(one, dim, parts, advice)
    if isinstance(found, Mapping):
        found = found["pixels"] + sum(times * one.length(axis) for axis, times in found.get("per", {}).items())
    if found is None:
        advice = f"say how many values blocks share: overlap={{{name!r}: 16}}, or .chunk({{{name!r}: -1}})"
        raise unfit(one, dim, parts, advice)
    return int(found)


def _with_margins(dim: str, inputs: list[Aligned], found: list[Cut], needed: list[int]) -> dict[str, Cut]:
    """Give blocks as much of their neighbours as is needed, rounded up to lengths that the model takes.

    Blocks begin at multiples of the step, as the whole does at 0; otherwise a pooling would take other pixels together.
    """
    common = gcd(*(sum(cut.chunks) for cut in found))
    pixels = [sum(cut.chunks) // common for cut in found]  # of each input for one pixel of the coarsest grid
    unit = lcm(*(cut.size.step // gcd(cut.size.step, n) for cut, n in zip(found, pixels, strict=True)))
    count = max(-(-need // (n * unit)) for need, n in zip(needed, pixels, strict=True)) * unit
    margins = []
    for cut, n in zip(found, pixels, strict=True):
        before = count * n
        margins.append((before, before + (cut.size.at_least - before) % cut.size.step))
    merge = any(cut.chunks[-1] < max(margin) for cut, margin in zip(found, margins, strict=True))
    made = {}
    for one, cut, (before, after) in zip(inputs, found, margins, strict=True):
        chunks = (*cut.chunks[:-2], cut.chunks[-2] + cut.chunks[-1]) if merge else cut.chunks
        made[one.layout.name] = Cut(cut.size, chunks, before, after) if len(chunks) > 1 else Cut(cut.size, chunks)
        _check(one, dim, made[one.layout.name])
    return made


def _check(one: Aligned, dim: str, cut: Cut) -> None:
    name, size, step = one.names[dim], cut.size, cut.size.step
    if not size.fits(whole := one.length(dim)):
        nearest = " or ".join(map(str, size.nearest(whole)))
        raise unfit(one, dim, cut.chunks, f"{whole} in all does not fit, the nearest that does is {nearest}")
    if odd := next((length for length in cut.chunks[:-1] if length % step), 0):
        below = odd // step * step
        nearest = " or ".join(str(length) for length in (below, below + step) if length)
        raise unfit(one, dim, cut.chunks, f"blocks have multiples of {step}, the nearest to {odd} are {nearest}")
    if short := next((length for length in cut.chunks if length < max(cut.before, cut.after)), None):
        share = max(cut.before, cut.after)
        advice = (
            f"they share {share} with their neighbours: make blocks of at least that, .chunk({{{name!r}: {share}}})"
        )
        raise unfit(one, dim, (short,), advice)
    if wrong := next((length for length in cut.lengths if not size.fits(length)), None):
        nearest = " or ".join(map(str, size.nearest(wrong)))
        raise unfit(one, dim, cut.chunks, f"with neighbours {wrong}, which does not fit: the nearest is {nearest}")


def unfit(one: Aligned, dim: str, parts: Sequence[int], advice: str) -> DataError:
    """Say which blocks do not fit, and what to do."""
    name = one.names[dim]
    return DataError(
        f"input {one.layout.name!r} is {one.layout}; found blocks of {_shown(parts)} along {name!r}: {advice}"
    )


def _shown(parts: Sequence[int]) -> str:
    return ", ".join(map(str, parts[:4])) + (", …" if len(parts) > 4 else "")
