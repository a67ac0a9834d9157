"""Lengths of open axes as ``torch.export`` wants them: a number of its own for all axes that grow together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from modelstac.exporters.tracing import growing, root
from modelstac.registry.runtimes.names import identifiers

if TYPE_CHECKING:
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.running.signature import Signature

Dims = tuple[dict[int, Any], ...]
"""For each input what is said of its open axes, by their number."""


def explicit(signature: Signature, fixed: Mapping[str, Mapping[str, int]]) -> Dims:
    """Say of each open axis which lengths it may have.

    Axes that grow together are multiples of one number and a rest: with sizes from 16 and 8 in steps of 16 and 8 they
    are ``16 * n`` and ``8 * n`` long.

    Parameters
    ----------
    signature
        What the model takes.
    fixed
        Lengths of axes that are to have these, by input and axis.
    """
    groups = growing(signature, fixed)
    names = identifiers(groups)
    dims: dict[tuple[str, str], Any] = {}
    for symbol, axes in groups.items():
        least = root(axes)
        most = [(size.at_most - _rest(size, least)) // size.step for *_, size in axes if size.at_most is not None]
        number = torch.export.Dim(names[symbol], min=least, max=min(most) if most else None)
        for name, axis, size in axes:
            dims[name, axis] = _times(number, size.step, _rest(size, least))
    return _by_input(signature, dims)


def automatic(signature: Signature, fixed: Mapping[str, Mapping[str, int]]) -> Dims:
    """Let PyTorch find which lengths they may have; where it finds one only, it says nothing."""
    axes = [(name, axis) for group in growing(signature, fixed).values() for name, axis, _ in group]
    return _by_input(signature, dict.fromkeys(axes, torch.export.Dim.AUTO))


def _rest(size: Size, least: int) -> int:
    return size.at_least - size.step * least


def _times(number: Any, step: int, rest: int) -> Any:
    times = number if step == 1 else step * number
    return times if rest == 0 else times + rest


def _by_input(signature: Signature, dims: Mapping[tuple[str, str], Any]) -> Dims:
    return tuple(
        {place: dims[tensor.name, axis] for place, axis in enumerate(tensor.dim_order) if (tensor.name, axis) in dims}
        for tensor in signature.inputs
    )
