"""What a publisher says of the scaling of an input, as MLM has it: one for all values, one for each band, or chains.

Source: MLM 1.5.2, "Value Scaling Object". A chain for each of several bands has no place there, and becomes one
arithmetic expression.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from modelstac.catalog.errors import InvalidItemError, Place, SpecError, at
from modelstac.catalog.items.mlm import ValueScaling, one_line
from modelstac.registry.running.values.scaling import NUMBERS, obstacle

_X = re.compile(r"\bx\b")
_OF_A_STEP = frozenset({"type", "format", "expression", "value", "minimum", "maximum", "mean", "stddev"})
_AS_TEXT: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = MappingProxyType(
    {
        "min-max": lambda x, s: f"({x} - {s['minimum']!r}) / ({s['maximum']!r} - {s['minimum']!r})",
        "z-score": lambda x, s: f"({x} - {s['mean']!r}) / {s['stddev']!r}",
        "clip": lambda x, s: f"clip({x}, {s['minimum']!r}, {s['maximum']!r})",
        "clip-min": lambda x, s: f"maximum({x}, {s['minimum']!r})",
        "clip-max": lambda x, s: f"minimum({x}, {s['maximum']!r})",
        "offset": lambda x, s: f"{x} - {s['value']!r}",
        "scale": lambda x, s: f"{x} / {s['value']!r}",
        "processing": lambda x, s: _X.sub(x, s["expression"]),
    }
)


def read_scaling(said: Any, bands: Sequence[str], count: int | None, *, of: str) -> tuple[ValueScaling, ...]:
    """Read the scaling of an input.

    Parameters
    ----------
    said
        A step for all values; a list with one for each band, or a mapping by the names of bands. A step is a mapping
        (``{"type": "z-score", "mean": 1354, "stddev": 245}``, or with a list of one number for each band), a number
        that values are divided by, or arithmetic of ``x`` as text; or a list of these, taken one after the other.
    bands
        Names of the bands of the input.
    count
        How many it has, where they have no names; None where nobody knows.
    of
        Name of the input, for messages.

    Raises
    ------
    SpecError
        If it is none, or not one for each band.
    """
    said = _by_step(said)
    if isinstance(said, Mapping) and "type" not in said:
        entries = _by_band(said, bands, of)
    elif isinstance(said, list | tuple):
        entries = [((number,), entry) for number, entry in enumerate(said)]
    else:
        return (_step(said, of),)
    number = len(bands) or count
    first = entries[0][1] if len(entries) == 1 and isinstance(entries[0][1], list | tuple) else None
    if first is not None and number != 1:
        return (_one(*entries[0], of),)
    if number == 1:  # one after the other, as MLM has it for one band
        flat = entries if first is None else [((*entries[0][0], place), step) for place, step in enumerate(first)]
        return tuple(_placed(place, step, of) for place, step in flat)
    if number is not None and len(entries) not in {1, number}:
        raise SpecError(
            f"scaling of {of!r} has {len(entries)} entries for {number} bands: give one for all, one for each, or a "
            "chain for all as a list in a list"
        )
    return tuple(_one(place, entry, of) for place, entry in entries)


def check_scaling(said: Any) -> None:
    """Refuse what is no scaling of any input; whether it fits one, its bands show.

    Raises
    ------
    SpecError
        If a step is none.
    """
    said = _by_step(said)
    if isinstance(said, Mapping) and _OF_A_STEP.isdisjoint(said):
        parts = [*said.items()]
    elif isinstance(said, list | tuple):
        parts = [*enumerate(said)]
    else:
        _step(said, "")
        return
    if not parts:
        raise SpecError("scaling is empty: give a step, such as {type: scale, value: 10000}")
    for name, one in parts:
        with at(name):
            check_scaling(one)


def _by_step(said: Any) -> Any:
    """Read a step with a list of numbers, one for each band (``{"mean": [0.1, 0.2], …}``), as a list of steps."""
    if not isinstance(said, Mapping) or "type" not in said:
        return said
    lists = {name: value for name, value in said.items() if isinstance(value, list | tuple)}
    lengths = {len(value) for value in lists.values()}
    if not lists:
        return said
    if len(lengths) > 1 or not min(lengths):
        shown = ", ".join(f"{name} {len(value)}" for name, value in lists.items())
        raise SpecError(f"scaling has lists of other lengths ({shown}): give one number of each for each band")
    return [{**said, **{name: value[n] for name, value in lists.items()}} for n in range(lengths.pop())]


def _by_band(said: Mapping[str, Any], bands: Sequence[str], of: str) -> list[tuple[Place, Any]]:
    if not bands:
        raise SpecError(f"scaling of {of!r} names {', '.join(map(str, said))}, and the input has no names of bands")
    for name in said:
        if name not in bands:
            near = difflib.get_close_matches(str(name), bands, 1, 0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"its bands are {', '.join(bands)}"
            with at(name):
                raise SpecError(f"scaling of {of!r} names {name!r}, which is no band of it: {hint}")
    if missing := [band for band in bands if band not in said]:
        raise SpecError(f"scaling of {of!r} says nothing of {', '.join(missing)}: give one for each band")
    return [((band,), said[band]) for band in bands]


def _placed(place: Place, step: Any, of: str) -> ValueScaling:
    with at(*place):
        return _step(step, of)


def _one(place: Place, entry: Any, of: str) -> ValueScaling:
    """Read a step, or a chain as one expression."""
    if not isinstance(entry, list | tuple):
        return _placed(place, entry, of)
    steps = [_placed((*place, number), step, of).model_dump() for number, step in enumerate(entry)]
    if not steps:
        with at(*place):
            raise SpecError(f"scaling of {of!r} has an empty chain: give steps, or leave it out")
    text = "x"
    for step in steps:
        # What is computed before stands in brackets, as the next step may bind more tightly.
        text = _AS_TEXT[step["type"]](text if text == "x" else f"({text})", step)
    return _step(text, of)


def _step(said: Any, of: str) -> ValueScaling:
    what = f"scaling of {of!r}" if of else "scaling"
    if isinstance(said, str):
        fields: Any = {"type": "processing", "format": "numpy", "expression": said}
    elif isinstance(said, int | float) and not isinstance(said, bool):
        fields = {"type": "scale", "value": said}
    elif isinstance(said, Mapping):
        fields = dict(said)
    else:
        raise SpecError(f"{what} is {said!r:.60}: write {{'type': 'z-score', 'mean': 0, 'stddev': 1}}, or x / 255")
    if (kind := fields.get("type")) not in {*NUMBERS, "processing"}:
        near = difflib.get_close_matches(str(kind), [*NUMBERS, "processing"], 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(NUMBERS)}, processing"
        with at("type"):
            raise SpecError(f"{what} has the type {kind!r}, which MLM does not have: {hint}")
    if (reason := obstacle([fields])) is not None:
        advice = ": ask its publisher"  # who reads this here
        if reason.endswith(advice):
            reason = f"{reason.removesuffix(advice)}: write arithmetic of x, such as (x - 1000) / 2500"
        raise SpecError(f"{what}: {reason}")
    try:
        found: ValueScaling = TypeAdapter(ValueScaling).validate_python(fields)
    except (ValidationError, InvalidItemError) as error:
        reason = one_line(error) if isinstance(error, ValidationError) else str(error)
        raise SpecError(f"{what}: {reason}") from error
    return found
