"""What a publisher says of the values that a model is fed: their range, of the only input or by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.mlm import band_axis
from modelstac.registry.describing.stating import Dims
from modelstac.registry.facts import Tensor

Pairs = Sequence[float] | Sequence[Sequence[float]]
"""Lowest and highest value, or such a pair for each band."""
SaidRanges = Pairs | Mapping[str, Pairs]
"""Of the only input, or by name."""


def stated_ranges(said: SaidRanges, inputs: Sequence[Tensor], dims: Dims) -> dict[str, list[Any]]:
    """Give the range of each input of which one was stated, as ``interop:range`` has it.

    Parameters
    ----------
    said
        What was stated.
    inputs
        Those of the file.
    dims
        Names of their axes.

    Raises
    ------
    SpecError
        If it is of no input, or no range.
    """
    found = {}
    for name, pairs in named(said, [tensor.name for tensor in inputs], "--range").items():
        stated = _read(pairs, name)
        each = isinstance(stated[0], list)
        for low, high in stated if each else [stated]:
            if not (math.isfinite(low) and low < high < math.inf):
                raise SpecError(f"--range of {name!r} goes from a lower to a higher number, not {pairs!r}")
        tensor = next(tensor for tensor in inputs if tensor.name == name)
        bands = tensor.sizes[dims[name].index(axis)] if (axis := band_axis(dims[name])) else None
        if each and (bands is None or not bands.fits(len(stated))):
            raise SpecError(
                f"--range of {name!r} has {len(stated)} pairs, and its bands are {bands}: give one for each"
            )
        found[name] = stated
    return found


def _read(pairs: Any, name: str) -> list[Any]:
    """Read a pair of numbers, or a list of such pairs."""
    try:
        plain = pairs.tolist() if hasattr(pairs, "tolist") else [] if isinstance(pairs, str) else list(pairs)
        several = bool(plain) and not any(hasattr(one, "__float__") or isinstance(one, str) for one in plain)
        found: list[Any] = [list(map(float, pair)) for pair in plain] if several else list(map(float, plain))
    except (TypeError, ValueError) as error:
        raise SpecError(f"--range of {name!r} is LOWEST,HIGHEST, not {pairs!r}") from error
    if not found or any(len(pair) != 2 for pair in (found if several else [found])):
        raise SpecError(f"--range of {name!r} is LOWEST,HIGHEST, or such a pair for each band, not {pairs!r}")
    return found


def named(said: Any, names: Sequence[str], flag: str) -> Mapping[str, Any]:
    """Give what was said of the only input by its name, or of each as it was said.

    Raises
    ------
    SpecError
        If it is not said of which, or of one that the file does not have.
    """
    if not isinstance(said, Mapping):
        if said is None or (isinstance(said, tuple | list) and not said):
            return {}
        if len(names) > 1:
            raise SpecError(f"{flag}: the file has the inputs {', '.join(names)}; say which: {flag} {names[0]}=…")
        return {names[0]: said}
    if unknown := [name for name in said if name not in names]:
        raise SpecError(f"{flag} {unknown[0]}=…: the file has no such input, its inputs are {', '.join(names)}")
    return said
