"""What saving an object gives: a file, and what the object says of itself and its file does not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from modelstac.catalog.errors import SpecError

if TYPE_CHECKING:
    import numpy as np

APART, SHARE = 1e-3, 0.01
"""By how much of the largest value, in how many of the values, a file may differ from the object it was made of."""
Arrays: TypeAlias = "Mapping[str, np.ndarray[Any, Any]]"


@dataclass(frozen=True)
class Saved:
    """A model in a file.

    Parameters
    ----------
    path
        The file.
    known
        What is known of it by the names of :class:`~modelstac.registry.publishing.saying.Said`; what a publisher says
        counts more.
    run
        What the object itself makes of arrays by input, in the order of the file's outputs; None where the file is the
        object.
    weights
        Its weights in safetensors, where its architecture is built by an entry point.
    notes
        What its publisher should know.
    labels
        What labels it gives and calls them, in the order of its scores; None where it gives none, or nobody knows.
    table
        Whether it takes a table of numbers and the file is a translation: then it is held against it on other values
        than the example's, too.
    missing
        Whether NaN is among these, as what is missing.
    instead
        Makes of the object what holds no code, where the file has code that is not trusted; None where nothing is.
    """

    path: Path
    known: Mapping[str, Any] = field(default_factory=dict)
    run: Callable[[Arrays], Sequence[Any]] | None = None
    weights: Path | None = None
    notes: tuple[str, ...] = ()
    labels: Sequence[tuple[int, str]] | None = None
    table: bool = False
    missing: bool = False
    instead: Callable[[], Saved | None] | None = None


def check_numbers(weights: Iterable[tuple[str, np.ndarray[Any, Any]]]) -> None:
    """Refuse weights that are no numbers: what a training leaves that diverged.

    Raises
    ------
    SpecError
        Of the first of them.
    """
    for name, array in weights:
        if array.dtype.kind in "fc" and (count := int((array != array).sum())):  # noqa: PLR0124 - NaN alone is not itself
            raise SpecError(
                f"the weights {name!r} are no numbers ({count} of {array.size} are NaN), as after a training that "
                "diverged: publish an earlier state"
            )


class Kind(Protocol):
    """What a module of a framework offers."""

    BANDS_FIRST: bool

    def input_names(
        self, model: Any, given: Collection[str] = ()
    ) -> Sequence[str] | None:  # pragma: no cover - a shape, not code
        """Name the inputs as the file will, of which some are given; None where it is saved without an example."""
        ...

    def save(self, model: Any, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:  # pragma: no cover
        """Save the object."""
        ...
