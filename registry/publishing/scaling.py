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

from modelstac.catalog.errors import InvalidItemError, SpecError
from modelstac.catalog.items.mlm import ValueScaling, one_line
from modelstac.registry.running.values.scaling import NUMBERS, obstacle

_X = re.compile(r"\bx\b")
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
        (``{"type": "z-score", "mean": 1354, "stddev": 245}``), a number that values are divided by, or arithmetic of
        ``x`` as text; or a list of these, taken one after the other.
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
    if isinstance(said, Mapping) and "type" not in said:
        said = _by_band(said, bands, of)
    if not isinstance(said, list | tuple):
        return (_step(said, of),)
    number = len(bands) or count
    if len(said) == 1 and isinstance(said[0], list | tuple) and number != 1:
        return (_one(said[0], of),)
    if number == 1:  # one after the other, as MLM has it for one band
        flat = said[0] if len(said) == 1 and isinstance(said[0], list | tuple) else said
        return tuple(_step(step, of) for step in flat)
    if number is not None and len(said) not in {1, number}:
        raise SpecError(
            f"scaling of {of!r} has {len(said)} entries for {number} bands: give one for all, one for each, or a chain "
            "for all as a list in a list"
        )
    return tuple(_one(entry, of) for entry in said)


def _by_band(said: Mapping[str, Any], bands: Sequence[str], of: str) -> list[Any]:
    if not bands:
        raise SpecError(f"scaling of {of!r} names {', '.join(map(str, said))}, and the input has no names of bands")
    for name in said:
        if name not in bands:
            near = difflib.get_close_matches(str(name), bands, 1, 0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"its bands are {', '.join(bands)}"
            raise SpecError(f"scaling of {of!r} names {name!r}, which is no band of it: {hint}")
    if missing := [band for band in bands if band not in said]:
        raise SpecError(f"scaling of {of!r} says nothing of {', '.join(missing)}: give one for each band")
    return [said[band] for band in bands]


def _one(entry: Any, of: str) -> ValueScaling:
    """Read a step, or a chain as one expression."""
    if not isinstance(entry, list | tuple):
        return _step(entry, of)
    steps = [_step(step, of).model_dump() for step in entry]
    if not steps:
        raise SpecError(f"scaling of {of!r} has an empty chain: give steps, or leave it out")
    text = "x"
    for step in steps:
        # What is computed before stands in brackets, as the next step may bind more tightly.
        text = _AS_TEXT[step["type"]](text if text == "x" else f"({text})", step)
    return _step(text, of)


def _step(said: Any, of: str) -> ValueScaling:
    if isinstance(said, str):
        fields: Any = {"type": "processing", "format": "numpy", "expression": said}
    elif isinstance(said, int | float) and not isinstance(said, bool):
        fields = {"type": "scale", "value": said}
    elif isinstance(said, Mapping):
        fields = dict(said)
    else:
        raise SpecError(
            f"scaling of {of!r} is {said!r:.60}: write {{'type': 'z-score', 'mean': 0, 'stddev': 1}}, or x / 255"
        )
    if (kind := fields.get("type")) not in {*NUMBERS, "processing"}:
        near = difflib.get_close_matches(str(kind), [*NUMBERS, "processing"], 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(NUMBERS)}, processing"
        raise SpecError(f"scaling of {of!r} has the type {kind!r}, which MLM does not have: {hint}")
    if (reason := obstacle([fields])) is not None:
        raise SpecError(f"scaling of {of!r}: {reason}")
    try:
        found: ValueScaling = TypeAdapter(ValueScaling).validate_python(fields)
    except (ValidationError, InvalidItemError) as error:
        reason = one_line(error) if isinstance(error, ValidationError) else str(error)
        raise SpecError(f"scaling of {of!r}: {reason}") from error
    return found
