"""What a file gives, held against what the object gives that it was made of: on the example, tables on others, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.messages import Note, Report
from modelstac.registry.describing.measuring import opened
from modelstac.registry.publishing.objects.saved import APART, SHARE
from modelstac.registry.publishing.objects.tables import tables
from modelstac.registry.running.differences import LABELS, differences, largest
from modelstac.registry.running.examples import OUTPUT, example_keys

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.publishing.objects.saved import Arrays, Saved
    from modelstac.registry.trust.policy import TrustPolicy

_NOT_THE_SAME = "it is not the same model, and was not published"
_EXAMPLE = "the example's values"


def compare(
    saved: Saved, inputs: Mapping[str, Any], description: ModelDescription, *, policy: TrustPolicy, report: Report
) -> None:
    """Hold a file against the object it was made of.

    Parameters
    ----------
    saved
        The object that runs.
    inputs
        The example, by input, as the model reads it; of a table it may be nothing.
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
    if inputs:
        keys = example_keys(OUTPUT, [output.name for output in description.outputs])
        given = {name: np.load(Path(str(description.assets[key].path))) for name, key in keys.items()}
        _hold(given, _of_example(saved.run, inputs), report, _EXAMPLE)
    if saved.table:
        _compare_tables(saved, inputs, description, policy=policy, report=report)


def _compare_tables(
    saved: Saved, inputs: Mapping[str, Any], description: ModelDescription, *, policy: TrustPolicy, report: Report
) -> None:
    assert saved.run is not None
    [table] = description.inputs
    example = None if table.name not in inputs else np.asarray(inputs[table.name])
    missing = saved.missing or (example is not None and bool(np.isnan(example).any()))
    tried = tables(example, int(table.input.shape[-1]), saved.path, missing=missing)
    answers = _answers(saved.run, table.name, tried, report)
    with opened(description, policy=policy, report=report) as model:
        for where, expected in answers.items():
            found = model.run({table.name: tried[where]}, finite=False)
            _hold({name: np.asarray(array) for name, array in found.items()}, expected, report, where)


def _of_example(run: Callable[[Arrays], Sequence[Any]], inputs: Mapping[str, Any]) -> Sequence[Any]:
    try:
        return run(inputs)
    except ModelStacError:
        raise
    except Exception as error:
        raise InvalidItemError(
            f"the model itself fails on the example, so what its file gives cannot be compared: {_line(error)}"
        ) from error


def _answers(
    run: Callable[[Arrays], Sequence[Any]], name: str, tried: Mapping[str, np.ndarray[Any, Any]], report: Report
) -> dict[str, list[Any]]:
    """Run a model on tables: at once, as a pickle's runs in a process of its own; apart where it refuses one."""
    ends = np.cumsum([len(table) for table in tried.values()])
    try:
        whole = [np.asarray(array) for array in run({name: np.concatenate(list(tried.values()))})]
        parts = [np.split(array, ends[:-1]) for array in whole]
        return {where: [part[place] for part in parts] for place, where in enumerate(tried)}
    except Exception:  # noqa: BLE001 - any class, and asked again below
        found = {}
    for where, table in tried.items():
        try:
            found[where] = list(run({name: table}))
        except Exception as error:  # noqa: BLE001
            report(
                Note(f"the file was not held against the model itself on {where}, which that refuses: {_line(error)}")
            )
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


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
        most = 0.0 if own.dtype.kind in LABELS else APART * max(1.0, largest(own))
        share = float(np.mean(away > most)) if away.size else 0.0
        if share > SHARE:
            raise InvalidItemError(
                f"the file gives other numbers for {name!r} than the model itself, by {away.max():.2g} at most, in "
                f"{share:.0%} of {where}: {_NOT_THE_SAME}"
            )
        if share:
            report(Note(f"{name!r} of the file differs from the model itself in {share:.2%} of {where}"))
