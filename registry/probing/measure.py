"""What a model takes and how far it looks, for the item that describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.halo import measure_halo
from modelstac.registry.probing.proof import prove_halo
from modelstac.registry.probing.sizes import NONE_WANTED, UNSTATED, NothingRunsError, measure_sizes

if TYPE_CHECKING:
    from modelstac.registry.probing.relation import Follows
    from modelstac.registry.probing.trial import Axis
    from modelstac.registry.running.signature import Runnable


@dataclass(frozen=True)
class Measured:
    """What was found by running a model.

    Parameters
    ----------
    sizes
        Lengths of open axes of the inputs, by tensor and axis, and of the outputs' those that the data decide. Empty
        where they could not be found; what a file states is not published unproved.
    halo
        Pixels around it that an output pixel depends on: ``halo`` of the description; None where it could not be found,
        or no axis is a place.
    follows
        How axes of outputs follow those of inputs.
    notes
        What could not be found and why, for people.
    runs
        Whether it ran on any shape at all.
    """

    sizes: dict[str, dict[str, Size]]
    halo: dict[str, dict[str, Any]] | None
    follows: tuple[Follows, ...] = ()
    notes: tuple[str, ...] = ()
    runs: bool = True

    @property
    def all_sizes(self) -> dict[str, dict[str, Size]]:
        """Lengths of open axes of inputs and of outputs, which follow an input's: ``sizes`` of the description.

        By these, whoever cuts an input into tiles knows how long each tile of an output is.
        """
        found = {name: dict(axes) for name, axes in self.sizes.items() if axes}
        for follows in self.follows:
            given = self.sizes.get(follows.input, {}).get(follows.source)
            if given is not None and not given.is_fixed and follows.scale > 0:
                least, step = follows.length(given.at_least), follows.scale * given.step
                size = Size(int(least), int(step), symbol=given.symbol)
                found.setdefault(follows.output, {}).setdefault(follows.axis, size)
        return found


def measure(
    model: Runnable,
    stated: Mapping[str, Mapping[str, Size]] = UNSTATED,
    wanted: Mapping[Axis, int] = NONE_WANTED,
) -> Measured:
    """Measure sizes and halo, and prove them; what cannot be found is a note and no error.

    Parameters
    ----------
    model
        What runs; of the axes that its signature leaves open every length must be allowed.
    stated
        What the file itself says of open axes of inputs, by tensor and axis.
    wanted
        Lengths of open axes that are to be among those found, such as of an example.

    Raises
    ------
    InvalidItemError
        If the model does not run on sizes that its file states.
    """
    try:
        sizes = measure_sizes(model, stated=stated, wanted=wanted)
    except DataError as error:
        runs = not isinstance(error, NothingRunsError)
        return Measured({}, None, notes=(f"sizes were not measured: {error}",), runs=runs)
    try:
        halo = measure_halo(model, sizes)
        prove_halo(model, halo, sizes)
    except DataError as error:
        return Measured(sizes.sizes, None, sizes.follows, (*sizes.notes, f"the item gets no halo: {error}"))
    return Measured(sizes.sizes, halo or None, sizes.follows, sizes.notes)
