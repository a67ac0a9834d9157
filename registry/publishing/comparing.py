"""What a file gives, held against what the object gives that it was made of: on the example, also with gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.messages import Note, Report
from modelstac.registry.describing.measuring import opened
from modelstac.registry.running.differences import LABELS, differences, largest
from modelstac.registry.running.examples import OUTPUT, example_keys

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.publishing.objects.saved import Saved
    from modelstac.registry.trust.policy import TrustPolicy

_NOT_THE_SAME = "it is not the same model, and was not published"
_APART, _SHARE = 1e-3, 0.01
"""By how much of the largest value, in how many of the values, a file may differ from the object it was made of."""
_MISSING = 0.2
"""How many of the values are taken away."""
_EXAMPLE, _WITHOUT = "the example's values", "the values where some are missing (NaN)"


def compare(
    saved: Saved, inputs: Mapping[str, Any], description: ModelDescription, *, policy: TrustPolicy, report: Report
) -> None:
    """Hold a file against the object it was made of.

    Parameters
    ----------
    saved
        The object that runs.
    inputs
        The example, by input, as the model reads it.
    description
        Of the file, with what it gave on the example.
    policy
        What may be in the file.
    report
        Gets a note where they differ in few values.

    Raises
    ------
    InvalidItemError
        If they differ by more than rounding in more than a hundredth of the values.
    """
    assert saved.run is not None
    keys = example_keys(OUTPUT, [output.name for output in description.outputs])
    given = {name: np.load(Path(str(description.assets[key].path))) for name, key in keys.items()}
    _hold(given, saved.run(inputs), report, _EXAMPLE)
    if not saved.missing:
        return
    strewn = {name: _without_some(np.asarray(array)) for name, array in inputs.items()}
    with opened(description, policy=policy, report=report) as model:
        found = model.run(strewn, finite=False)
    _hold({name: np.asarray(array) for name, array in found.items()}, saved.run(strewn), report, _WITHOUT)


def _without_some(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Take away a fifth of the values, and each column once."""
    gone = np.random.default_rng(0).random(array.shape) < _MISSING
    for column in range(min(array.shape[-1], len(array))):
        gone[column, ..., column] = True
    return np.where(gone, np.nan, array).astype(array.dtype)


def _hold(given: Mapping[str, np.ndarray[Any, Any]], expected: Sequence[Any], report: Report, where: str) -> None:
    for (name, found), own in zip(given.items(), map(np.asarray, expected), strict=False):
        if own.dtype.kind not in "fiub":
            continue  # labels that are texts, of which the file gives other ones
        if found.shape != own.shape:
            raise InvalidItemError(
                f"the file gives {name!r} as {list(found.shape)}, the model itself {list(own.shape)}: {_NOT_THE_SAME}"
            )
        away = differences(own, found)
        # Labels are the same or others, however large their numbers are.
        most = 0.0 if own.dtype.kind in LABELS else _APART * max(1.0, largest(own))
        share = float(np.mean(away > most)) if away.size else 0.0
        if share > _SHARE:
            raise InvalidItemError(
                f"the file gives other numbers for {name!r} than the model itself, by {away.max():.2g} at most, in "
                f"{share:.0%} of {where}: {_NOT_THE_SAME}"
            )
        if share:
            report(Note(f"{name!r} of the file differs from the model itself in {share:.2%} of {where}"))
