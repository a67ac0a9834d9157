"""Which lengths open axes of a model may have, and how its outputs' follow: found by running it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.grouping import grow_all, sizes_of
from modelstac.registry.probing.growing import EXPORTED, Ground, is_claim
from modelstac.registry.probing.joining import Sizes, join
from modelstac.registry.probing.starting import starts
from modelstac.registry.probing.trial import Trial

if TYPE_CHECKING:
    from modelstac.registry.probing.trial import Axis
    from modelstac.registry.running.signature import Runnable, Signature

SECONDS = 120.0
UNSTATED: Mapping[str, Mapping[str, Size]] = MappingProxyType({})
NONE_WANTED: Mapping[Axis, int] = MappingProxyType({})


def measure_sizes(
    model: Runnable,
    *,
    stated: Mapping[str, Mapping[str, Size]] = UNSTATED,
    wanted: Mapping[Axis, int] = NONE_WANTED,
    seconds: float = SECONDS,
) -> Sizes:
    """Find the least length and the step of every open axis of the inputs, alone and together, by running the model.

    A length fits where the model runs and each axis of its outputs has the length that grows evenly with it:
    ``scale`` times the length, plus an ``offset``. That it runs is not enough. An encoder that halves the grid and
    rounds up runs on every length, and 5 and 6 pixels both give 3; so its step is 2, and of the two kinds of
    lengths that grow evenly (odd, even) multiples of the step are taken, unless another is wanted. A network that
    pads and crops its output to the size of its input has the step 1.

    Axes that do not grow alone are tried together: the same axis of several inputs, in proportion to their resolution;
    height and width of a network that takes squares. They get one ``symbol``.

    Parameters
    ----------
    model
        What runs; of the axes that its signature leaves open every length must be allowed.
    stated
        What the file itself says of open axes of inputs, by tensor and axis. It bounds the search, and is tried like
        anything else.
    wanted
        Lengths of open axes that are to be among those found, such as of an example.
    seconds
        How long the search may take.

    Returns
    -------
    Sizes

    Raises
    ------
    DataError
        If the model runs on none of the lengths tried, on lengths that no least one and step describe, or the search
        takes too long.
    InvalidItemError
        If it does not run on lengths that the file states.
    """
    trial = Trial(model, seconds)
    said = _said(model.signature, stated)
    ground = _start(trial, said, wanted)
    groups = grow_all(ground, [axis for axis in said if not said[axis].is_fixed])
    found = {axis: Size.fixed(ground.lengths[axis]) for axis in said}
    for group in groups:
        found |= sizes_of(ground, group)
    _prove_stated(said, found)
    return join(ground, groups, found)


class NothingRunsError(DataError):
    """A model runs on none of the shapes that were tried."""


def _said(signature: Signature, stated: Mapping[str, Mapping[str, Size]]) -> dict[Axis, Size]:
    """Give what the file says of each open axis, else what the signature does."""
    return {
        (tensor.name, dim): stated.get(tensor.name, {}).get(dim, size)
        for tensor in signature.inputs
        for dim, size in tensor.axes.items()
        if not size.is_fixed
    }


def _start(trial: Trial, said: Mapping[Axis, Size], wanted: Mapping[Axis, int]) -> Ground:
    fixed = {(t.name, dim): size.at_least for t in trial.signature.inputs for dim, size in t.axes.items()}
    tried = 0
    for lengths in starts(list(said), said):
        tried += 1
        shapes = {t.name: tuple((fixed | lengths)[t.name, dim] for dim in t.dim_order) for t in trial.signature.inputs}
        if trial.lengths(shapes) is not None:
            return Ground(trial, fixed | lengths, said, wanted)
    axes = ", ".join(dict.fromkeys(dim for _, dim in said))
    if any(map(is_claim, said.values())):
        raise InvalidItemError(f"{_claims(said)}, and it runs on none of {tried} such shapes: {trial.reason}")
    if not said:
        raise NothingRunsError(f"it does not run on the shape that it declares: {trial.reason}")
    raise NothingRunsError(f"lengths of {axes} are open, and it runs on none of {tried} shapes tried: {trial.reason}")


def _prove_stated(said: Mapping[Axis, Size], found: Mapping[Axis, Size]) -> None:
    """Raise InvalidItemError where the model does not take what the file says; what it takes besides is left out."""
    for axis, size in said.items():
        measured = found[axis]
        says = size.step != 1 or size.at_least > EXPORTED  # a greatest length alone says nothing of the others
        if says and (measured.step, measured.at_least) != (size.step, size.at_least):
            raise InvalidItemError(
                f"{_claims({axis: size})}, and it runs {measured}: write the file anew with the sizes that it takes"
            )


def _claims(said: Mapping[Axis, Size]) -> str:
    shown = ", ".join(f"{dim} of {name!r} {size}" for (name, dim), size in said.items() if is_claim(size))
    return f"the file says {shown}"
